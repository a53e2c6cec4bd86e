import pytest

from policies.weights import Weights
from rewards.dataset import Passage
from rewards.models.judge import Judgement
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest
from trainer.evaluation.candidates import Candidate
from trainer.evaluation.report import Opinion, References, judged, report_on, rouge_lsum

WEIGHTS = Weights.parse("0.3,0.5,0.2")
PASSAGES = (Passage(title="Lind", text="The river Lind rises in the hills of Ostra."),)
COPY = ScoreRequest("Where does it rise?", PASSAGES, "The river Lind rises in the hills of Ostra.")
OWN = ScoreRequest("Where does it rise?", PASSAGES, "In the hills of Ostra.")
OPINION = Opinion("j", [Judgement({"relevance": (True, False), "factuality": (False,)}, 0.0)] * 2)


def test_rouge():
    assert rouge_lsum(["The tower is tall."] * 2, ["The tower is tall.", ""]) == [pytest.approx(100), 0]


def test_a_report_says_how_much_is_copied():
    scorer = Scorer.load()
    report = report_on(Candidate("mine", "1", WEIGHTS, None), [COPY, OWN], scorer.score([COPY, OWN]), ["", ""], scorer)
    assert report["copied"] == {"share": 0.5, "longest": 7}
    assert report["per_question"]["copied"] == {"share": [1, 0], "longest": [9, 5]}
    assert report["judge"] is None


def test_the_judges_reward_is_what_its_verdicts_would_earn():
    figures, by_response = judged(OPINION, WEIGHTS.as_dict())
    # Relevance: an error earns -1, a clean sub-sentence 1. Factuality: a clean sentence earns .05 / .95, in units of 3.
    assert by_response["reward"] == {"relevance": [0, 0], "factuality": [0.0175, 0.0175], "completeness": [0, 0]}
    assert figures["weighted_reward"] == pytest.approx(0.5 * 0.0175, abs=1e-4)
    high = judged(Opinion("j", [Judgement({"relevance": (), "factuality": ()}, 2.0)]), WEIGHTS.as_dict())[0]
    assert high["weighted_reward"] == pytest.approx(0.2 * (2 / (1 + 2.718281828**-2) - 1))


def test_references_have_the_figures_of_a_policy_that_gives_them():
    scorer = Scorer.load()
    requests = [COPY, OWN]
    candidate, scored = Candidate("mine", "1", WEIGHTS, None), scorer.score(requests)
    references = References(requests, scored, OPINION).figures(candidate, scorer)
    report = report_on(candidate, requests, scored, ["", ""], scorer, OPINION)
    assert references == {name: report[name] for name in references}
    assert references.keys() >= {"weighted_reward", "copied", "judge", "length"}
