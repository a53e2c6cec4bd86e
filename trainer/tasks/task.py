"""What a task defines, and tasks by name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from policies.base import BaseModel
from policies.manifest import UsedRewards, Versioned
from policies.prompt import Prompt, PromptFormatter
from policies.store import Decoding, PolicyStore
from policies.trunk import PolicyFiles
from rewards.categories import Category, CategorySpec
from rewards.dataset import Example
from rewards.errors import FgctlError
from rewards.protocol import ResponseScorer
from trainer.recipe import Recipe
from trainer.tracking.training_data import TrainingData

if TYPE_CHECKING:
    from types import ModuleType

    from transformers import PreTrainedTokenizerBase

DEFAULT_TASK = "qa"
_NAME = re.compile(r"[a-z][a-z_]*")
_NOT_TASKS = frozenset({"task"})


@dataclass(frozen=True)
class Origin:
    """What a policy starts from and is kept close to."""

    files: PolicyFiles
    parent: Versioned | None
    """The stored parent; None for the base model itself."""


class Task(Protocol):
    """What a policy learns to do. Trainer, evaluation, experiments and sampling take all that differs from here."""

    name: str
    recipe: str
    """The recipe of a run that names none."""
    weights: str | None
    """The weights of a policy that names none; None where they must be given."""
    decoding: Decoding
    """How its responses are sampled where they are measured."""
    continues: bool
    """Whether a response goes on with an open prompt, and is judged by toxicity, fluency and diversity
    (trainer.evaluation.continuations); if not, it is an answer to a question (trainer.evaluation.evaluate)."""

    def categories(self) -> Mapping[Category, CategorySpec]:
        """The categories that weights may name. Loads no model."""

    def data_file(self) -> Path:
        """The data of a run that names none."""

    def training_data(
        self,
        data: Path,
        tokenizer: "PreTrainedTokenizerBase",
        recipe: Recipe,
        *,
        until_best: bool,
        further: Sequence[Path] = (),
    ) -> TrainingData:
        """The examples to train on, of a file and of further ones, and those that watch a run (trainer.validation),
        which may be none.

        Raises FgctlError for unusable data.
        """

    def other_examples(self, data: Path) -> list[Example]:
        """The examples that are not held out. Raises FgctlError for unusable data."""

    def held_out_examples(self, data: Path) -> list[Example]:
        """The examples that policies are judged by. Raises FgctlError for unusable data."""

    def format(self, formatter: PromptFormatter, example: Example) -> Prompt:
        """An example's prompt. Raises FgctlError where it cannot be formatted."""

    def load_scorer(self, rewards: Path | None) -> ResponseScorer:
        """The fitted rewards of the task, by default the shipped ones."""

    def used_rewards(self, scorer: ResponseScorer) -> UsedRewards:
        """The rewards, and what they were fitted on, as policy.json names them."""

    def origin(self, base: BaseModel, store: PolicyStore) -> Origin:
        """What policies on that base start from. Raises FgctlError when it is missing."""


def load_task(name: str) -> Task:
    """The task of that name. Raises FgctlError naming the tasks there are."""
    if name not in task_names():
        raise FgctlError(f"There is no task {name!r}; choose {' or '.join(task_names())}.")
    return cast(Task, _module(name).TASK)


def task_names() -> Sequence[str]:
    """The names of all tasks, the default first."""
    names = {file.stem for file in Path(__file__).parent.glob("*.py") if _NAME.fullmatch(file.stem)} - _NOT_TASKS
    return sorted(names, key=lambda name: (name != DEFAULT_TASK, name))


def _module(name: str) -> "ModuleType":
    return import_module(f"trainer.tasks.{name}")
