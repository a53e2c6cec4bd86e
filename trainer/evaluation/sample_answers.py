"""Answers of a policy to a file's questions: what a reader of responses is fitted on, and people annotate."""

from collections.abc import Iterator, Sequence

from policies.base import BaseModel
from policies.manifest import Named
from policies.prompt import PromptFormatter
from policies.store import Decoding, PolicyStore
from rewards.dataset import Example
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe
from trainer.rollouts.choose_sampler import make_sampler

MAX_PROMPT_TOKENS = 512
_AT_ONCE = 64
"""Questions answered between two reports."""


def sample_answers(
    profile: str,
    examples: Sequence[Example],
    samples: int,
    store: PolicyStore,
    base: BaseModel,
    decoding: Decoding,
    seed: int,
) -> Iterator[list[tuple[Example, list[str]]]]:
    """Questions in order with `samples` answers each by the profile's current version, some questions at a time.

    A question's answers depend on the seed and on its place in `examples`. Raises FgctlError when there is no such
    profile, or it belongs to another base.
    """
    version = store.profile(profile).version
    store.verify(profile, version, Named(name=base.name, digest=base.digest))
    model = PolicyModel(base, LoraRecipe(top_layers=1), store.path(profile, version), decoding.temperature)
    formatter = PromptFormatter(model.tokenizer, MAX_PROMPT_TOKENS)
    sampler = make_sampler("auto", base, model, MAX_PROMPT_TOKENS + decoding.max_tokens)
    try:
        sampler.synchronise(model)
        for first in range(0, len(examples), _AT_ONCE):
            asked = examples[first : first + _AT_ONCE]
            prompts = [formatter.format(e.question, e.passages).token_ids for e in asked]
            answered = sampler.sample(prompts, samples, decoding.max_tokens, seed + first, top_p=decoding.top_p)
            yield [
                (example, [model.decode(one.token_ids) for one in answers])
                for example, answers in zip(asked, answered, strict=True)
            ]
    finally:
        sampler.close()
