"""A text with labelled spans, and columns beside them: what the JSON lines of doccano and Prodigy are.

Such tools show spans alone. What else was said of the response is carried along and comes back as it was exported.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field

from rewards.dataset import PAIRS, MissingInfo, Number, SpanError
from service.feedback.exchange.item import TIES, Item
from service.feedback.exchange.tasks.task_source import TaskSource
from service.feedback.labels import as_spelt

Mark = tuple[str, int, int]
"""Label, start and end: code points, end exclusive."""
_INSIDE = ("meta", "metadata")
"""Where a tool may keep the columns that are not its own."""


class _Rest(BaseModel):
    """What is said besides spans."""

    errors: tuple[SpanError, ...] = ()
    """The exported errors, with their explanations and in their order."""
    missing: tuple[MissingInfo, ...] = ()
    corrected: str | None = None
    preference: tuple[Annotated[Number, Field(ge=0, le=2)], ...] = Field(
        TIES, min_length=len(PAIRS), max_length=len(PAIRS)
    )


def columns(item: Item) -> dict[str, Any]:
    """The columns beside an item's text and spans."""
    rest = _Rest(errors=item.errors, missing=item.missing, corrected=item.corrected, preference=item.preference)
    source = TaskSource.of(item).model_dump(mode="json", exclude_none=True)
    return source | {"feedback": rest.model_dump(mode="json", exclude_none=True)}


class MarkedText:
    """A row of such a file. Raises ValueError for one that lacks what is needed."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        nested = [row[name] for name in _INSIDE if isinstance(row.get(name), dict)]
        data = {name: value for content in (*nested, row) for name, value in content.items() if value is not None}
        self.source = TaskSource.within(data, ("question", "text"))
        self.text: str = data["text"]
        if not isinstance(self.text, str):
            raise ValueError("Field text is not text.")
        self._rest = _Rest.model_validate(data.get("feedback", {}))

    def item(self, marks: Sequence[Mark], *, own: bool, user: str | None = None) -> Item:
        """The item with these spans. `own` and `user` as for TaskSource."""
        left = Counter((as_spelt(label), start, end) for label, start, end in marks)
        errors = []
        for error in self._rest.errors:
            mark = (as_spelt(error.label), error.start, error.end)
            if left[mark]:
                left[mark] -= 1
                errors.append(error)
        errors += [SpanError(label=label, start=start, end=end) for label, start, end in left.elements()]
        return self.source.item(
            self.text,
            own=own,
            user=user,
            errors=tuple(errors),
            missing=self._rest.missing,
            corrected=self._rest.corrected,
            preference=self._rest.preference,
        )
