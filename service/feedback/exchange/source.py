"""What a task in another tool carries besides what people do there, so that nothing is lost on the way back."""

from typing import Any

from pydantic import BaseModel

from service.feedback.exchange.item import Item


class Source(BaseModel):
    """The parts of an item that the tool shows or passes through."""

    question: str
    passages: list[list[str]] = []
    others: list[str] = []
    """The other answers that were compared."""
    gold: str = ""
    annotator: str | None = None
    response_id: str | None = None
    submission_id: str | None = None

    @classmethod
    def of(cls, item: Item) -> "Source":
        """What has to be carried of an item."""
        return cls(
            question=item.question,
            passages=[list(passage) for passage in item.passages],
            others=list(item.predictions[1:]),
            gold=item.gold,
            annotator=item.annotator,
            response_id=item.response_id,
            submission_id=item.submission_id,
        )

    def item(self, response: str, **said: Any) -> Item:
        """The item of what was said of a response."""
        if len(self.others) > 3:
            raise ValueError(f"There are {len(self.others)} other answers; at most 3 are taken.")
        return Item(
            question=self.question,
            passages=tuple(map(tuple, self.passages)),
            predictions=(response, *self.others),
            gold=self.gold,
            response_id=self.response_id,
            **said,
        )
