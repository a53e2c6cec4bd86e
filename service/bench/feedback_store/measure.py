"""What calls to the feedback store cost, each on the empty store and then on the same store filled.

A cost is the time of this process's processor and the time that passes, in seconds. PostgreSQL works in processes of
its own, so only the time that passes includes its work.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rewards.errors import FgctlError
from service.bench.feedback_store.answers import Answers, scores_of
from service.bench.feedback_store.filling import Progress, fill
from service.bench.feedback_store.questions import Call, questions
from service.feedback.exchange.importing import BATCH, import_items
from service.feedback.exchange.item import Item
from service.feedback.records import Annotation, NewResponse, QuickFeedback, Span
from service.feedback.store.database import Database, is_empty
from service.feedback.store.feedback_store import FeedbackStore

ANSWERS = 50
"""Answers recorded one after another."""
ANNOTATIONS = 10
ITEMS = 500
"""Items imported together, in batches, and one at a time."""
QUESTIONS = 6
"""How often each question is asked."""
_FILLED_FROM = 2000
"""The number of the first answer that fills the store; answers and items of smaller numbers are written before."""
IMPORTED = (f"import, {BATCH} items at once", "import, item by item")
"""The two ways whose times are compared."""
Costs = dict[str, dict[str, Any]]
"""By what was called: `calls`, `cpu_seconds` and `wall_seconds` of all of them."""


def measure(url: str | None, rows: int, progress: Progress) -> dict[str, Any]:
    """Measure an empty database, and again with `rows` answers in it: the object of `fgctl bench store --json`.

    Without a URL the database is an SQLite file that is removed afterwards. One that is named keeps what is written.
    Raises FgctlError, for example for a database that is not empty, in which nothing has been changed.
    """
    if url is not None:
        return asyncio.run(_measure(url, rows, progress))
    with tempfile.TemporaryDirectory(prefix="fgctl-bench-") as directory:
        return asyncio.run(_measure(f"sqlite:///{Path(directory) / 'feedback.db'}", rows, progress))


async def _measure(url: str, rows: int, progress: Progress) -> dict[str, Any]:
    if not await is_empty(url):
        raise FgctlError(
            "The database that --store names is not empty; name a new file or an empty database, which this fills."
        )
    database = await Database.open(url)
    store, answers = FeedbackStore(database), Answers()
    try:
        empty = await costs(store, answers, 0, "empty", progress)
        began = _now()
        await fill(database, answers, _FILLED_FROM, rows, progress)
        filling = _since(began)
        large = await costs(store, answers, _FILLED_FROM + rows, "large", progress)
    finally:
        await store.close()
    return {
        "database": "SQLite" if database.sqlite else "PostgreSQL",
        "rows": rows,
        "filling": filling,
        "costs": [
            {
                "what": what,
                "calls": cost["calls"],
                "empty": _seconds(cost),
                "large": _seconds(large[what]),
                "ratio": _ratio(large[what], cost),
            }
            for what, cost in empty.items()
        ],
        "import": {
            "items": ITEMS,
            "ratios": {
                name: _ratio(stage[IMPORTED[1]], stage[IMPORTED[0]])
                for name, stage in {"empty": empty, "large": large}.items()
            },
        },
    }


async def costs(store: FeedbackStore, answers: Answers, first: int, stage: str, progress: Progress) -> Costs:
    """What every call costs now. `first` is the number of the first answer, and `stage` names the people who act."""
    new = [answers.served(first + number) for number in range(ANSWERS + 1)]
    annotator, caller = f"{stage} annotator", f"key:{stage}"
    await store.sign_in(annotator)
    writing: dict[str, tuple[Call, int]] = {
        "record an answer, then its scores": (_recording(store, new), ANSWERS),
        "a thumb": (_thumbs(store, new, caller), ANSWERS),
        "an annotation": (_annotating(store, new, annotator), ANNOTATIONS),
    }
    measured: Costs = {}

    async def time_all(kind: str, calls: dict[str, tuple[Call, int]]) -> None:
        for place, (what, (call, number)) in enumerate(calls.items()):
            progress(f"The {stage} store, {kind}", place, len(calls))
            measured[what] = await timed(call, number)
        progress(f"The {stage} store, {kind}", len(calls), len(calls))

    await time_all("writing", writing)
    asked = await questions(store, new[0].id, caller, stage, QUESTIONS + 1)
    await time_all("questions", {what: (call, QUESTIONS) for what, call in asked.items()})
    items = list(answers.items(first, 2 * ITEMS + BATCH + 1))
    batches = [items[start : start + BATCH] for start in range(0, ITEMS + BATCH, BATCH)]
    singles = [[item] for item in items[ITEMS + BATCH :]]
    await time_all(
        "importing",
        {
            what: (_importing(store, parts), len(parts) - 1)
            for what, parts in zip(IMPORTED, (batches, singles), strict=True)
        },
    )
    return measured


async def timed(call: Call, calls: int) -> dict[str, Any]:
    """The time of so many calls, numbered from 1, after one that is not counted."""
    await call(0)
    began = _now()
    for number in range(1, calls + 1):
        await call(number)
    return {"calls": calls, **_since(began)}


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _since(began: tuple[float, float]) -> dict[str, float]:
    cpu, wall = _now()
    return {"cpu_seconds": cpu - began[0], "wall_seconds": wall - began[1]}


def _recording(store: FeedbackStore, new: Sequence[NewResponse]) -> Call:
    """As the recorder writes when few answers arrive: the scores come later than the answer."""
    scores = [scores_of(answer) for answer in new]

    async def record(number: int) -> None:
        await store.record([new[number]])
        await store.record((), [scores[number]])

    return record


def _thumbs(store: FeedbackStore, new: Sequence[NewResponse], caller: str) -> Call:
    def give(number: int) -> QuickFeedback:
        name = new[number].id
        return QuickFeedback(submission_id=f"{caller} {name}", response_id=name, caller=caller, thumb=1)

    return lambda number: store.quick_feedback(give(number))


def _annotating(store: FeedbackStore, new: Sequence[NewResponse], annotator: str) -> Call:
    def annotation(number: int) -> Annotation:
        answer = new[number]
        error = Span(label="Irrelevant", start=0, end=len(answer.text))
        name = f"{annotator} {answer.id}"
        return Annotation(
            submission_id=name, response_id=answer.id, annotator=annotator, errors=(error,), corrected="Otherwise."
        )

    return lambda number: store.submit(annotation(number))


def _importing(store: FeedbackStore, parts: Sequence[Sequence[Item]]) -> Call:
    return lambda number: import_items(store, parts[number])


def _seconds(cost: dict[str, Any]) -> dict[str, float]:
    return {name: cost[name] for name in ("cpu_seconds", "wall_seconds")}


def _ratio(of: dict[str, Any], to: dict[str, Any]) -> dict[str, float]:
    return {name: of[f"{name}_seconds"] / to[f"{name}_seconds"] for name in ("cpu", "wall")}
