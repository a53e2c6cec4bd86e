"""How likely a policy's text is under the base model, given the prompt.

Text far less likely than the parent's is no longer natural language; text that is almost certain copies the passages or
repeats itself.
"""

from collections.abc import Callable, Sequence

from trainer.packing import Group, bins, pack
from trainer.policy_model import PolicyModel

_FORWARD_TOKENS = {"cuda": 8192}
"""Most tokens of a packed row by device; this bounds the memory of a forward pass."""
_FORWARD_TOKENS_ELSEWHERE = 1024
"""Rows that are longer are no faster on a CPU, which a prompt keeps busy."""

Tokens = tuple[int, ...]


def base_nll(
    model: PolicyModel,
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """Mean negative log-likelihood of each response's tokens given its prompt, in nats; 0 for an empty response.

    Under the base without an adapter, at the model's temperature. The perplexity of several responses is `exp` of the
    mean over all their tokens (Jelinek et al. 1977). All different responses to a prompt, by whatever policy, share a
    pass over it. `progress` is called with the number of prompts that are done, and of all.
    """
    pairs = [(tuple(prompt), tuple(response)) for prompt, response in zip(prompts, responses, strict=True)]
    together: dict[Tokens, list[Tokens]] = {}
    for prompt, response in dict.fromkeys(pairs):
        together.setdefault(prompt, []).append(response)
    rows = list(together.items())
    groups = [Group(prompt, different) for prompt, different in rows]
    means: dict[tuple[Tokens, Tokens], float] = {}
    longest = _FORWARD_TOKENS.get(model.device.type, _FORWARD_TOKENS_ELSEWHERE)
    done = 0
    for members in bins(groups, longest):
        logprobs = model.evaluate(pack([groups[i] for i in members]), None).logprobs.cpu()
        read = [(prompt, response) for prompt, different in (rows[i] for i in members) for response in different]
        for pair, chosen in zip(read, logprobs.split([len(response) for _, response in read]), strict=True):
            means[pair] = -chosen.mean().item() if len(chosen) else 0.0
        done += len(members)
        progress(done, len(groups))
    model.use("policy")
    return [means[pair] for pair in pairs]
