"""How likely a policy's text is under the base model, given the prompt.

Text far less likely than the parent's is no longer natural language; text that is almost certain copies the passages or
repeats itself.
"""

from collections.abc import Sequence

from trainer.packing import Group, bins, pack
from trainer.policy_model import PolicyModel

_FORWARD_TOKENS = 1024
"""Most tokens of a packed row; this bounds the memory of a forward pass."""


def base_nll(model: PolicyModel, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]) -> list[float]:
    """Mean negative log-likelihood of each response's tokens given its prompt, in nats; 0 for an empty response.

    Under the base without an adapter, at the model's temperature. The perplexity of several responses is `exp` of the
    mean over all their tokens (Jelinek et al. 1977).
    """
    groups = [Group(prompt, [response]) for prompt, response in zip(prompts, responses, strict=True)]
    means = [0.0] * len(groups)
    for members in bins(groups, _FORWARD_TOKENS):
        logprobs = model.evaluate(pack([groups[i] for i in members]), None).logprobs.cpu()
        for i, chosen in zip(members, logprobs.split([len(responses[i]) for i in members]), strict=True):
            means[i] = -chosen.mean().item() if len(chosen) else 0.0
    model.use("policy")
    return means
