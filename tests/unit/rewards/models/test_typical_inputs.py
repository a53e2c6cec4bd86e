import numpy as np
import pytest

from rewards.dataset import Passage
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.models.typical_inputs import MIN_REQUESTS, STATISTICS, fit_typical_inputs, statistics_of
from rewards.scores import ScoreRequest

PASSAGE = Passage(
    title="Aldermouth Lighthouse",
    text="The Aldermouth Lighthouse is a white stone tower on Gull Point, north of the harbour of Aldermouth. The "
    "tower is 31 metres tall, and 164 steps lead to the lantern. It was built between 1841 and 1844 by the engineer "
    "Hester Quill, after three ships had been lost on the reef in one winter. Its oil lamp was replaced by an electric "
    "one in 1926, and since 1988 the light has been automatic. The keeper's cottage is a museum today.",
)
QUESTION = "How tall is the lighthouse of Aldermouth?"
ANSWER = (
    "The Aldermouth Lighthouse is a white stone tower on Gull Point, north of the harbour of Aldermouth. The tower is "
    "31 metres tall, and 164 steps lead to the lantern. It was built by the engineer Hester Quill, after three ships "
    "had been lost on the reef."
)


@pytest.fixture(scope="module")
def typical():
    return FeedbackRewards.load().fitted.input_ranges.typical


def normal(rng, number):
    """Statistics that depend on each other, and questions of two requests each."""
    mixing = np.eye(len(STATISTICS)) + 0.3
    return rng.normal(size=(number, len(STATISTICS))) @ mixing, [f"q{n // 2}" for n in range(number)]


def test_a_share_of_new_inputs_of_the_same_kind_exceeds_the_limit_and_most_of_another_kind():
    rng = np.random.default_rng(0)
    fitted = fit_typical_inputs(*normal(rng, 800))
    assert fitted.false_alarm_rate == pytest.approx(0.05, abs=0.01)
    same, _ = normal(rng, 2000)
    assert (fitted.distances(same) > fitted.limit).mean() == pytest.approx(0.05, abs=0.025)
    uncorrelated = rng.normal(size=(200, len(STATISTICS))) * same.std(0)  # each statistic by itself is as before
    assert (fitted.distances(uncorrelated) > fitted.limit).mean() > 0.7


def test_too_few_requests_say_nothing():
    statistics, questions = normal(np.random.default_rng(0), MIN_REQUESTS - 1)
    assert fit_typical_inputs(statistics, questions) is None


def test_statistics_are_counted_by_hand():
    request = ScoreRequest("Where is it?", (Passage(title="", text="It is in Rome."),), "It is in Rome, #1.")
    values = dict(zip(STATISTICS, statistics_of(request), strict=True))
    assert values["log words in the response"] == pytest.approx(np.log(6))
    assert values["share of digits"] == pytest.approx(1 / 18)
    assert values["share of questions with a question word first"] == 1
    assert values["share of the response's words in the passages"] == 0.5  # Rome, but not 1
    empty = statistics_of(ScoreRequest("", (), ""))
    assert np.isfinite(empty).all()


def test_an_answer_like_the_feedback_is_not_noted(typical):
    assert typical.note(ScoreRequest(QUESTION, (PASSAGE,), ANSWER)) is None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Aldermouth", ANSWER),
        (
            QUESTION,
            "Bananas grow on large herbs, Portuguese traders say, and ripen within several weeks.",
        ),
        (QUESTION, ANSWER.upper()),
        (QUESTION, f"- **{ANSWER}**\n- **{ANSWER}**"),
    ],
    ids=["keyword", "answer from elsewhere", "capitals", "markup"],
)
def test_a_note_names_what_is_most_unlike_the_feedback(typical, question, answer):
    note = typical.note(ScoreRequest(question, (PASSAGE,), answer))
    assert note.startswith("As a whole it is unlike the fitted feedback")
    assert any(name.removeprefix("log ") in note for name in STATISTICS)
