"""Moving items into the feedback store."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from rewards.dataset import PAIRS, strip_title
from service.feedback.exchange.files import reason_of
from service.feedback.exchange.item import (
    UNNAMED,
    Item,
    LeftOut,
    Read,
    Refusal,
    comparison_of,
    response_of,
    sentence_rows,
    submission_of,
    successor_of,
)
from service.feedback.records import (
    Annotation,
    Comparison,
    ImportedFeedback,
    MissingInformation,
    NewResponse,
    Outcome,
    Span,
    StoredPassage,
)
from service.feedback.store.feedback_store import FeedbackStore

BATCH = 100
"""Items stored in one transaction."""


@dataclass
class Imported:
    """How many of a file's records were imported, and which were refused."""

    stored: int = 0
    corrected: int = 0
    """Stored as a further version, because the id was already stored with different content."""
    again: int = 0
    """Already stored."""
    refused: list[Refusal] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Parts of imported records that are not, by what they are."""

    def count(self, outcome: Outcome) -> None:
        """Count an item."""
        setattr(self, outcome, getattr(self, outcome) + 1)


async def import_items(
    store: FeedbackStore, content: Iterable[Read], advance: Callable[[int], None] = lambda _: None
) -> Imported:
    """Import what a format has read and report on it; `advance` is called with the number done. Raises StoreFailed."""
    report = Imported()
    refused: dict[int, Refusal] = {}
    """By place in the file, since a batch is refused later than what cannot be read."""
    waiting: list[tuple[int, Item, ImportedFeedback]] = []

    async def store_batch() -> None:
        outcomes = await store.import_feedback([feedback for _, _, feedback in waiting])
        for (number, item, _), outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, str):
                report.count(outcome)
            else:
                refused[number] = Refusal(item.where, str(outcome))
        waiting.clear()

    number = 0
    for number, part in enumerate(content, 1):
        if isinstance(part, LeftOut):
            report.left_out[part.what] += 1
        elif isinstance(part, Refusal):
            refused[number] = part
        else:
            try:
                waiting.append((number, part, feedback_of(part)))
            except ValidationError as error:
                refused[number] = Refusal(part.where, reason_of(error))
        if len(waiting) == BATCH:
            await store_batch()
            advance(number)
    await store_batch()
    advance(number)
    report.refused = [_printable(refused[number]) for number in sorted(refused)]
    return report


def _printable(refusal: Refusal) -> Refusal:
    """Half of a surrogate pair, which JSON allows, cannot be printed."""
    return replace(refusal, reason=refusal.reason.encode("utf-8", "replace").decode())


def feedback_of(item: Item) -> ImportedFeedback:
    """An item as the store takes it. Raises ValidationError for what no store can hold."""
    name = item.annotator or UNNAMED
    ids = [response_of(item, which) for which in range(len(item.predictions))]
    return ImportedFeedback(
        responses=_responses(item, ids),
        annotation=Annotation(
            submission_id=submission_of(item),
            response_id=ids[0],
            annotator=name,
            errors=tuple(Span(**error.model_dump()) for error in item.errors),
            missing=tuple(MissingInformation(**gap.model_dump()) for gap in item.missing),
            corrected=item.corrected,
        ),
        successor=successor_of(item),
        comparisons=tuple(
            Comparison(
                submission_id=comparison_of(item, pair),
                annotator=name,
                a=ids[pair[0] - 1],
                b=ids[pair[1] - 1],
                choice=("tie", "a", "b")[value],
            )
            for pair, value in zip(PAIRS, item.preference, strict=True)
            if max(pair) <= len(ids)
        ),
    )


def _responses(item: Item, ids: list[str]) -> tuple[NewResponse, ...]:
    """The item's responses. The annotated one carries in `extra` what the store has no columns for."""
    passages = tuple(_passage(rows) for rows in item.passages)
    extra = {
        "gold": item.gold,
        "others": ids[1:],
        "passages": None if sentence_rows(passages) == item.passages else [list(rows) for rows in item.passages],
    }
    return tuple(
        NewResponse(
            id=response_id,
            text=text,
            question=item.question,
            passages=passages,
            source="imported",
            extra={key: value for key, value in extra.items() if value} if which == 0 else None,
        )
        for which, (response_id, text) in enumerate(zip(ids, item.predictions, strict=True))
    )


def _passage(rows: tuple[str, ...]) -> StoredPassage:
    title, *sentences = rows or ("",)
    text = " ".join(strip_title(title, sentence) for sentence in sentences)
    return StoredPassage(title=title, text=text, sentences=tuple(sentences))
