"""`fgctl quality` on files and on a store."""

import asyncio
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from rewards.errors import FgctlError
from service.feedback.records import Annotation, NewResponse, NewScores, Span, StoredPassage
from service.feedback.store.feedback_store import open_store

TEXT = "It is red. It is tall."
run = CliRunner()


def invoke(*arguments):
    result = run.invoke(app, ["quality", *map(str, arguments)])
    if isinstance(result.exception, FgctlError):
        return 1, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


TRUTH = np.random.default_rng(0).random(120) < 0.3
NOISE = np.random.default_rng(1).uniform(-0.2, 0.2, 120)


def scores(number):
    probability = float((0.7 if TRUTH[number] else 0.5) + NOISE[number])
    return {"factuality": {"segments": [
        {"start": a, "end": b, "error_probability": probability, "error": True} for a, b in ((0, 10), (11, 22))
    ]}}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    scored, labels = tmp_path / "scores.jsonl", tmp_path / "labels.jsonl"
    rows = [{"question": f"q{n}", "passages": [], "response": TEXT} for n in range(120)]
    scored.write_text("".join(json.dumps(r | {"scores": scores(n)}) + "\n" for n, r in enumerate(rows)))
    spans = [[{"start": 0, "end": 22, "error": bool(wrong)}] for wrong in TRUTH]
    labels.write_text("".join(json.dumps(r | {"spans": s}) + "\n" for r, s in list(zip(rows, spans, strict=True))[:50]))
    return scored, labels


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path}/feedback.db"

    async def fill():
        store = await open_store(url)
        passage = (StoredPassage(title="T", text="x", sentences=("x",)),)
        answers = [
            NewResponse(id=f"r{n}", text=TEXT, question="q", passages=passage, profile="long", policy="v1")
            for n in range(120)
        ]
        scored = {"in_domain": True, "notes": []}
        await store.record(
            answers,
            [NewScores(response_id=f"r{n}", rewards="v", scored=scored | {"scores": scores(n)}) for n in range(120)],
        )  # fmt: skip
        await store.sign_in("Ann")
        for _ in range(50):
            name = (await store.next_response_for("Ann", "error_rate")).response.id
            wrong = TRUTH[int(name[1:])]
            corrected = "No." if wrong else None
            spans = (Span(label="Unverifiable", start=0, end=22),) if wrong else ()
            await store.submit(
                Annotation(
                    submission_id=name,
                    response_id=name,
                    annotator="Ann",
                    errors=spans,
                    corrected=corrected,
                )
            )
        await store.close()

    asyncio.run(fill())
    return url


def test_an_estimate_from_files(files):
    code, out = invoke("--scores", files[0], "--labels", files[1], "--json")
    assert code == 0
    figures = json.loads(out)["factuality"]
    assert figures["low"] <= TRUTH.mean() <= figures["high"]
    assert figures["labels_only"].keys() == {"estimate", "low", "high"}
    assert (figures["labels"], figures["scored"]) == (50, 120)
    assert figures["raw"] > 0.4


def test_an_estimate_from_a_store(store):
    code, out = invoke("--store", store, "--json")
    assert code == 0
    figures = json.loads(out)["factuality"]
    assert figures["low"] <= TRUTH.mean() <= figures["high"]
    assert figures["profiles"]["long"]["versions"]["v1"]["drawn"] == 50
    code, out = invoke("--store", store, "--profile", "long", "--since", "12h")
    assert code == 0
    assert "50" in out
    assert "factuality" in out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "--store"),
        (("--scores", "a"), "--labels"),
        (("--labels", "a"), "--scores"),
        (("--store", "sqlite:///{tmp}/new.db", "--since", "yesterday"), "yesterday"),
        (("--store", "sqlite:///{tmp}/new.db", "--profile", "long"), "no scored answer of the profile 'long'"),
    ],
    ids=["nothing", "no-labels", "no-scores", "since", "empty"],
)
def test_what_is_missing_is_named(arguments, part, tmp_path, monkeypatch):
    monkeypatch.delenv("FGCTL_FEEDBACK_STORE", raising=False)
    code, message = invoke(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert code == 1
    assert part in message
