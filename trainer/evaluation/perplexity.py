"""How likely the base model finds a policy's text, given the prompt.

Far less likely than the parent's, it has left natural language; near certain, it copies the passages or repeats itself.
"""

from collections.abc import Sequence

from trainer.packing import Group, bins, pack
from trainer.policy_model import PolicyModel

_FORWARD_TOKENS = 1024
"""Of a packed row; it bounds the memory of a forward pass."""


def base_nll(model: PolicyModel, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]) -> list[float]:
    """Mean negative log-likelihood of each response's tokens given its prompt, in nats; 0 for a response of none.

    By the base without any adapter, at the model's temperature. The perplexity of several responses is `exp` of the
    mean over all their tokens (Jelinek et al. 1977).
    """
    groups = [Group(prompt, [response]) for prompt, response in zip(prompts, responses, strict=True)]
    means = [0.0] * len(groups)
    with model.peft.disable_adapter():
        for members in bins(groups, _FORWARD_TOKENS):
            logprobs = model.evaluate(pack([groups[i] for i in members])).logprobs.cpu()
            for i, said in zip(members, logprobs.split([len(responses[i]) for i in members]), strict=True):
                means[i] = -said.mean().item() if len(said) else 0.0
    return means
