"""Items into the feedback store and out of it."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import ValidationError

from rewards.dataset import PAIRS, MissingInfo, SpanError, strip_title
from service.errors import NotFound, ServiceError
from service.feedback.errors import StoreFailed
from service.feedback.exchange.comparisons import Compared
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
"""Whose feedback is that of files that do not say."""
_PAGE = 200
Outcome = Literal["stored", "corrected", "again"]


@dataclass
class Imported:
    """What became of a file's records."""

    stored: int = 0
    corrected: int = 0
    """Kept as a further version of what is in the store under the same id with other content."""
    again: int = 0
    """Already in the store."""
    refused: list[Refusal] = field(default_factory=list)


async def import_items(
    store: FeedbackStore, items: Iterable[Item | Refusal], advance: Callable[[int], None] = lambda _: None
) -> Imported:
    """Keep items, and say what became of each. `advance` is told how many are done. Raises StoreFailed."""
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
    """Keep an item. Raises ServiceError and ValidationError where the store refuses it."""
    name = item.annotator or UNNAMED
    ids = [response_of(item, which) for which in range(len(item.predictions))]
    await store.record(_responses(item, ids))
    kept = await store.response(ids[0])
    if kept.text != item.predictions[0]:
        raise Mismatched(f"The answer {ids[0][:64]!r} has another text in the store.", "response_id")
    given = Annotation(
        submission_id=submission_of(item),
        response_id=ids[0],
        annotator=name,
        errors=tuple(Span(**one.model_dump()) for one in item.errors),
        missing=tuple(MissingInformation(**one.model_dump()) for one in item.missing),
        corrected=item.corrected,
    )
    outcome = await _kept(store, given, successor_of(item))
    if outcome == "again":
        return outcome
    await store.sign_in(name)
    for pair, value in zip(PAIRS, item.preference, strict=True):
        if max(pair) <= len(ids):
            compared = {"a": ids[pair[0] - 1], "b": ids[pair[1] - 1], "choice": ("tie", "a", "b")[value]}
            ident = {"submission_id": comparison_of(item, pair), "annotator": name}
            await store.compare(Comparison.model_validate(ident | compared), imported=True)
    # Last, so that an import that was cut off does the rest when it is run again.
    if outcome == "corrected":
        given = given.model_copy(update={"submission_id": successor_of(item)})
    await store.submit(given, imported=True)
    return outcome


class Mismatched(ServiceError):
    """Feedback on a response that the store has with another text."""

    status, type = 409, "conflict"


async def _kept(store: FeedbackStore, given: Annotation, successor: str) -> Outcome:
    """Whether an annotation is there already, by its id or as a correction of what is there by its id."""
    page = await store.annotations(limit=1000, response_id=given.response_id)
    known = {one.submission_id: one for one in page.items}
    if successor in known:
        return "again"
    one = known.get(given.submission_id)
    if one is None:
        return "stored"
    same = all(getattr(one, name) == getattr(given, name) for name in ("annotator", "errors", "missing", "corrected"))
    return "again" if same else "corrected"


def _responses(item: Item, ids: list[str]) -> list[NewResponse]:
    """The item's answers; the annotated one carries what the store has no place for."""
    passages = tuple(_passage(rows) for rows in item.passages)
    extra = {
        "gold": item.gold,
        "others": ids[1:],
        "passages": None if _rows(passages) == item.passages else [list(rows) for rows in item.passages],
    }
    return [
        NewResponse(
            id=one,
            text=text,
            question=item.question,
            passages=passages,
            source="imported",
            extra={key: value for key, value in extra.items() if value} if which == 0 else None,
        )
        for which, (one, text) in enumerate(zip(ids, item.predictions, strict=True))
    ]


def _passage(rows: tuple[str, ...]) -> StoredPassage:
    title, *sentences = rows or ("",)
    text = " ".join(strip_title(title, sentence) for sentence in sentences)
    return StoredPassage(title=title, text=text, sentences=tuple(sentences))


def _rows(passages: tuple[StoredPassage, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple((one.title, *(one.sentences or ((one.text,) if one.text else ()))) for one in passages)


async def export_items(store: FeedbackStore, *, borrowing: bool = False) -> AsyncIterator[Item]:
    """The latest version of every annotation as an item, in the order in which they were stored.

    Comparisons go with the annotations by the same person of one of the answers; with `borrowing` also with those by
    others, so that none is lost of those between annotated answers. Raises StoreFailed.
    """
    compared = await Compared.of(store)
    cursor: str | None = None
    while True:
        page = await store.annotations(cursor, _PAGE, latest=True)
        for one in page.items:
            yield await _item(store, one, compared, borrowing)
        cursor = page.next
        if cursor is None:
            return


async def _item(store: FeedbackStore, one: StoredAnnotation, compared: Compared, borrowing: bool) -> Item:
    response = await store.response(one.response_id)
    extra = response.extra or {}
    people = compared.people(one.response_id) if borrowing else []
    people = [one.annotator, *(name for name in people if name != one.annotator)]
    others = list(dict.fromkeys([*extra.get("others", []), *compared.partners(one.response_id, people)]))
    found = {other: text for other in others if (text := await _text(store, other)) is not None}
    ids = [one.response_id, *list(found)[:3]]
    item = Item(
        question=response.question,
        passages=_given(response),
        predictions=(response.text, *(found[other] for other in ids[1:])),
        errors=tuple(SpanError.model_validate(span.model_dump()) for span in one.errors),
        missing=tuple(MissingInfo.model_validate(lack.model_dump()) for lack in one.missing),
        corrected=one.corrected,
        preference=tuple(
            compared.take(ids[a - 1], ids[b - 1], people) if b <= len(ids) else 0 for a, b in PAIRS
        ),
        gold=extra.get("gold", ""),
        annotator=None if one.annotator == UNNAMED else one.annotator,
        response_id=None if one.response_id.startswith(IMPORTED) else one.response_id,
    )  # fmt: skip
    made_of_content = one.submission_id in (submission_of(item), successor_of(item))
    return item if made_of_content else replace(item, submission_id=one.submission_id)


def _given(response: StoredResponse) -> tuple[tuple[str, ...], ...]:
    rows = (response.extra or {}).get("passages")
    return tuple(map(tuple, rows)) if rows else _rows(response.passages)


async def _text(store: FeedbackStore, response_id: str) -> str | None:
    """The text of a response; None where it was deleted."""
    try:
        return (await store.response(response_id)).text
    except NotFound:
        return None
