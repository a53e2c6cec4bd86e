"""The rows that a training can use, and a report on the others, before anything is trained."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from policies.control_tokens import ControlTokens
from policies.manifest import Named
from policies.prompt import PromptFormatter, PromptTooLong
from rewards.dataset import Example, file_digest, load_training_examples, question_key
from rewards.errors import FgctlError
from rewards.held_out import only_held_out, only_validation, split_validation, without_held_out
from trainer.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HELD_OUT = "a held-out question, or nearly one"
VALIDATION = "a validation question"
_SHOWN = 8
"""Rows that the report names."""

Problem = Callable[[Example], str | None]


@dataclass(frozen=True)
class TrainingData:
    """The rows of one file or of several, numbered from 0 in each as in messages about its schema."""

    path: Path
    """The file, or the first of several."""
    rows: int
    examples: list[Example]
    """The rows to train on, in order."""
    validation: list[Example] = field(default_factory=list)
    """The rows on which the run is watched; none if it is not."""
    dropped: dict[str, list[int]] = field(default_factory=dict)
    """Rows that are left out, by the reason."""
    repeated: list[int] = field(default_factory=list)
    """Rows that are used although an earlier one of the file asks the same question."""
    files: tuple["TrainingData", ...] = ()
    """Of several files, the rows of each, which then have the rows that are left out or repeated."""

    def report(self) -> Iterator[str]:
        """Sentences about the rows: how many are used, and which are not."""
        if self.files:
            for file in self.files:
                yield from file.report()
            return
        validation = f", and {len(self.validation)} for validation" if self.validation else ""
        yield f"{len(self.examples)} of the {self.rows} rows of {self.path} are used{validation}."
        for reason, rows in self.dropped.items():
            yield f"Left out for {reason}: {_rows(rows)}."
        if self.repeated:
            yield f"Used, though an earlier row asks the same: {_rows(self.repeated)}."

    def require_clean(self) -> None:
        """Raises FgctlError when rows are left out or repeated, except for questions that are set aside."""
        for file in self.files:
            file.require_clean()
        aside = {HELD_OUT, VALIDATION}
        faults = [f"{reason} in {_rows(rows)}" for reason, rows in self.dropped.items() if reason not in aside]
        faults += [f"an earlier question in {_rows(self.repeated)}"] if self.repeated else []
        if faults:
            raise FgctlError(f"{self.path}: {'; '.join(faults)}; fix these rows, or leave out --strict.")


def read_training_data(
    path: Path,
    tokenizer: "PreTrainedTokenizerBase",
    recipe: Recipe,
    kind: Literal["sft", "ppo"],
    *,
    until_best: bool = False,
    further: Sequence[Path] = (),
) -> TrainingData:
    """The rows of a file, and of further ones after it, that a training by the recipe can use.

    A run is watched on the listed validation questions. With `until_best`, and in supervised fine-tuning, a tenth of
    the rows stands for them where none is listed. Raises FgctlError for a file that cannot be read, or that leaves
    nothing to train on or, with `until_best`, to validate on.
    """
    if kind == "sft":
        problems = [_question(tokenizer, recipe.sft.max_prompt_tokens), _answer(tokenizer, recipe)]
        watched = draws = recipe.sft.validation
    else:
        problems = [_question(tokenizer, recipe.ppo.max_prompt_tokens)]
        watched = until_best or recipe.ppo.steps * recipe.ppo.episodes_per_step >= recipe.ppo.validation.every
        draws = until_best
    sorting = problems if watched else [_validation, *problems]
    files = [sort_rows(file, load_training_examples(file), sorting) for file in (path, *further)]
    usable = [example for file in files for example in file.examples]
    if draws:
        training, validation = split_validation(usable)
    else:
        training, validation = without_held_out(usable), only_validation(usable)
    if not training:
        raise FgctlError(_nothing_left(files, "example" if kind == "sft" else "question"))
    if until_best and not validation:
        raise FgctlError(
            f"{path} has too few questions to set some aside for validation; add more, or leave out --until-best."
        )
    watching = {question_key(example.question) for example in validation}
    files = [_set_aside(file, watching) for file in files]
    if not further:
        return files[0]
    return TrainingData(path, sum(file.rows for file in files), training, validation, files=tuple(files))


def _set_aside(file: TrainingData, validation: set[str]) -> TrainingData:
    """The file's usable rows, divided by whether their question's key is one for validation."""
    watched = [question_key(example.question) in validation for example in file.examples]
    rows = list(zip(file.examples, watched, strict=True))
    return replace(
        file, examples=[row for row, aside in rows if not aside], validation=[row for row, aside in rows if aside]
    )


def named_files(path: Path, further: Sequence[Path] = ()) -> tuple[Named, ...]:
    """The files by name and content, as policy.json names them."""
    return tuple(Named(name=file.name, digest=file_digest(file)) for file in (path, *further))


def digests(files: Sequence[Named]) -> str | list[str]:
    """What identifies the data of a run: the digest of a single file, or those of several in order."""
    return files[0].digest if len(files) == 1 else [file.digest for file in files]


def sort_rows(path: Path, examples: Sequence[Example], problems: Sequence[Problem]) -> TrainingData:
    """Leave out rows with a held-out question or a problem; a row counts for its first one."""
    data = TrainingData(path, len(examples), [])
    asked: set[str] = set()
    for row, example in enumerate(examples):
        reason = next(filter(None, (problem(example) for problem in (_held_out, *problems))), None)
        if reason:
            data.dropped.setdefault(reason, []).append(row)
            continue
        data.examples.append(example)
        if (key := question_key(example.question)) in asked:
            data.repeated.append(row)
        asked.add(key)
    return data


def _held_out(example: Example) -> str | None:
    return HELD_OUT if only_held_out([example]) else None


def _validation(example: Example) -> str | None:
    return VALIDATION if only_validation([example]) else None


def _question(tokenizer: "PreTrainedTokenizerBase", max_prompt_tokens: int) -> Problem:
    formatter = PromptFormatter(tokenizer, max_prompt_tokens)

    def problem(example: Example) -> str | None:
        if not example.question.strip():
            return "a blank question"
        try:
            formatter.format(example.question, [])
        except PromptTooLong:
            return f"a question over the prompt budget of {max_prompt_tokens} tokens"
        return None

    return problem


def _answer(tokenizer: "PreTrainedTokenizerBase", recipe: Recipe) -> Problem:
    controls, most = ControlTokens(tokenizer), recipe.sft.max_response_tokens

    def problem(example: Example) -> str | None:
        if not example.answer.strip():
            return "an empty answer"
        if len(controls.encode_as_text(example.answer)) >= most:
            return f"an answer over sft.max_response_tokens, {most} tokens"
        return None

    return problem


def _nothing_left(files: Sequence[TrainingData], what: str) -> str:
    reasons = "; ".join(f"{reason}: {_rows(rows)}" for file in files for reason, rows in file.dropped.items())
    names, leaves = " and ".join(str(file.path) for file in files), "leave" if len(files) > 1 else "leaves"
    return (
        f"{names} {leaves} no {what} to train on ({reasons or 'it has no rows'}); add rows that can be used, outside "
        f"the held-out and validation lists."
    )


def _rows(rows: Sequence[int]) -> str:
    if len(rows) == 1:
        return f"row {rows[0]}"
    return f"{len(rows)} rows ({', '.join(map(str, rows[:_SHOWN]))}{', …' if len(rows) > _SHOWN else ''})"
