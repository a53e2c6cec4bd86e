"""From annotations in the store to reward models that judge otherwise."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from cli.main import app
from rewards.dataset import SAMPLE, load_feedback
from rewards.model import FeedbackRewards
from rewards.scores import ScoreRequest
from rewards.segmentation import sentences
from service.feedback.records import Annotation, Recorded, Span, StoredPassage
from service.feedback.store import FeedbackStore, open_store

FILE = SAMPLE / "feedback.json"


def fgctl(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exception is None, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def in_store(url: str, work: Callable[[FeedbackStore], Awaitable[None]]) -> None:
    async def run() -> None:
        store = await open_store(url)
        try:
            await work(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_annotations_of_served_answers_change_what_the_reward_models_say(tmp_path: Path) -> None:
    """On served answers that repeat the references, an annotator finds every sentence unverifiable."""
    url, examples = f"sqlite:///{tmp_path / 'feedback.db'}", load_feedback(FILE)
    fgctl("feedback", "import", str(FILE), "--store", url)
    first = fgctl("rewards", "fit", "--data", url, "--out", str(tmp_path / "first.json"))
    served = examples[:12]

    async def annotate(store: FeedbackStore) -> None:
        await store.annotator("Ann")
        for i, e in enumerate(served):
            passages = tuple(
                StoredPassage(title=p.title, text=p.text, sentences=s)
                for p, s in zip(e.passages, e.passage_sentences, strict=True)
            )
            question = f"{e.question} Tell me again."
            await store.record([Recorded(id=f"resp_{i}", text=e.gold, question=question, passages=passages)])
            errors = tuple(Span(label="Unverifiable", start=a, end=b) for a, b in sentences(e.gold))
            given = Annotation(
                submission_id=f"s-{i}", response_id=f"resp_{i}", annotator="Ann", errors=errors, corrected="Not known."
            )
            await store.submit(given)

    in_store(url, annotate)
    second = fgctl("rewards", "fit", "--data", url, "--out", str(tmp_path / "second.json"))
    assert second["data"] != first["data"]
    assert (second["questions"], second["annotations"]) == (36, 36)
    requests = [ScoreRequest(e.question, e.passages, e.gold) for e in served]
    before, after = (FeedbackRewards.load(tmp_path / f"{name}.json").score(requests) for name in ("first", "second"))
    assert _mean(after) > _mean(before) + 0.1


def _mean(scored: list[Any]) -> float:
    probabilities = [s.error_probability for one in scored for s in one["factuality"].segments]
    return sum(probabilities) / len(probabilities)
