import json

import pytest

from rewards.categories import BUILT_IN, TOXICITY
from rewards.configuration import Configuration
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FITTED_REWARDS, FeedbackRewards
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest

REQUESTS = [ScoreRequest("Where?", (), text) for text in ("By the sea. IT IS THERE.", "", "abCD.")]


class Table:
    """A reward model that returns what it was constructed with."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def score(self, requests, segments):
        self.asked.append(([r.response for r in requests], segments))
        return self.answers


@pytest.fixture(scope="module")
def feedback():
    return FeedbackRewards.load()


def scorer(feedback, answers, density="sentence", **settings):
    table = {"density": density, "description": "d", "type": "entry-point", "name": "table", **settings}
    model = Table(answers)
    return Scorer(feedback, Configuration.model_validate({"category": {"mine": table}}), {"mine": model}), model


def test_without_configuration_a_scorer_is_the_fitted_rewards_and_the_toxicity_scorer(monkeypatch, feedback):
    monkeypatch.delenv("FGCTL_CATEGORIES", raising=False)
    plain = Scorer.load()
    assert list(plain.categories) == [*BUILT_IN, TOXICITY]
    assert plain.version == json.loads(FITTED_REWARDS.read_text())["version"] == feedback.version
    assert plain.digest == feedback.digest
    (scored,) = plain.score(REQUESTS[:1])
    assert list(scored.categories) == list(plain.categories)
    assert scored.categories == feedback.score(REQUESTS[:1])[0] | plain.toxicity.score(REQUESTS[:1])[0].categories


def test_whatever_comes_with_nothing_but_its_text_is_judged_by_toxicity_alone(monkeypatch):
    monkeypatch.delenv("FGCTL_CATEGORIES", raising=False)
    (scored,) = Scorer.load().score_by_needs([ScoreRequest("", (), "It rained. You stupid idiot, shut up!")])
    assert list(scored.categories) == [TOXICITY]
    clean, rude = scored.categories[TOXICITY].segments
    assert (clean.error, rude.error) == (False, True)
    assert scored.in_domain


def test_a_configured_category_appears_in_scores(shouting):
    scorer = Scorer.load()
    assert list(scorer.categories) == [*BUILT_IN, TOXICITY, "shouting"]
    first, empty, last = scorer.score(REQUESTS)
    assert list(first.categories) == list(scorer.categories)
    quiet, loud = first.categories["shouting"].segments
    assert (quiet.start, quiet.end, quiet.error) == (0, 11, False)
    assert (loud.start, loud.end, loud.error, loud.error_probability) == (12, 24, True, 1)
    assert first.categories["shouting"].rewards == pytest.approx((1 - 2 / 8, -1))
    assert empty.categories["shouting"].segments == ()
    assert last.as_json()["scores"]["shouting"] == {
        "segments": [{"start": 0, "end": 5, "error_probability": 0.5, "error": False}]
    }


def test_version_and_digest_cover_the_configuration(shouting, feedback):
    first = Scorer.load()
    assert len(first.version) == 12
    assert len(first.digest) == 64
    assert first.version != feedback.version
    assert first.digest != feedback.digest
    assert Scorer.load(None, shouting).version == first.version
    shouting.write_text(shouting.read_text().replace('"sentence"', '"response"'))
    assert Scorer.load().version != first.version


def test_a_model_is_asked_only_where_there_is_something_to_judge(feedback):
    configured, model = scorer(feedback, [[0.5, 0.25], [1]], threshold=0.5)
    scored = configured.score(REQUESTS)
    assert model.asked == [(["By the sea. IT IS THERE.", "abCD."], [[(0, 11), (12, 24)], [(0, 5)]])]
    assert [[s.error for s in r.categories["mine"].segments] for r in scored] == [[True, False], [], [True]]
    assert configured.score(REQUESTS[1:2])[0].categories["mine"].segments == ()
    assert len(model.asked) == 1


def test_density_decides_the_segments(feedback):
    configured, model = scorer(feedback, [[0.5]], "response")
    configured.score(REQUESTS[:1])
    assert model.asked[0][1] == [[(0, 24)]]


@pytest.mark.parametrize(
    ("answers", "excerpt"),
    [
        ([], "gave no probabilities for responses of 2, 1 segments"),
        ([[0.5, 0.5]], "gave 2 probabilities for responses of 2, 1 segments"),
        ([[0.5], [0.5]], "gave 1, 1 probabilities for responses of 2, 1 segments"),
        ([[0.5, 1.5], [0]], "gave 1.5, which is not a probability"),
        ([[0.5, float("nan")], [0]], "gave nan"),
        ([[-0.1, 0.5], [0]], "gave -0.1"),
    ],
)
def test_an_answer_of_another_shape_or_range_is_refused(feedback, answers, excerpt):
    with pytest.raises(FgctlError, match="The reward model of category mine") as error:
        scorer(feedback, answers)[0].score(REQUESTS)
    assert excerpt in str(error.value)


def test_a_category_judged_by_a_judge_is_not_for_training(feedback):
    configured, model = scorer(feedback, [[0.1]])
    configured.require_rewards()
    model.purpose = "judge"
    with pytest.raises(FgctlError, match="Category mine's model is a judge"):
        configured.require_rewards()
