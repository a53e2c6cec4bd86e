"""Feedback imported into a store and exported again."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewards.dataset import SAMPLE, MissingInfo, SpanError, data_file
from service.feedback.exchange import format_named
from service.feedback.exchange.exporting import export_items
from service.feedback.exchange.importing import BATCH, Imported, import_items
from service.feedback.exchange.item import Item, LeftOut, Refusal
from service.feedback.records import Annotation, Comparison, NewResponse, StoredPassage
from service.feedback.store.feedback_store import FeedbackStore, open_store

T = TypeVar("T")
PASSAGES = (("Rockets", "They fly high.", "They are loud."),)
ERROR = SpanError(label="Irrelevant", start=0, end=4)
ITEM = Item("What flies?", PASSAGES, ("Some rockets.", "Birds."), (ERROR,), (), "Rockets.", (1, 0, 0, 0, 0, 0), "Gold.")


def with_store(where: Path | str, work: Callable[[FeedbackStore], Awaitable[T]]) -> T:
    """What `work` returns for the store at a URL, or in a directory."""
    url = where if isinstance(where, str) else f"sqlite:///{where / 'feedback.db'}"

    async def run() -> T:
        store = await open_store(url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


async def all_of(items: AsyncIterator[Item]) -> list[Item]:
    return [item async for item in items]


def through(where: Path | str, *items: Item | Refusal) -> tuple[Imported, list[Item]]:
    async def work(store: FeedbackStore) -> tuple[Imported, list[Item]]:
        return await import_items(store, items), await all_of(export_items(store))

    return with_store(where, work)


def rows_of(path: Path) -> list[str]:
    return [json.dumps(row, sort_keys=True) for row in json.loads(path.read_text(encoding="utf-8"))]


def there_and_back(source: Path, tmp_path: Path, url: str | None = None) -> None:
    qa = format_named("qa-feedback")
    report, items = through(url or tmp_path, *qa.read(source))
    qa.write(items, tmp_path / "out.json")
    assert report.refused == []
    assert report.stored == len(items)
    assert rows_of(tmp_path / "out.json") == rows_of(source)


def test_the_sample_comes_back_byte_for_byte(url: str, tmp_path: Path) -> None:
    """From either database."""
    there_and_back(SAMPLE / "feedback.json", tmp_path, url)


@pytest.mark.slow
def test_the_real_feedback_comes_back_byte_for_byte(tmp_path: Path) -> None:
    real = data_file("feedback")
    if real.parent == SAMPLE or not real.is_file():
        pytest.skip("QA-Feedback's 400 annotated answers are not here; set FGCTL_DATA to where they are")
    there_and_back(real, tmp_path)


letters = st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("🚀e\u0301\u202e \n\0"))
texts = st.text(letters, min_size=1, max_size=20).filter(lambda text: bool(text.strip()))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=texts, answers=st.lists(texts, min_size=2, max_size=4), corrected=texts, seed=st.uuids())
def test_any_text_comes_back(
    question: str, answers: list[str], corrected: str, seed: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = answers[0]
    end = len(text.rstrip())
    start = len(text) - len(text.lstrip())
    item = Item(
        question, ((answers[1], question), ("",), ()), tuple(answers), (span(start, end),),
        (MissingInfo(label="Missing-Answer", passage_id=1, sentence_id=(1, 0)),), corrected, (2, 0, 0, 0, 0, 0),
        corrected, "ann", f"r-{seed}", str(seed),
    )  # fmt: skip
    report, items = through(tmp_path_factory.mktemp("store"), item)
    assert (report.refused, items) == ([], [item])


def span(start: int, end: int) -> SpanError:
    return SpanError(label="Unverifiable", start=start, end=end, explanation="é\u0301🚀")


def test_a_second_import_recognises_the_first(tmp_path: Path) -> None:
    named = replace(ITEM, annotator="ann", submission_id="s-1", response_id="r-1")
    first, _ = through(tmp_path, ITEM, named)
    again, items = through(tmp_path, ITEM, named, ITEM)
    assert (first.stored, first.again) == (2, 0)
    assert (again.stored, again.again, again.corrected) == (0, 3, 0)
    assert items == [ITEM, replace(named, preference=named.preference)]


def test_a_change_made_elsewhere_is_stored_once_as_a_further_version(tmp_path: Path) -> None:
    named = replace(ITEM, annotator="ann", submission_id="s-1")
    changed = replace(named, corrected="Rockets fly.")
    first, _ = through(tmp_path, named, changed)
    again, items = through(tmp_path, changed, named)
    assert (first.stored, first.corrected) == (1, 1)
    assert (again.again, again.corrected) == (2, 0)
    assert [item.corrected for item in items] == ["Rockets fly."]


def test_a_record_that_the_store_refuses_is_reported_with_its_place(tmp_path: Path) -> None:
    other = replace(ITEM, response_id="r-1", where="record 1")
    same_id = replace(other, predictions=("Something else.",), preference=(0,) * 6, where="record 2")
    unprintable = replace(ITEM, annotator="a\nb", where="record 3")
    report, items = through(tmp_path, other, same_id, unprintable, Refusal("record 4", "It is not a JSON object."))
    assert len(items) == 1
    assert [refusal.where for refusal in report.refused] == ["record 2", "record 3", "record 4"]
    assert "a different text" in report.refused[0].reason
    assert report.refused[1].reason == (
        "Field annotator: An id or name contains a character that cannot be printed; leave it out."
    )


def test_feedback_from_the_pages_is_exported_with_its_ids(tmp_path: Path) -> None:
    async def work(store: FeedbackStore) -> list[list[Item]]:
        await store.record([NewResponse(id=name, text=f"Answer {name}.", question="Q?") for name in "xyz"])
        for name in ("ann", "bo"):
            await store.sign_in(name)
        await store.submit(Annotation(submission_id="s", response_id="x", annotator="ann"))
        await store.compare(Comparison(submission_id="c1", a="y", b="x", choice="a", annotator="ann"))
        await store.compare(Comparison(submission_id="c2", a="z", b="x", choice="b", annotator="bo"))
        return [await all_of(export_items(store)), await all_of(export_items(store, borrowing=True))]

    (own,), (borrowed,) = with_store(tmp_path, work)
    assert (own.annotator, own.response_id, own.submission_id) == ("ann", "x", "s")
    assert own.predictions == ("Answer x.", "Answer y.")
    assert own.other_ids == ("y",)
    assert own.preference == (2, 0, 0, 0, 0, 0)
    assert borrowed.predictions == ("Answer x.", "Answer y.", "Answer z.")
    assert borrowed.preference == (2, 1, 0, 0, 0, 0)


def test_what_the_pages_stored_is_recognised_when_it_comes_back(tmp_path: Path) -> None:
    """With comparisons of served answers, whose ids come back too."""

    async def work(store: FeedbackStore) -> tuple[Imported, int]:
        passages = (StoredPassage(title="T", text="It  flies.", sentences=("It  flies.",)),)
        await store.record(
            [NewResponse(id=name, text=f"Answer {name}.", question="Q?", passages=passages) for name in "xyz"]
        )
        await store.sign_in("ann")
        for name in "xy":
            await store.submit(Annotation(submission_id=f"s-{name}", response_id=name, annotator="ann"))
        await store.compare(Comparison(submission_id="c1", a="y", b="x", choice="a", annotator="ann"))
        exported = await all_of(export_items(store))
        return await import_items(store, exported), (await store.counts()).comparisons

    report, comparisons = with_store(tmp_path, work)
    assert (report.stored, report.corrected, report.again, report.refused) == (0, 0, 2, [])
    assert comparisons == 1


def test_a_preference_changed_elsewhere_is_a_correction_too(tmp_path: Path) -> None:
    named = replace(ITEM, annotator="ann", submission_id="s-1")
    through(tmp_path, named)
    report, items = through(tmp_path, replace(named, preference=(2, 0, 0, 0, 0, 0)))
    assert (report.stored, report.corrected, report.again) == (0, 1, 0)
    assert [item.preference[0] for item in items] == [2]
    again, _ = through(tmp_path, replace(named, preference=(2, 0, 0, 0, 0, 0)))
    assert (again.corrected, again.again) == (0, 1)


def test_parts_left_out_are_counted(tmp_path: Path) -> None:
    report, _ = through(tmp_path, ITEM, LeftOut("record 1", "relations"), LeftOut("record 2", "relations"))
    assert (report.stored, dict(report.left_out)) == (1, {"relations": 2})


def test_a_refused_item_leaves_nothing_and_those_beside_it_are_stored(url: str, tmp_path: Path) -> None:
    kept, other = replace(ITEM, question="Kept?"), replace(ITEM, question="Other?")
    outside = replace(ITEM, question="Bad?", errors=(ERROR.model_copy(update={"end": 999}),))

    async def work(store: FeedbackStore) -> tuple[Imported, list[str]]:
        report = await import_items(store, [kept, outside, other])
        return report, [response.question for response in (await store.responses()).items]

    report, questions = with_store(url, work)
    assert (report.stored, len(report.refused)) == (2, 1)
    assert questions == ["Kept?"] * 2 + ["Other?"] * 2


def test_a_batch_holds_what_one_person_said_twice(url: str, tmp_path: Path) -> None:
    named = replace(ITEM, annotator="Ann", submission_id="s-1")
    changed = replace(named, corrected="Rockets fly.")
    report, items = through(url, named, named, changed, replace(changed, annotator=" ann"))
    assert (report.stored, report.again, report.corrected) == (1, 2, 1)
    assert [(item.annotator, item.corrected) for item in items] == [("Ann", "Rockets fly.")]


def test_items_are_stored_in_transactions_of_a_hundred(tmp_path: Path) -> None:
    batches = []

    async def work(store: FeedbackStore) -> Imported:
        stored = store.import_feedback

        async def counted(items: Any) -> Any:
            batches.append(len(items))
            return await stored(items)

        store.import_feedback = counted  # type: ignore[method-assign]
        return await import_items(store, [replace(ITEM, question=f"{n}?") for n in range(2 * BATCH + 1)])

    assert with_store(tmp_path, work).stored == 201
    assert batches == [100, 100, 1]
