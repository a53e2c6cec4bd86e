"""Moving items out of the feedback store."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from rewards.dataset import PAIRS, MissingInfo, SpanError
from service.feedback.exchange.comparison_index import ComparisonIndex
from service.feedback.exchange.item import IMPORTED, UNNAMED, Item, sentence_rows, submission_of, successor_of
from service.feedback.records import NewResponse, StoredAnnotation
from service.feedback.store.feedback_store import FeedbackStore

_PAGE = 200


async def export_items(store: FeedbackStore, *, borrowing: bool = False) -> AsyncIterator[Item]:
    """The latest version of every annotation as an item, in the order in which they were stored.

    A comparison is exported with its annotator's annotation of one of the two responses. With `borrowing` it may also
    go with somebody else's, so that every comparison between annotated responses is exported. Raises StoreFailed.
    """
    comparisons = await ComparisonIndex.of(store)
    cursor: str | None = None
    while True:
        page = await store.annotations(cursor, _PAGE, latest=True)
        responses = await store.recorded({annotation.response_id for annotation in page.items})
        people = {annotation.id: _people(annotation, comparisons, borrowing) for annotation in page.items}
        mentioned = {
            other
            for annotation in page.items
            if annotation.response_id in responses
            for other in _compared(responses[annotation.response_id], people[annotation.id], comparisons)
        }
        responses |= await store.recorded(mentioned - responses.keys())
        for annotation in page.items:
            if annotation.response_id in responses:  # else it was deleted meanwhile
                yield _item(annotation, responses, people[annotation.id], comparisons)
        cursor = page.next
        if cursor is None:
            return


def _people(annotation: StoredAnnotation, comparisons: ComparisonIndex, borrowing: bool) -> list[str]:
    """Whose comparisons are exported with an annotation."""
    others = comparisons.people(annotation.response_id) if borrowing else []
    return [annotation.annotator, *(name for name in others if name != annotation.annotator)]


def _compared(response: NewResponse, people: Sequence[str], comparisons: ComparisonIndex) -> list[str]:
    """The responses that a response is exported with, if they are still stored."""
    in_file = (response.extra or {}).get("others", [])
    return list(dict.fromkeys([*in_file, *comparisons.partners(response.id, people)]))


def _item(
    annotation: StoredAnnotation,
    responses: Mapping[str, NewResponse],
    people: Sequence[str],
    comparisons: ComparisonIndex,
) -> Item:
    response = responses[annotation.response_id]
    texts = {other: responses[other].text for other in _compared(response, people, comparisons) if other in responses}
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
        gold=(response.extra or {}).get("gold", ""),
        annotator=None if annotation.annotator == UNNAMED else annotation.annotator,
        response_id=_own_id(response.id),
        other_ids=tuple(others_own) if any(others_own := [_own_id(name) for name in ids[1:]]) else (),
    )  # fmt: skip
    derived = (submission_of(item), successor_of(item))
    return item if annotation.submission_id in derived else replace(item, submission_id=annotation.submission_id)


def _own_id(response_id: str) -> str | None:
    """The id of a response, None if it is derived from its content."""
    return None if response_id.startswith(IMPORTED) else response_id


def _original_passages(response: NewResponse) -> tuple[tuple[str, ...], ...]:
    rows = (response.extra or {}).get("passages")
    return tuple(map(tuple, rows)) if rows else sentence_rows(response.passages)
