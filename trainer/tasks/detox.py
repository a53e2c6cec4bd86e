"""Detoxification: continuing the prompts of RealToxicityPrompts, from the base model (Wu et al. 2023, section 3).

A prompt is given as it is, without a chat template, and its continuation has at most 48 tokens. The reward is that of
rewards.toxicity.sentence_rewards.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from policies.base import BaseModel
from policies.manifest import UsedRewards
from policies.prompt import Prompt, PromptFormatter, PromptTooLong
from policies.store import Decoding, PolicyStore
from policies.trunk import PolicyFiles
from rewards.categories import TOXICITY, TOXICITY_SPEC, Category, CategorySpec
from rewards.dataset import Example
from rewards.errors import FgctlError
from rewards.protocol import ResponseScorer
from rewards.toxicity.data import Part, ToxicityPrompt, load_prompts, only, part_of, prompts_file
from rewards.toxicity.model import ToxicityModel
from rewards.toxicity.sentence_rewards import ToxicityRewards
from trainer.recipe import Recipe
from trainer.tasks.task import Origin
from trainer.tracking.training_data import HELD_OUT, VALIDATION, TrainingData

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WEIGHTS = f"{TOXICITY}=1"
_ASIDE: dict[Part, str] = {"held-out": HELD_OUT, "validation": VALIDATION}
"""The parts that are not trained on, and the reason that a report names."""


class Detoxification:
    """Implements Task. An example is a prompt without passages, and how its author went on."""

    name = "detox"
    recipe = "detox"
    weights: str | None = WEIGHTS
    decoding = Decoding(temperature=1, top_p=0.9, max_tokens=48)
    continues = True

    def categories(self) -> Mapping[Category, CategorySpec]:
        """Toxicity alone."""
        return {TOXICITY: TOXICITY_SPEC}

    def data_file(self) -> Path:
        """RealToxicityPrompts, or the sample."""
        return prompts_file()

    def training_data(
        self,
        data: Path,
        tokenizer: "PreTrainedTokenizerBase",
        recipe: Recipe,
        *,
        until_best: bool,
        further: Sequence[Path] = (),
    ) -> TrainingData:
        """The prompts to train on, of all levels of toxicity, without those over the budget. A run is not watched.

        Raises FgctlError when there are none, and with `until_best`.
        """
        if until_best:
            raise FgctlError("The task detox has no judge to choose checkpoints by; leave out --until-best.")
        formatter = PromptFormatter(tokenizer, recipe.ppo.max_prompt_tokens)
        files = [_training_data(file, formatter) for file in (data, *further)]
        training = [example for file in files for example in file.examples]
        if not training:
            raise FgctlError(f"{data} leaves no prompt to train on; add prompts that are not held out.")
        if not further:
            return files[0]
        return TrainingData(data, sum(file.rows for file in files), training, files=tuple(files))

    def other_examples(self, data: Path) -> list[Example]:
        """The prompts that are not held out."""
        return _of([row for row in load_prompts(data) if part_of(row.prompt.text) != "held-out"])

    def held_out_examples(self, data: Path) -> list[Example]:
        """The held-out prompts, or all of a file that has none. Raises FgctlError for a file without any."""
        rows = load_prompts(data)
        if not rows:
            raise FgctlError(f"{data} has no prompt to continue; name a file that has some.")
        return _examples(rows, "held-out") or _of(rows)

    def format(self, formatter: PromptFormatter, example: Example) -> Prompt:
        """The prompt itself."""
        return formatter.raw(example.question)

    def load_scorer(self, rewards: Path | None) -> ToxicityRewards:
        """The toxicity scorer's rewards."""
        return ToxicityRewards(ToxicityModel.load(rewards))

    def used_rewards(self, scorer: ResponseScorer) -> UsedRewards:
        """The toxicity scorer."""
        return UsedRewards(version=scorer.version, digest=scorer.digest)

    def origin(self, base: BaseModel, store: PolicyStore) -> Origin:
        """The base model itself."""
        return Origin(PolicyFiles(base, None), None)


def _training_data(file: Path, formatter: PromptFormatter) -> TrainingData:
    rows = load_prompts(file)
    data = TrainingData(file, len(rows), [])
    for number, row in enumerate(rows):
        reason = _ASIDE.get(part_of(row.prompt.text)) or _problem(row.prompt.text, formatter)
        if reason is None:
            data.examples.extend(_of([row]))
        else:
            data.dropped.setdefault(reason, []).append(number)
    return data


def _problem(prompt: str, formatter: PromptFormatter) -> str | None:
    """Why a prompt cannot be trained on: a run would end at the step that it is drawn for."""
    if not prompt.strip():
        return "a blank prompt"
    try:
        formatter.raw(prompt)
    except PromptTooLong:
        return f"a prompt over the prompt budget of {formatter.max_tokens} tokens"
    return None


def _examples(rows: Sequence[ToxicityPrompt], part: Part) -> list[Example]:
    return _of(only(rows, part))


def _of(rows: Sequence[ToxicityPrompt]) -> list[Example]:
    return [Example(question=row.prompt.text, passages=(), answer=row.continuation.text) for row in rows]


TASK = Detoxification()
