import json

import numpy as np
import pytest

from policies.store import PolicyStore
from rewards.dataset import SAMPLE, FeedbackExample, Passage, SpanError, load_feedback
from rewards.errors import FgctlError
from rewards.evaluation.attacks import ATTACKS, CORRECTED, REFERENCE, WEIGHTS, attack, holes
from rewards.evaluation.card_figures import detected_by_label, overlap, reliability, study
from rewards.evaluation.compare_recipes import compare, keep, logs
from rewards.evaluation.model_card import render
from rewards.fitting.fit_heads import tabulate
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest


@pytest.fixture(scope="module")
def rows():
    return load_feedback(SAMPLE / "feedback.json")[:12]


@pytest.fixture(scope="module")
def scorer():
    return Scorer.load()


def example(text, spans):
    errors = tuple(
        SpanError(label=label, start=text.index(part), end=text.index(part) + len(part)) for label, part in spans
    )
    return FeedbackExample(
        question="Where?", passages=(), passage_sentences=(), gold="", predictions=(text, "", "", ""),
        errors=errors, missing=(), corrected="", preference=(0,) * 6,
    )  # fmt: skip


ONE = "It lies by the sea. It was built by ten giants. It is old and it is old and old."
SPANS = (("Unverifiable", "built by ten giants"), ("Redundant", "It is old and it is old"))


def test_reliability_compares_predicted_with_observed():
    p, labels = np.repeat([0.1, 0.9], 100), np.arange(200) >= 110
    bins = reliability(p, labels)
    assert [b["n"] for b in bins] == [20] * 10
    assert [b["predicted"] for b in bins] == [0.1] * 5 + [0.9] * 5
    assert bins[5]["observed"] == 0.5


def test_labels_are_found_where_their_spans_are():
    found = detected_by_label([example(ONE, SPANS)], "factuality", np.array([False, True, True]))
    assert found == {"Wrong-Grounding": {"n": 0, "detected": 0.0}, "Unverifiable": {"n": 1, "detected": 1.0}}


def test_overlap_counts_sentences_by_what_people_marked():
    both = example(ONE, (*SPANS, ("Irrelevant", "It was built by ten giants.")))
    errors = {"relevance": np.array([False, True, False]), "factuality": np.array([True, True, False])}
    cells = overlap([both], errors)
    assert {name: cell["sentences"] for name, cell in cells.items()} == {
        "both": 1, "relevance only": 1, "factuality only": 0, "neither": 1,
    }  # fmt: skip
    assert cells["both"] == {"sentences": 1, "relevance_model": 1.0, "factuality_model": 1.0}
    assert cells["neither"] == {"sentences": 1, "relevance_model": 0.0, "factuality_model": 1.0}


def test_attacks_do_what_they_are_called():
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


def test_attacks_are_summed_by_the_weights_of_the_profiles():
    profiles = PolicyStore().profiles()
    for name, weights in WEIGHTS.items():
        assert profiles[name].weights.as_dict() == pytest.approx(weights, abs=1e-3)


def test_without_a_corrected_response_there_is_nothing_to_attack(scorer):
    with pytest.raises(FgctlError, match="No row has a corrected response"):
        attack([example(ONE, SPANS)], scorer)


def test_an_attack_is_a_hole_where_it_is_paid_more_than_the_corrected_response():
    honest = {"total": {"short": 1.0, "long": 1.0}}
    report = {CORRECTED: honest} | {name: {"total": {"short": 0.5, "long": 0.9}} for name in ATTACKS}
    assert holes(report) == []
    report["one word"] = {"total": {"short": 1.1, "long": 0.9}}
    assert holes(report) == ["one word"]


def test_the_card_shows_every_figure(rows, scorer, tmp_path):
    table, recipe = tabulate(rows, scorer.feedback.extractor), scorer.feedback.fitted.recipe
    figures = {"version": scorer.version, "data": "feedback.json", "named": ["relevance"]}
    figures["study"] = study(rows, table, recipe)
    figures["attacks"] = attack(rows[:2], scorer)
    kept = keep(compare(rows, table, recipe, scorer.feedback.extractor), tmp_path)
    once = {
        "recipe": "tried once",
        "description": "not kept",
        "once": True,
        "agreement": {"completeness": {"pairwise_accuracy": 0.7}},
    }
    (tmp_path / "aaa.json").write_text(json.dumps(once))
    figures["candidates"] = logs(tmp_path)
    assert kept.name == f"{recipe.name}.json"
    assert [log["recipe"] for log in figures["candidates"]] == [recipe.name, "tried once"]
    card = render(figures)
    for shown in (
        *(CORRECTED, REFERENCE, *ATTACKS, "Irrelevant", "Unverifiable", "sub-sentence", "factuality only"),
        *(scorer.version, "*tried once*", f"`{recipe.name}`", "false alarm", "of its segments are missed"),
        *("Missing-Minor-Auxiliary", "Errors of relevance have a label", "gain in macro-F1"),
    ):
        assert shown in card
    assert "No error has a label" in render(figures | {"named": []})
    tables = [line for line in card.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)
    assert len(figures["study"]["learning_curve"]) == 4
    named = figures["study"]["labels"]
    assert named["completeness"]["n"] == table.missing.sum()
    assert all(one["n"] == sum(by["n"] for by in one["by_label"].values()) for one in named.values())
    assert card.count("\n## ") == 12
