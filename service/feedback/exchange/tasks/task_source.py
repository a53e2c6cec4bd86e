"""What a task in another tool carries besides people's answers, so that nothing is lost on the way back."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from service.feedback.exchange.item import Item, content_digest, submission_of

_NEEDED = ("question", "response")
_SHOWN = 12


class TaskSource(BaseModel):
    """The parts of an item that the tool shows or passes through."""

    question: str
    passages: list[list[str]] = []
    others: list[str] = []
    """The other responses that the annotated one was compared with."""
    other_ids: list[str | None] = []
    gold: str = ""
    annotator: str | None = None
    response_id: str | None = None
    submission_id: str | None = None
    """Of the annotation that was exported; derived from its content if it has none of its own."""
    digest: str | None = None
    """Of what that annotation says; None in files of older versions."""

    @classmethod
    def of(cls, item: Item) -> "TaskSource":
        """The source of an item."""
        return cls(
            question=item.question,
            passages=[list(passage) for passage in item.passages],
            others=list(item.predictions[1:]),
            other_ids=list(item.other_ids),
            gold=item.gold,
            annotator=item.annotator,
            response_id=item.response_id,
            submission_id=submission_of(item),
            digest=content_digest(item),
        )

    @classmethod
    def within(cls, data: Mapping[str, Any], needed: tuple[str, ...] = _NEEDED) -> "TaskSource":
        """The source in a task's data. Raises ValueError, saying what there is, if something that is needed is not."""
        if missing := [name for name in needed if data.get(name) is None]:
            has = ", ".join(list(data)[:_SHOWN]) or "nothing"
            raise ValueError(
                f"The data has {has}, but no {' and no '.join(missing)}; needed are {', '.join(needed)} and passages, "
                f"a list with the title and the sentences of each."
            )
        return cls.model_validate(data)

    @property
    def number(self) -> int:
        """The exported annotation's number, for tools that keep a number and drop other ids: 53 bits."""
        return int.from_bytes(hashlib.sha256((self.submission_id or "").encode()).digest()[:7], "big") >> 3

    def item(
        self, response: str, *, own: bool, user: str | None = None, submission_id: str | None = None, **feedback: Any
    ) -> Item:
        """The item of this source, a response and the feedback on it. Raises ValueError for over three others.

        `own` is whether the feedback is the annotation that was exported, changed or not: it stays its annotator's, and
        its id. Other feedback is that of the tool's user.
        """
        if len(self.others) > 3:
            raise ValueError(f"There are {len(self.others)} other answers; keep at most 3.")
        item = Item(
            question=self.question,
            passages=tuple(map(tuple, self.passages)),
            predictions=(response, *self.others),
            gold=self.gold,
            response_id=self.response_id,
            other_ids=tuple(self.other_ids),
            annotator=self.annotator if own else user,
            submission_id=None if own and self.submission_id else submission_id,
            **feedback,
        )
        if own and self.submission_id not in (None, submission_of(item)):
            return replace(item, submission_id=self.submission_id)
        return item
