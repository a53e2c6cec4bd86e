"""Question answering with passages: QA-Feedback, from the supervised parent (Wu et al. 2023, section 4).

The default: what is trained without `--task` is this.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from policies.base import BaseModel
from policies.manifest import Named, SeenFeedback, UsedRewards, Versioned
from policies.prompt import Prompt, PromptFormatter
from policies.store import ADAPTER, SFT, Decoding, PolicyStore
from policies.trunk import policy_files
from rewards.categories import Category, CategorySpec
from rewards.configuration import load_configuration
from rewards.dataset import Example, data_file, file_digest, load_examples
from rewards.errors import FgctlError
from rewards.held_out import to_evaluate, without_held_out
from rewards.protocol import ResponseScorer
from rewards.scorer import Scorer
from trainer.recipe import DEFAULT_RECIPE, Recipe
from trainer.tasks.task import Origin
from trainer.tracking.training_data import TrainingData, read_training_data

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class QuestionAnswering:
    """Implements Task."""

    name = "qa"
    recipe = DEFAULT_RECIPE
    weights: str | None = None
    decoding = Decoding(temperature=0, top_p=1)
    continues = False

    def categories(self) -> Mapping[Category, CategorySpec]:
        """The built-in categories, and those of a configuration file."""
        return load_configuration().specs

    def data_file(self) -> Path:
        """QA-Feedback's training questions, or the sample."""
        return data_file("train")

    def training_data(
        self,
        data: Path,
        tokenizer: "PreTrainedTokenizerBase",
        recipe: Recipe,
        *,
        until_best: bool,
        further: Sequence[Path] = (),
    ) -> TrainingData:
        """The questions to train on and to validate on (trainer.tracking.training_data)."""
        return read_training_data(data, tokenizer, recipe, "ppo", until_best=until_best, further=further)

    def other_examples(self, data: Path) -> list[Example]:
        """The questions that are not on the held-out list."""
        return without_held_out(load_examples(data))

    def held_out_examples(self, data: Path) -> list[Example]:
        """The held-out questions, or all of a file that has none."""
        return to_evaluate(load_examples(data))

    def format(self, formatter: PromptFormatter, example: Example) -> Prompt:
        """Question and passages, by the chat template."""
        return formatter.format(example.question, example.passages)

    def load_scorer(self, rewards: Path | None) -> Scorer:
        """The reward models of all categories in use."""
        return Scorer.load(rewards)

    def used_rewards(self, scorer: ResponseScorer) -> UsedRewards:
        """The reward models, and the feedback they were fitted on."""
        fitted = cast(Scorer, scorer).feedback.fitted
        seen = SeenFeedback(
            data=tuple(Named(name=name, digest=digest) for name, digest in fitted.data.items()),
            questions=len(fitted.questions),
            annotations=fitted.annotations,
        )
        return UsedRewards(version=scorer.version, digest=scorer.digest, feedback=seen)

    def origin(self, base: BaseModel, store: PolicyStore) -> Origin:
        """The supervised parent. Raises FgctlError when there is none."""
        if SFT not in store.profiles():
            raise FgctlError("There is no supervised parent to start from; train one with `fgctl sft --promote`.")
        version = store.profile(SFT).version
        files = policy_files(base, store, SFT, version)
        return Origin(files, Versioned(version=version, digest=file_digest(store.path(SFT, version) / ADAPTER)))


TASK = QuestionAnswering()
