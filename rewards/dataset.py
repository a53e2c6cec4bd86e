"""QA-Feedback: questions with reference answers, and span feedback on responses, with loaders for both schemas.

The upstream files of https://github.com/allenai/FineGrainedRLHF load unchanged. Both schemas are converted to the same
few types, so that nothing else needs to know which file a passage came from.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from rewards.errors import FgctlError
from rewards.json_rows import load_rows, validated

PACKAGE = Path(__file__).parent
SAMPLE = PACKAGE / "sample"

RESPONSES_PER_QUESTION = 4
"""Responses ("predictions") to each question of the span feedback. People annotated the first and compared all."""
PAIRS: tuple[tuple[int, int], ...] = tuple(combinations(range(1, RESPONSES_PER_QUESTION + 1), 2))
"""Which two predictions, counted from 1, each preference value compares: (1, 2), (1, 3), (1, 4), (2, 3), ..."""


def _not_a_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")
    return value


Number = Annotated[int, BeforeValidator(_not_a_truth_value)]
"""A whole number of a file; unlike int it does not take true for 1."""


class Passage(BaseModel):
    """One retrieved passage. People and models read `text`."""

    model_config = ConfigDict(frozen=True)

    title: str
    text: str


class Example(BaseModel):
    """A question with its passages and a reference answer (the schema of `train.json`, `dev.json`)."""

    model_config = ConfigDict(frozen=True)

    question: str = Field(min_length=1)
    passages: tuple[Passage, ...]
    answer: str


class SpanError(BaseModel):
    """An error span: `start` and `end` are code-point offsets into the annotated response."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    label: str = Field(alias="error type")
    start: Number = Field(ge=0)
    end: Number = Field(ge=0)
    explanation: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> "SpanError":
        if self.end < self.start:
            raise ValueError(f"end {self.end} lies before start {self.start}")
        return self


class MissingInfo(BaseModel):
    """Information that a response lacks, by 1-based passage and sentence; the list of sentences may be empty."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    label: str = Field(alias="error type")
    passage_id: Number
    sentence_id: tuple[Number, ...]


class FeedbackExample(BaseModel):
    """Span feedback on the first prediction, and preferences between all of them."""

    model_config = ConfigDict(frozen=True)

    question: str = Field(min_length=1)
    passages: tuple[Passage, ...]
    passage_sentences: tuple[tuple[str, ...], ...]
    gold: str
    predictions: tuple[str, str, str, str]
    errors: tuple[SpanError, ...]
    missing: tuple[MissingInfo, ...]
    corrected: str
    preference: tuple[Literal[0, 1, 2], ...]
    """One value for each pair of `PAIRS`: 0 for a tie, 1 if the first is better, 2 if the second is."""


class _QaPassage(BaseModel):
    wikipage: str
    content: str


class _QaRow(BaseModel):
    question: str = Field(min_length=1)
    passages: list[_QaPassage]
    answer: list[str] | str

    def convert(self) -> Example:
        answer = self.answer if isinstance(self.answer, str) else (self.answer or [""])[0]
        passages = tuple(Passage(title=p.wikipage, text=strip_title(p.wikipage, p.content)) for p in self.passages)
        return Example(question=self.question, passages=passages, answer=answer.strip())


class _Feedback(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    errors: list[SpanError]
    missing_info: list[MissingInfo] = Field(alias="missing-info")
    corrected_prediction: str = Field(alias="corrected-prediction")

    @model_validator(mode="after")
    def _labels_are_known(self) -> "_Feedback":
        self.errors = [e.model_copy(update={"label": known_label(e.label, SPAN_LABELS)}) for e in self.errors]
        self.missing_info = [
            m.model_copy(update={"label": known_label(m.label, MISSING_LABELS)}) for m in self.missing_info
        ]
        return self


class _FeedbackRow(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    question: str = Field(min_length=1)
    passages: list[list[str]]
    gold: str = ""
    prediction_1: str = Field(alias="prediction 1")
    prediction_2: str = Field(alias="prediction 2")
    prediction_3: str = Field(alias="prediction 3")
    prediction_4: str = Field(alias="prediction 4")
    feedback: _Feedback
    preference: list[Literal[0, 1, 2]] = Field(min_length=len(PAIRS), max_length=len(PAIRS))

    @model_validator(mode="after")
    def _spans_lie_in_the_prediction(self) -> "_FeedbackRow":
        for i, span in enumerate(self.feedback.errors):
            if span.end > len(self.prediction_1):
                raise ValueError(
                    f"feedback.errors.{i}.end is {span.end}, but prediction 1 has {len(self.prediction_1)} characters"
                )
        return self

    def convert(self) -> FeedbackExample:
        rows = [(p[0], p[1:]) for p in self.passages if p]
        sentences = tuple(tuple(strip_title(title, s) for s in rest) for title, rest in rows)
        return FeedbackExample(
            question=self.question,
            passages=tuple(Passage(title=t, text=" ".join(s)) for (t, _), s in zip(rows, sentences, strict=True)),
            passage_sentences=sentences,
            gold=self.gold,
            predictions=(self.prediction_1, self.prediction_2, self.prediction_3, self.prediction_4),
            errors=tuple(self.feedback.errors),
            missing=tuple(self.feedback.missing_info),
            corrected=self.feedback.corrected_prediction,
            preference=tuple(self.preference),
        )


def known_label(label: str, known: Sequence[str]) -> str:
    """The label of that name, whatever its case and the space around it. Raises ValueError for an unknown one."""
    names = {name.casefold(): name for name in known}
    if (name := names.get(label.strip().casefold())) is None:
        raise ValueError(f"the error type {label!r} is none of {', '.join(known)}")
    return name


def strip_title(title: str, text: str) -> str:
    """Drop the page title, which Wikipedia extracts repeat as their first paragraph."""
    return text.removeprefix(f"{title}\n\n").strip()


def load_examples(path: Path | str) -> list[Example]:
    """Read a file of the schema of `train.json` and `dev.json`.

    Raises FgctlError naming the file, and the row and field if one is invalid.
    """
    return [row.convert() for row in load_rows(Path(path), _QaRow)]


def load_feedback(path: Path | str) -> list[FeedbackExample]:
    """Read a file of the schema of `feedback.json`.

    Raises FgctlError naming the file, and the row and field if one is invalid.
    """
    return [row.convert() for row in load_rows(Path(path), _FeedbackRow)]


def load_training_examples(path: Path) -> list[Example]:
    """Read a file of the schema of `train.json`, or the corrected responses of one of the schema of `feedback.json`.

    A response in which nobody found an error counts as its own correction; one with errors and without a correction
    has an empty answer. Raises FgctlError naming the file, and the row and field if one is invalid.
    """
    rows = load_rows(path, _AnyRow)
    if not rows or not all("feedback" in (row.model_extra or {}) for row in rows):
        return load_examples(path)
    return [
        Example(question=row.question, passages=row.passages, answer=_corrected(row)) for row in load_feedback(path)
    ]


class _AnyRow(BaseModel):
    model_config = ConfigDict(extra="allow")


def _corrected(row: FeedbackExample) -> str:
    unmarked = not row.errors and not row.missing
    return row.corrected.strip() or (row.predictions[0].strip() if unmarked else "")


def feedback_examples(rows: Sequence[Any], source: str) -> list[FeedbackExample]:
    """Convert rows of the schema of `feedback.json` that were not read from a file.

    Raises FgctlError naming `source`, and the row and field if one is invalid.
    """
    return [row.convert() for row in validated(rows, source, _FeedbackRow)]


def load_answers(path: Path) -> dict[str, list[str]]:
    """Answers by question key, from JSON lines of `question` and `response` as `fgctl sample` writes them.

    Raises FgctlError naming the line that is invalid.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FgctlError(f"{path} cannot be read ({error}); write it with `fgctl sample --out {path}`.") from None
    answers: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _Answer.model_validate_json(line)
        except ValidationError as error:
            raise FgctlError(f"{path}, line {number}: {error.errors()[0]['msg']}; fix that line.") from None
        answers.setdefault(question_key(row.question), []).append(row.response)
    return answers


class _Answer(BaseModel):
    question: str = Field(min_length=1)
    response: str


def parse_passages(value: Any) -> tuple[Passage, ...]:
    """Convert passages in any of three formats: {title, text}, {wikipage, content}, or [title, sentence, ...].

    Raises ValueError saying what is expected.
    """
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError("'passages' is not a list")
    passages = []
    for i, item in enumerate(value):
        if isinstance(item, dict):
            title, text = item.get("title", item.get("wikipage", "")), item.get("text", item.get("content"))
        elif isinstance(item, list) and item:
            title, text = item[0], " ".join(map(str, item[1:]))
        else:
            title = text = None
        if not isinstance(title, str) or not isinstance(text, str):
            raise ValueError(f"passage {i} is neither {{title, text}} nor [title, sentence, ...]")
        passages.append(Passage(title=title, text=strip_title(title, text)))
    return tuple(passages)


def question_key(question: str) -> str:
    """The key of a question, 16 hexadecimal digits: the same whatever its case and spacing. Splits list keys."""
    normalised = re.sub(r"\s+", " ", question).strip().lower()
    return hashlib.sha256(normalised.encode()).hexdigest()[:16]


def questions_digest(questions: Iterable[str]) -> str:
    """SHA-256 of the questions' keys in order, in hexadecimal: equal for the same questions."""
    return hashlib.sha256("\n".join(map(question_key, questions)).encode()).hexdigest()


def data_file(name: Literal["train", "dev", "feedback"]) -> Path:
    """The QA-Feedback file of that name: under $FGCTL_DATA, else beside the checkout, else the sample."""
    configured = os.environ.get("FGCTL_DATA")
    if configured:
        return Path(configured) / "qa_feedback" / f"{name}.json"
    beside = PACKAGE.parent.parent / "shared" / "data" / "qa_feedback" / f"{name}.json"
    return beside if beside.is_file() else SAMPLE / f"{name}.json"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
