import json
import re
from pathlib import Path

import pytest

from rewards.dataset import SAMPLE, load_feedback
from rewards.evaluation.attacks import score_attacks
from rewards.evaluation.card_figures import SIZES, card_figures
from rewards.evaluation.compare_recipes import evaluate_recipe, read_logs, write_log
from rewards.evaluation.model_card import render_card
from rewards.fitting.feedback_table import tabulate_feedback
from rewards.fitting.reference_table import CORRECTED
from rewards.scorer import Scorer

COMMITTED = Path(__file__).parents[4] / "docs" / "rewards.md"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows():
    return load_feedback(SAMPLE / "feedback.json")[:8]


@pytest.fixture(scope="module")
def scorer():
    return Scorer.load()


@pytest.fixture(scope="module")
def table(rows, scorer):
    return tabulate_feedback(rows, scorer.feedback.extractor)


@pytest.fixture(scope="module")
def report(rows, scorer, table, tmp_path_factory):
    """A report on some of the sample, with the log of a recipe and that of a candidate that was tried once."""
    recipe, logs = scorer.feedback.fitted.recipe, tmp_path_factory.mktemp("logs")
    path = write_log(evaluate_recipe(rows, table, recipe, scorer.feedback.extractor), logs)
    assert path.name == f"{recipe.name}.json"
    once = {
        "recipe": "tried once",
        "description": "not kept",
        "once": True,
        "agreement": {"completeness": {"pairwise_accuracy": 0.7}},
    }
    (logs / "aaa.json").write_text(json.dumps(once))
    return {
        "version": scorer.version,
        "data": "feedback.json",
        "named": ["relevance"],
        "study": card_figures(rows, table, recipe),
        "attacks": score_attacks(rows[:2], scorer),
        "candidates": read_logs(logs),
    }


def sections(card):
    """Text, and tables as lists of rows, by section."""
    parsed = {}
    for section in re.split(r"^## ", card, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        tables, text = [], []
        for block in body.strip().split("\n\n"):
            if not block.startswith("|"):
                text.append(block)
                continue
            tables.append([[cell.strip() for cell in line[1:-1].split(" | ")] for line in block.splitlines()])
        parsed[title] = ("\n\n".join(text), tables)
    return parsed


def short(value):
    return f"{value:.3f}".replace("0.", ".", 1)


def test_figures_stand_in_their_rows_and_columns(report, table):
    card, study = sections(render_card(report)), report["study"]
    text, ((header, _, relevance, *_),) = card["Agreement with people"]
    figures = study["agreement"]["relevance"]
    assert report["version"] in text
    row = dict(zip(header, relevance, strict=True))
    assert row["n"] == str(len(table.relevance.y)) == str(figures["n"])
    assert row["accuracy"].split()[0] == short(figures["accuracy"])
    assert row["baselines"] == f"{short(figures['baselines']['majority'])} (majority)"
    assert row["misses"] == short(figures["miss_rate"])
    _, (curve,) = card["How much feedback is enough?"]
    assert [line[1] for line in curve[2:]] == [short(point["relevance"]) for point in study["learning_curve"]]
    assert len(curve) == 2 + len(SIZES) + 1
    _, (attacks,) = card["Can they be gamed?"]
    assert [line[0] for line in attacks[2:]] == list(report["attacks"])
    total = " / ".join(f"{value:+.2f}" for value in report["attacks"][CORRECTED]["total"].values())
    assert dict(zip(attacks[0], attacks[2], strict=True))["total"] == total
    _, (candidates,) = card["What was tried"]
    assert [line[0] for line in candidates[2:]] == ["`best`", "*tried once*"]
    assert candidates[3][-3:] == [".700", "", ""]


def test_every_error_of_a_category_is_labelled_by_one_of_its_labels(report, table):
    labels = report["study"]["labels"]
    assert labels["completeness"]["n"] == table.missing.sum()
    for figures in labels.values():
        assert figures["n"] == sum(label["n"] for label in figures["by_label"].values())


def test_the_card_says_which_categories_get_labels_and_which_attacks_pay(report):
    labelled = "Are errors labelled correctly?"
    assert "Errors of relevance have a label." in sections(render_card(report))[labelled][0]
    assert "No error has a label." in sections(render_card(report | {"named": []}))[labelled][0]
    attacks = {name: answer | {"total": {"short": 0.0}} for name, answer in report["attacks"].items()}
    assert "none is paid more" in sections(render_card(report | {"attacks": attacks}))["Can they be gamed?"][0]
    attacks["one word"] = attacks["one word"] | {"total": {"short": 0.1}}
    text, _ = sections(render_card(report | {"attacks": attacks}))["Can they be gamed?"]
    assert "these are paid more: one word." in text


def test_the_committed_card_has_the_sections_text_and_columns_of_a_new_one(report):
    committed, new = sections(COMMITTED.read_text(encoding="utf-8")), sections(render_card(report))
    assert list(committed) == list(new)
    for title, (text, tables) in new.items():
        assert [rows[0] for rows in committed[title][1]] == [rows[0] for rows in tables]
        if title not in ("Agreement with people", "Are errors labelled correctly?", "Known failures"):
            assert committed[title][0].split(". ")[0] == text.split(". ")[0]
