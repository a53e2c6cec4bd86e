"""QA-Feedback's format, without loss: a file that is read and written again differs only in JSON's white space.

A row has four predictions and a preference for each pair of them. For an item with fewer responses, the first stands in
for the others and is tied with everything; `read` drops such stand-ins.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rewards.dataset import PAIRS, MissingInfo, SpanError
from service.feedback.exchange.files import write_list
from service.feedback.exchange.item import AS_WRITTEN, Item, Read, ReadOptions
from service.feedback.exchange.usable import read_rows

CONTROLS = ()
_PREDICTIONS = 4


class _Feedback(BaseModel):
    errors: list[SpanError]
    missing: list[MissingInfo] = Field(alias="missing-info")
    corrected: str = Field(alias="corrected-prediction")


class _Row(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    question: str
    passages: list[list[str]]
    gold: str = ""
    prediction_1: str = Field(alias="prediction 1")
    prediction_2: str = Field(alias="prediction 2")
    prediction_3: str = Field(alias="prediction 3")
    prediction_4: str = Field(alias="prediction 4")
    feedback: _Feedback
    preference: list[Literal[0, 1, 2]] = Field(min_length=len(PAIRS), max_length=len(PAIRS))
    annotator: str | None = None
    response_id: str | None = None
    submission_id: str | None = None
    other_response_ids: list[str | None] = []

    def item(self) -> Item:
        feedback, predictions = self.feedback, self._without_stand_ins()
        untouched = not feedback.errors and not feedback.missing and feedback.corrected == self.prediction_1
        return Item(
            question=self.question,
            passages=tuple(map(tuple, self.passages)),
            predictions=predictions,
            errors=tuple(feedback.errors),
            missing=tuple(feedback.missing),
            corrected=None if untouched else feedback.corrected,
            preference=tuple(self.preference),
            gold=self.gold,
            annotator=self.annotator,
            response_id=self.response_id,
            submission_id=self.submission_id,
            other_ids=tuple(self.other_response_ids),
        )

    def _without_stand_ins(self) -> tuple[str, ...]:
        """The predictions without those at the end that repeat the first and that no preference mentions."""
        predictions = [self.prediction_1, self.prediction_2, self.prediction_3, self.prediction_4]
        preferred = {n for pair, value in zip(PAIRS, self.preference, strict=True) if value for n in pair}
        while len(predictions) > 1 and predictions[-1] == predictions[0] and len(predictions) not in preferred:
            predictions.pop()
        return tuple(predictions)


def read(path: Path, options: ReadOptions = AS_WRITTEN) -> Iterator[Read]:
    """The items of a file, and a refusal for each row that cannot be used.

    Raises FgctlError if the file as a whole cannot be read.
    """
    return read_rows(path, lambda record: (_Row.model_validate(record).item(), ()), "QA-Feedback")


def write(items: Iterable[Item], path: Path) -> int:
    """Write items, and return how many. Raises FgctlError if the file cannot be written."""
    rows = [row(item) for item in items]
    write_list(path, rows)
    return len(rows)


def row(item: Item) -> dict[str, Any]:
    """An item as a row of the format."""
    text = item.predictions[0]
    predictions = item.predictions + (text,) * (_PREDICTIONS - len(item.predictions))
    ids = {name: getattr(item, name) for name in ("annotator", "response_id", "submission_id")}
    return {
        "question": item.question,
        "passages": [list(passage) for passage in item.passages],
        "gold": item.gold,
        **{f"prediction {number}": prediction for number, prediction in enumerate(predictions, 1)},
        "feedback": {
            "errors": [error.model_dump(by_alias=True) for error in item.errors],
            "missing-info": [gap.model_dump(mode="json", by_alias=True) for gap in item.missing],
            "corrected-prediction": text if item.corrected is None else item.corrected,
        },
        "preference": list(item.preference),
        **{name: value for name, value in ids.items() if value is not None},
        **({"other_response_ids": list(item.other_ids)} if item.other_ids else {}),
    }
