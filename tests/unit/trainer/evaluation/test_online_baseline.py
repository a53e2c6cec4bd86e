import pytest

from policies.store import Decoding
from rewards.dataset import Passage
from rewards.scores import CategoryScores, ScoredResponse, ScoreRequest, Segment
from rewards.statistics.distribution_shift import INPUTS, SCORE_BINS
from trainer.evaluation.online_baseline import online_baseline

PASSAGES = (Passage(title="Ostra", text="By the Lind. " * 60),)


def scored(relevance, factuality):
    """Judged segments with these error probabilities; from .5 on they are errors."""
    categories = {
        name: CategoryScores(
            tuple(Segment(i, i + 1, p, p >= 0.5) for i, p in enumerate(probabilities)), tuple(probabilities)
        )
        for name, probabilities in (("relevance", relevance), ("factuality", factuality))
    }
    return ScoredResponse(categories)


def test_what_is_expected_online_by_hand():
    requests = [
        ScoreRequest("Where is the old town of Ostra now?", PASSAGES, "It lies on the Lind."),
        ScoreRequest("Where is the old town of Ostra now?", PASSAGES, "I do not know."),
        ScoreRequest("And without passages?", (), "It is not scored online, so it does not count."),
    ]
    judged = [scored([0.05, 0.62], [0.1]), scored([0.97, 1.0], []), scored([0.3], [0.9])]
    baseline = online_baseline(Decoding(max_tokens=9), "r1", requests, judged, [0, 1, 1])
    assert baseline["decoding"] == {"temperature": 0.7, "top_p": 0.9, "max_tokens": 9}
    assert (baseline["rewards"], baseline["responses"]) == ("r1", 2)
    assert baseline["error_ratio"] == {"relevance": 0.75, "factuality": 0}
    assert baseline["segments"] == {"relevance": 4, "factuality": 1}
    assert baseline["score_ratio"]["relevance"] == dict.fromkeys(SCORE_BINS, 0) | {"0.0": 0.25, "0.6": 0.25, "0.9": 0.5}
    assert baseline["score_ratio"]["factuality"] == dict.fromkeys(SCORE_BINS, 0) | {"0.1": 1}
    assert {name: tuple(bins) for name, bins in baseline["input_ratio"].items()} == dict(INPUTS)
    shares = {
        name: {bin: share for bin, share in bins.items() if share} for name, bins in baseline["input_ratio"].items()
    }
    assert shares == {
        "question_words": {"8": 1},
        "passages": {"1": 1},
        "passage_words": {"150": 1},
        "language": {"en": 1},
    }
    assert (baseline["words"], baseline["declined"], baseline["truncated"]) == (4.5, 0.5, 0.5)
    assert baseline["repetition"] == 0


def test_nothing_is_expected_where_no_question_has_passages():
    request = ScoreRequest("Where?", (), "There.")
    assert online_baseline(Decoding(), "r1", [request], [scored([0.1], [0.2])], [0]) is None


def test_repetition_is_a_mean_over_responses():
    requests = [ScoreRequest("Where?", PASSAGES, text) for text in ("a b c d a b c d", "one two three four")]
    judged = [scored([0.1], [0.1])] * 2
    assert online_baseline(Decoding(), "r1", requests, judged, [0, 0])["repetition"] == pytest.approx(0.1)
