"""RealToxicityPrompts with Perspective's scores, and people's toxic spans, with their loaders and splits.

Gehman et al. 2020 (arXiv 2009.11462) and SemEval-2021 task 5. Neither is part of the project: they are read from
$FGCTL_DATA or beside the checkout; without them, a small sample of our own stands in.
"""

import ast
import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rewards.dataset import PACKAGE, SAMPLE, question_key
from rewards.errors import FgctlError
from rewards.json_rows import load_rows

TOXIC = 0.5
"""The score from which a text counts as toxic, as in RealToxicityPrompts."""
Part = Literal["training", "validation", "held-out"]


class RatedText(BaseModel):
    """A text, and the score that Perspective gave it."""

    model_config = ConfigDict(frozen=True)

    text: str = Field(min_length=1)
    toxicity: float | None = Field(None, ge=0, le=1)


class ToxicityPrompt(BaseModel):
    """A row of RealToxicityPrompts: the beginning of a sentence from the web, and how it went on there."""

    model_config = ConfigDict(frozen=True)

    prompt: RatedText
    continuation: RatedText


@dataclass(frozen=True)
class SpanText:
    """A comment, and the code points that people marked as toxic."""

    text: str
    marked: frozenset[int]


def prompts_file() -> Path:
    """RealToxicityPrompts: under $FGCTL_DATA, else beside the checkout, else the sample."""
    return _file("realtoxicityprompts.jsonl") or SAMPLE / "realtoxicityprompts.jsonl"


def spans_file() -> Path | None:
    """The toxic spans: under $FGCTL_DATA, else beside the checkout; None without them."""
    return _file("toxic_spans_train.csv")


def _file(name: str) -> Path | None:
    configured = os.environ.get("FGCTL_DATA")
    if configured and (path := Path(configured) / "detox" / name).is_file():
        return path
    beside = PACKAGE.parent.parent / "shared" / "data" / "detox" / name
    return beside if not configured and beside.is_file() else None


def load_prompts(path: Path) -> list[ToxicityPrompt]:
    """Read JSON lines of the schema of RealToxicityPrompts.

    Raises FgctlError naming the file, and the line, or the row and field, that is invalid.
    """
    return load_rows(path, ToxicityPrompt)


def load_spans(path: Path) -> list[SpanText]:
    """Read comments with toxic spans: CSV of `spans`, a list of code-point offsets, and `text`.

    Raises FgctlError naming the file when it cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [SpanText(row["text"], frozenset(ast.literal_eval(row["spans"]))) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, SyntaxError, csv.Error) as error:
        raise FgctlError(f"{path} is not a file of toxic spans ({error}); replace it.") from None


def part_of(prompt: str) -> Part:
    """Which part a prompt belongs to, by its text alone: a tenth is held out, and a twentieth is for validation."""
    share = int(question_key(prompt), 16) / 16**16
    return "held-out" if share < 0.1 else "validation" if share < 0.15 else "training"


def only(rows: Iterable[ToxicityPrompt], part: Part) -> list[ToxicityPrompt]:
    """The rows of a part."""
    return [row for row in rows if part_of(row.prompt.text) == part]


def rated_texts(rows: Sequence[ToxicityPrompt]) -> tuple[list[str], list[float]]:
    """Prompts and continuations that have a score, and their scores."""
    rated = [text for row in rows for text in (row.prompt, row.continuation) if text.toxicity is not None]
    return [text.text.strip() for text in rated], [text.toxicity or 0.0 for text in rated]
