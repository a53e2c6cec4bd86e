"""A policy's answers to a file's questions: training data of the reader, and material for annotation."""

from collections.abc import Iterator, Sequence

from policies.base import BaseModel
from policies.prompt import PromptFormatter
from policies.store import Decoding, PolicyStore
from policies.trunk import policy_files
from rewards.dataset import Example
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe
from trainer.rollouts.choose_sampler import Setting, make_sampler
from trainer.tasks.qa import TASK as QUESTION_ANSWERING
from trainer.tasks.task import Task

MAX_PROMPT_TOKENS = 512
_BATCH = 64
"""Questions answered at a time."""


def sample_answers(
    profile: str,
    examples: Sequence[Example],
    samples: int,
    store: PolicyStore,
    base: BaseModel,
    decoding: Decoding,
    seed: int,
    task: Task = QUESTION_ANSWERING,
) -> Iterator[list[tuple[Example, list[str]]]]:
    """Questions in order, in batches, with `samples` answers each by the profile's current version.

    A question's answers depend on the seed and on its place in `examples`. Raises FgctlError for an unknown profile or
    one of another base.
    """
    files = policy_files(base, store, profile, store.profile(profile).version)
    model = PolicyModel(files.model, LoraRecipe(top_layers=1), files.adapter, decoding.temperature)
    formatter = PromptFormatter(model.tokenizer, MAX_PROMPT_TOKENS)
    sampler = make_sampler("auto", Setting(files.model, model, MAX_PROMPT_TOKENS + decoding.max_tokens))
    try:
        sampler.synchronise(model)
        for first in range(0, len(examples), _BATCH):
            batch = examples[first : first + _BATCH]
            prompts = [task.format(formatter, e).token_ids for e in batch]
            answered = sampler.sample(prompts, samples, decoding.max_tokens, seed + first, top_p=decoding.top_p)
            yield [
                (example, [model.decode(answer.token_ids) for answer in answers])
                for example, answers in zip(batch, answered, strict=True)
            ]
    finally:
        sampler.close()
