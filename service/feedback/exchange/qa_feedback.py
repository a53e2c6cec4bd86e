"""QA-Feedback's format, without loss: what is read is written again as it was, up to the spaces of JSON.

The format has four predictions and a preference for each pair of them. Where there are fewer answers, the first one
stands in for those that are not there, tied with everything: such pairs teach nothing, and are dropped in reading.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rewards.dataset import PAIRS, MissingInfo, SpanError
from service.feedback.exchange.files import reason_of, records, write_list
from service.feedback.exchange.item import Item, Refusal, objection

_PREDICTIONS = 4


class _Said(BaseModel):
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
    feedback: _Said
    preference: list[Literal[0, 1, 2]] = Field(min_length=len(PAIRS), max_length=len(PAIRS))
    annotator: str | None = None
    response_id: str | None = None
    submission_id: str | None = None

    def item(self) -> Item:
        said, predictions = self.feedback, self._answers()
        untouched = not said.errors and not said.missing and said.corrected == self.prediction_1
        return Item(
            question=self.question,
            passages=tuple(map(tuple, self.passages)),
            predictions=predictions,
            errors=tuple(said.errors),
            missing=tuple(said.missing),
            corrected=None if untouched else said.corrected,
            preference=tuple(self.preference),
            gold=self.gold,
            annotator=self.annotator,
            response_id=self.response_id,
            submission_id=self.submission_id,
        )

    def _answers(self) -> tuple[str, ...]:
        """The predictions without those at the end that only stand in for answers that are not there."""
        answers = [self.prediction_1, self.prediction_2, self.prediction_3, self.prediction_4]
        preferred = {n for pair, value in zip(PAIRS, self.preference, strict=True) if value for n in pair}
        while len(answers) > 1 and answers[-1] == answers[0] and len(answers) not in preferred:
            answers.pop()
        return tuple(answers)


def read(path: Path) -> Iterator[Item | Refusal]:
    """The items of a file, and what cannot be taken of it. Raises FgctlError when the file cannot be read at all."""
    for where, record in records(path):
        if isinstance(record, Refusal):
            yield record
            continue
        try:
            item = _Row.model_validate(record).item()
        except ValidationError as error:
            yield Refusal(where, reason_of(error))
            continue
        reason = objection(item)
        yield Refusal(where, reason) if reason else replace(item, where=where)


def write(items: Iterable[Item], path: Path) -> int:
    """Write items, and say how many. Raises FgctlError when the file cannot be written."""
    rows = [row(item) for item in items]
    write_list(path, rows)
    return len(rows)


def row(item: Item) -> dict[str, Any]:
    """An item as a row of the format."""
    text = item.predictions[0]
    answers = item.predictions + (text,) * (_PREDICTIONS - len(item.predictions))
    ids = {name: getattr(item, name) for name in ("annotator", "response_id", "submission_id")}
    return {
        "question": item.question,
        "passages": [list(passage) for passage in item.passages],
        "gold": item.gold,
        **{f"prediction {number}": answer for number, answer in enumerate(answers, 1)},
        "feedback": {
            "errors": [one.model_dump(by_alias=True) for one in item.errors],
            "missing-info": [one.model_dump(mode="json", by_alias=True) for one in item.missing],
            "corrected-prediction": text if item.corrected is None else item.corrected,
        },
        "preference": list(item.preference),
        **{name: value for name, value in ids.items() if value is not None},
    }
