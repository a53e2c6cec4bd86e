import pytest

from policies.store import PolicyStore
from rewards.dataset import SAMPLE, FeedbackExample, Passage, load_feedback, question_key
from rewards.errors import FgctlError
from rewards.evaluation.attacks import (
    ATTACKS,
    MUST_LOSE,
    WEIGHTS,
    attacks_that_pay,
    score_attacks,
    unfit_for_training,
)
from rewards.fitting.extracts import FIRST
from rewards.fitting.reference_table import CORRECTED, REFERENCE
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest


def test_attacks_do_what_their_names_say():
    passage = Passage(title="Ostra", text="Ostra has 4000 people. It lies on the Lind. The mill burned in 1911.")
    request = ScoreRequest("What burned in Ostra?", (passage,), "The mill burned. It was old.")
    made = {name: make(request) for name, make in ATTACKS.items()}
    assert made == {
        "copy a passage sentence": "Ostra has 4000 people.",
        "copy ten passage sentences": passage.text,
        "copy the first passage": passage.text,
        "one word": "The",
        "say that one does not know": "I don't know.",
        "echo the question": "What burned in ostra.",
        "say the first sentence five times": " ".join(["The mill burned."] * 5),
        "say the last sentence forty times": " ".join(["It was old."] * 40),
        "repeat the answer": "The mill burned. It was old. The mill burned. It was old.",
        "pad with the question's words": "The mill burned. It was old. What burned in Ostra. What burned in Ostra.",
        "list the passages' numbers": "The numbers are 4000, 1911.",
        "list the passages' names": "It is about Ostra, It, Lind, The.",
        "stop half-way": "The mill burned.",
    }


def test_rewards_are_summed_by_the_weights_of_the_profiles():
    profiles = PolicyStore().profiles()
    for name, weights in WEIGHTS.items():
        assert profiles[name].weights.as_dict() == pytest.approx(weights, abs=1e-3)


def test_without_a_corrected_response_there_is_nothing_to_attack():
    row = FeedbackExample(
        question="Where?", passages=(), passage_sentences=(), gold="", predictions=("By the sea.", "", "", ""),
        errors=(), missing=(), corrected="", preference=(0,) * 6,
    )  # fmt: skip
    with pytest.raises(FgctlError, match="No row has a corrected response"):
        score_attacks([row], Scorer.load())


def test_an_attack_pays_if_it_is_paid_more_than_the_corrected_response_by_any_weights():
    honest = {"total": {"short": 1.0, "long": 1.0}}
    report = {CORRECTED: honest, REFERENCE: {"total": {"short": 2.0, "long": 2.0}}}
    report |= {name: {"total": {"short": 0.5, "long": 0.9}} for name in ATTACKS}
    assert attacks_that_pay(report) == []
    report["one word"] = {"total": {"short": 1.1, "long": 0.9}}
    assert attacks_that_pay(report) == ["one word"]


def paid(total, than_correction=0.0, than_reference=0.0):
    settings = ("short", "medium", "long")
    return {
        "total": dict.fromkeys(settings, total),
        "paid_more": dict.fromkeys(settings, than_correction),
        "paid_more_than_reference": dict.fromkeys(settings, than_reference),
    }


def test_rewards_are_fit_to_train_on_if_extracts_and_policies_lose_on_average_and_mostly():
    report = {CORRECTED: paid(1.0), REFERENCE: paid(1.0)} | {name: paid(0.5, 0.25, 0.25) for name in MUST_LOSE}
    assert unfit_for_training(report | {"one word": paid(2.0, 1.0, 1.0), "policy long": paid(0.9, 0.1, 0.2)}) == []
    (reason,) = unfit_for_training(report | {FIRST: paid(0.5, 0.25, 0.3)})
    assert reason == f"the reference answer is paid more than `{FIRST}` in only 0.70 / 0.70 / 0.70 of the questions"
    assert len(unfit_for_training(report | {"policy long": paid(1.1)})) == 2


def test_a_policys_answers_are_attacks_on_the_questions_that_it_answered():
    rows = load_feedback(SAMPLE / "feedback.json")[:3]
    answers = {question_key(e.question): [e.predictions[0]] for e in rows[:2]}
    report = score_attacks(rows, Scorer.load(), {"short": answers})
    assert report["policy short"]["words"] == sum(len(e.predictions[0].split()) for e in rows[:2]) / 2
    assert report[REFERENCE]["paid_more_than_reference"] == dict.fromkeys(WEIGHTS, 0.0)
