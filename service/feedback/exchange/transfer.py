"""Moving items into the feedback store and out of it."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import ValidationError

from rewards.dataset import PAIRS, MissingInfo, SpanError, strip_title
from service.errors import NotFound, ServiceError
from service.feedback.errors import StoreFailed
from service.feedback.exchange.comparison_index import ComparisonIndex
from service.feedback.exchange.files import reason_of
from service.feedback.exchange.item import (
    IMPORTED,
    Item,
    Refusal,
    comparison_of,
    response_of,
    submission_of,
    successor_of,
)
from service.feedback.records import (
    Annotation,
    Comparison,
    MissingInformation,
    NewResponse,
    Span,
    StoredAnnotation,
    StoredPassage,
    StoredResponse,
)
from service.feedback.store.feedback_store import FeedbackStore

UNNAMED = "imported"
"""The annotator of feedback from files that name none."""
_PAGE = 200
Outcome = Literal["stored", "corrected", "again"]


@dataclass
class Imported:
    """How many of a file's records were imported, and which were refused."""

    stored: int = 0
    corrected: int = 0
    """Stored as a further version, because the id was already stored with different content."""
    again: int = 0
    """Already stored."""
    refused: list[Refusal] = field(default_factory=list)


async def import_items(
    store: FeedbackStore, items: Iterable[Item | Refusal], advance: Callable[[int], None] = lambda _: None
) -> Imported:
    """Import items and report on them; `advance` is called with the number done. Raises StoreFailed."""
    report = Imported()
    for number, item in enumerate(items, 1):
        if isinstance(item, Refusal):
            report.refused.append(item)
        else:
            try:
                outcome = await import_item(store, item)
                setattr(report, outcome, getattr(report, outcome) + 1)
            except StoreFailed:
                raise
            except (ServiceError, ValidationError) as error:
                reason = reason_of(error) if isinstance(error, ValidationError) else str(error)
                report.refused.append(Refusal(item.where, reason))
        advance(number)
    return report


async def import_item(store: FeedbackStore, item: Item) -> Outcome:
    """Import an item. Raises ServiceError and ValidationError if the store refuses it."""
    name = item.annotator or UNNAMED
    ids = [response_of(item, which) for which in range(len(item.predictions))]
    await store.record(_responses(item, ids))
    response = await store.response(ids[0])
    if response.text != item.predictions[0]:
        raise Mismatched(f"The answer {ids[0][:64]!r} has a different text in the store.", "response_id")
    annotation = Annotation(
        submission_id=submission_of(item),
        response_id=ids[0],
        annotator=name,
        errors=tuple(Span(**error.model_dump()) for error in item.errors),
        missing=tuple(MissingInformation(**gap.model_dump()) for gap in item.missing),
        corrected=item.corrected,
    )
    outcome = await _outcome(store, annotation, successor_of(item))
    if outcome == "again":
        return outcome
    await store.sign_in(name)
    for pair, value in zip(PAIRS, item.preference, strict=True):
        if max(pair) <= len(ids):
            preferred = {"a": ids[pair[0] - 1], "b": ids[pair[1] - 1], "choice": ("tie", "a", "b")[value]}
            identity = {"submission_id": comparison_of(item, pair), "annotator": name}
            await store.compare(Comparison.model_validate(identity | preferred), imported=True)
    # The annotation comes last, so that repeating an interrupted import completes it.
    if outcome == "corrected":
        annotation = annotation.model_copy(update={"submission_id": successor_of(item)})
    await store.submit(annotation, imported=True)
    return outcome


class Mismatched(ServiceError):
    """Feedback on a response whose text in the store is different."""

    status, type = 409, "conflict"


async def _outcome(store: FeedbackStore, annotation: Annotation, successor: str) -> Outcome:
    """What importing an annotation amounts to; `successor` is its submission id if it is a correction."""
    page = await store.annotations(limit=1000, response_id=annotation.response_id)
    by_id = {stored.submission_id: stored for stored in page.items}
    if successor in by_id:
        return "again"
    stored = by_id.get(annotation.submission_id)
    if stored is None:
        return "stored"
    content = ("annotator", "errors", "missing", "corrected")
    same = all(getattr(stored, name) == getattr(annotation, name) for name in content)
    return "again" if same else "corrected"


def _responses(item: Item, ids: list[str]) -> list[NewResponse]:
    """The item's responses. The annotated one carries in `extra` what the store has no columns for."""
    passages = tuple(_passage(rows) for rows in item.passages)
    extra = {
        "gold": item.gold,
        "others": ids[1:],
        "passages": None if _rows(passages) == item.passages else [list(rows) for rows in item.passages],
    }
    return [
        NewResponse(
            id=response_id,
            text=text,
            question=item.question,
            passages=passages,
            source="imported",
            extra={key: value for key, value in extra.items() if value} if which == 0 else None,
        )
        for which, (response_id, text) in enumerate(zip(ids, item.predictions, strict=True))
    ]


def _passage(rows: tuple[str, ...]) -> StoredPassage:
    title, *sentences = rows or ("",)
    text = " ".join(strip_title(title, sentence) for sentence in sentences)
    return StoredPassage(title=title, text=text, sentences=tuple(sentences))


def _rows(passages: tuple[StoredPassage, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple((p.title, *(p.sentences or ((p.text,) if p.text else ()))) for p in passages)


async def export_items(store: FeedbackStore, *, borrowing: bool = False) -> AsyncIterator[Item]:
    """The latest version of every annotation as an item, in the order in which they were stored.

    A comparison is exported with its annotator's annotation of one of the two responses. With `borrowing` it may also
    go with somebody else's, so that every comparison between annotated responses is exported. Raises StoreFailed.
    """
    comparisons = await ComparisonIndex.of(store)
    cursor: str | None = None
    while True:
        page = await store.annotations(cursor, _PAGE, latest=True)
        for annotation in page.items:
            yield await _item(store, annotation, comparisons, borrowing)
        cursor = page.next
        if cursor is None:
            return


async def _item(
    store: FeedbackStore, annotation: StoredAnnotation, comparisons: ComparisonIndex, borrowing: bool
) -> Item:
    response = await store.response(annotation.response_id)
    extra = response.extra or {}
    others = comparisons.people(response.id) if borrowing else []
    people = [annotation.annotator, *(name for name in others if name != annotation.annotator)]
    compared = dict.fromkeys([*extra.get("others", []), *comparisons.partners(response.id, people)])
    texts = {other: text for other in compared if (text := await _text(store, other)) is not None}
    ids = [response.id, *list(texts)[:3]]
    item = Item(
        question=response.question,
        passages=_original_passages(response),
        predictions=(response.text, *(texts[other] for other in ids[1:])),
        errors=tuple(SpanError.model_validate(error.model_dump()) for error in annotation.errors),
        missing=tuple(MissingInfo.model_validate(gap.model_dump()) for gap in annotation.missing),
        corrected=annotation.corrected,
        preference=tuple(
            comparisons.take(ids[a - 1], ids[b - 1], people) if b <= len(ids) else 0 for a, b in PAIRS
        ),
        gold=extra.get("gold", ""),
        annotator=None if annotation.annotator == UNNAMED else annotation.annotator,
        response_id=None if response.id.startswith(IMPORTED) else response.id,
    )  # fmt: skip
    derived = (submission_of(item), successor_of(item))
    return item if annotation.submission_id in derived else replace(item, submission_id=annotation.submission_id)


def _original_passages(response: StoredResponse) -> tuple[tuple[str, ...], ...]:
    rows = (response.extra or {}).get("passages")
    return tuple(map(tuple, rows)) if rows else _rows(response.passages)


async def _text(store: FeedbackStore, response_id: str) -> str | None:
    """The text of a response; None if it was deleted."""
    try:
        return (await store.response(response_id)).text
    except NotFound:
        return None
