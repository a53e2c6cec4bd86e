"""What a task in another tool carries besides people's answers, so that nothing is lost on the way back."""

from typing import Any

from pydantic import BaseModel

from service.feedback.exchange.item import Item


class TaskSource(BaseModel):
    """The parts of an item that the tool shows or passes through."""

    question: str
    passages: list[list[str]] = []
    others: list[str] = []
    """The other responses that the annotated one was compared with."""
    gold: str = ""
    annotator: str | None = None
    response_id: str | None = None
    submission_id: str | None = None

    @classmethod
    def of(cls, item: Item) -> "TaskSource":
        """The source of an item."""
        return cls(
            question=item.question,
            passages=[list(passage) for passage in item.passages],
            others=list(item.predictions[1:]),
            gold=item.gold,
            annotator=item.annotator,
            response_id=item.response_id,
            submission_id=item.submission_id,
        )

    def item(self, response: str, **feedback: Any) -> Item:
        """The item of this source, a response and the feedback on it. Raises ValueError for over three others."""
        if len(self.others) > 3:
            raise ValueError(f"There are {len(self.others)} other answers; keep at most 3.")
        return Item(
            question=self.question,
            passages=tuple(map(tuple, self.passages)),
            predictions=(response, *self.others),
            gold=self.gold,
            response_id=self.response_id,
            **feedback,
        )
