import pytest

from rewards.dataset import SAMPLE, Passage, load_feedback
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.models.input_ranges import STATISTICS, InputRanges, fit_input_ranges
from rewards.scores import ScoreRequest

QUESTION = "Where does the river Lind end?"
PASSAGES = 12 * (Passage(title="Lind", text="The Lind is a river of 40 miles. It ends in the sea at Ostra."),)


@pytest.fixture(scope="module")
def fitted():
    rows = load_feedback(SAMPLE / "feedback.json")
    requests = [ScoreRequest(row.question, row.passages, text) for row in rows for text in row.predictions]
    return fit_input_ranges(requests), requests


@pytest.fixture(scope="module")
def shipped():
    return FeedbackRewards.load().fitted.input_ranges


def test_the_training_data_is_within_its_own_ranges(fitted):
    ranges, requests = fitted
    assert set(ranges.ranges) == set(STATISTICS)
    assert sum(ranges.notes(request) == () for request in requests) >= 0.95 * len(requests)


@pytest.mark.parametrize(
    ("response", "excerpt"),
    [
        ("", "empty"),
        ("Am Meer bei Ostra endet der Fluss Lind nach vierzig Meilen.", "function words"),
        ("它有四千居民。磨坊烧毁了。", "Latin letters"),
        ("The river ends at the sea. " * 30, "repeated sentences"),
        ("The river ends at " + "s" * 400 + " in the end.", "longest word"),
        ("| a | b |\n|---|---|\n| the | of |\n|---|---|\n|---|---|", "markup"),
        (" ".join(f"The end of it was in {i}." for i in range(3000)), "words in the response"),
    ],
)  # fmt: skip
def test_a_note_says_what_is_unlike_the_training_data(shipped, response, excerpt):
    notes = shipped.notes(ScoreRequest(QUESTION, PASSAGES, response))
    assert any(excerpt in note for note in notes)


def test_missing_passages_are_noted(shipped):
    note, *_ = shipped.notes(
        ScoreRequest(QUESTION, (), "The river Lind ends in the sea at Ostra, a small northern town.")
    )
    assert note.startswith("0 words in the passages; the fitted feedback has 72 to ")


def test_without_ranges_nothing_is_noted():
    assert InputRanges().notes(ScoreRequest(QUESTION, (), "Anything.")) == ()
    assert fit_input_ranges([]) == InputRanges()
