"""Labels of parts of responses, in JSON lines: which parts the passages support, and which not.

    {"question": "…", "passages": [{"title": "…", "text": "…"}], "response": "…",
     "spans": [{"start": 0, "end": 21, "error": false}, {"start": 22, "end": 60, "error": true}]}

Offsets are code points into the response, end exclusive. A span may name another `category` than factuality. What no
span covers was not judged.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rewards.categories import Category
from rewards.dataset import Passage, parse_passages
from rewards.errors import FgctlError
from rewards.json_rows import HALF_A_CHARACTER, unencodable
from rewards.scores import ScoreRequest
from rewards.segmentation import Span

Marks = NDArray[np.float64]
"""The share of people who mark each segment as an error; nan where nobody judged it."""
_WORD = re.compile(r"\w")


class LabelledSpan(BaseModel):
    """What somebody says of a part of a response."""

    model_config = ConfigDict(frozen=True)

    start: int = Field(ge=0)
    end: int
    error: bool
    category: Category = "factuality"


class LabelledResponse(BaseModel):
    """A response of which somebody has judged parts."""

    model_config = ConfigDict(frozen=True)

    question: str = ""
    passages: tuple[Passage, ...] = ()
    response: str
    spans: tuple[LabelledSpan, ...]

    @field_validator("passages", mode="before")
    @classmethod
    def _any_format(cls, value: Any) -> tuple[Passage, ...]:
        return parse_passages(value if not isinstance(value, tuple) else [dict(passage) for passage in value])

    @model_validator(mode="after")
    def _spans_lie_in_the_response(self) -> "LabelledResponse":
        for number, span in enumerate(self.spans):
            if not span.start < span.end <= len(self.response):
                raise ValueError(
                    f"span {number} goes from {span.start} to {span.end} in a response of {len(self.response)} "
                    f"characters"
                )
        return self

    @property
    def request(self) -> ScoreRequest:
        """What is scored."""
        return ScoreRequest(self.question, self.passages, self.response)

    @property
    def categories(self) -> tuple[Category, ...]:
        """The categories that somebody has judged it by."""
        return tuple(dict.fromkeys(span.category for span in self.spans))

    def marks(self, category: Category, segments: Sequence[Span]) -> Marks:
        """The share of errors among the spans over each segment: float64 [segments].

        A segment is an error if any span over it is one. A span is over a segment if they share a letter or digit, so
        that sentences which end in slightly different places do not label their neighbours.
        """
        marks = np.full(len(segments), np.nan)
        for number, segment in enumerate(segments):
            over = [span.error for span in self.spans if span.category == category and self._share(span, segment)]
            if over:
                marks[number] = float(any(over))
        return marks

    def _share(self, span: LabelledSpan, segment: Span) -> bool:
        start, end = max(span.start, segment[0]), min(span.end, segment[1])
        return start < end and _WORD.search(self.response, start, end) is not None


def load_support_labels(path: Path) -> list[LabelledResponse]:
    """Read JSON lines of labelled responses. Raises FgctlError naming the line that is wrong."""
    return [_checked(path, number, row) for number, row in json_lines(path)]


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines in UTF-8, with or without a byte order mark, and their line numbers.

    Raises FgctlError naming the line that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FgctlError(f"{path} cannot be read ({error}); name a UTF-8 file of JSON lines.") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise FgctlError(f"{path}, line {number}: not JSON ({error.msg}); fix that line.") from None
        if not isinstance(row, dict):
            raise FgctlError(f"{path}, line {number}: not a JSON object; fix that line.")
        if (field := unencodable(row)) is not None:
            raise FgctlError(f"{path}, line {number}, {field}: {HALF_A_CHARACTER}.")
        yield number, row


def are_support_labels(path: Path) -> bool:
    """Whether a file's first line is a labelled response, rather than the start of a JSON list."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            row = json.loads(next((line for line in file if line.strip()), ""))
    except (OSError, ValueError):
        return False
    return isinstance(row, dict) and "spans" in row and "response" in row


def _checked(path: Path, number: int, row: dict[str, Any]) -> LabelledResponse:
    try:
        return LabelledResponse.model_validate(row)
    except ValidationError as error:
        problem = error.errors()[0]
        where = "".join(f".{part}" for part in problem["loc"])
        raise FgctlError(f"{path}, line {number}{where and f', {where[1:]}'}: {problem['msg']}; fix it.") from None
