"""Whether a base gives a packed row's tokens the log-probabilities that they have in each sequence alone.

Recurrent layers pass their state on to the next response, and some models count positions along the row or have a mask
of their own. Training on such a base would learn from wrong log-probabilities without a sign of it, so it is refused.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rewards.errors import FgctlError
from trainer.packing import Group, Packed, pack

_RESPONSES = ((6, 4), (5, 6))
"""Lengths of the probe's responses, by prompt: short, as what leaks into a response is largest at its beginning."""
_PROMPTS = (9, 5)
_BEYOND = 4
"""Tokens by which the first prompt exceeds the base's longest window."""
_EXACT = 1e-3
"""Nats: the largest difference that float32 explains."""
_ROUNDED = 0.1
"""Nats a token: the mean difference that bfloat16 explains."""


def check_packed_rows(
    name: str,
    config: Any,
    dtype: torch.dtype,
    together: Callable[[Packed], Tensor],
    alone: Callable[[Sequence[int]], Tensor],
) -> None:
    """Raises FgctlError, naming the base and its architecture, for a base that cannot be trained on packed rows.

    `config` is its configuration. `together` gives float32 [N], the log-probabilities of a packed row's N response
    tokens, `alone` float32 [T - 1], those of all tokens of a sequence but the first.
    """
    groups = probe(config)
    what = f"Base model {name} ({config.model_type}) cannot be trained"
    sequences = [(group.prompt, response) for group in groups for response in group.responses]
    each = torch.cat([alone([*prompt, *response])[-len(response) :].cpu() for prompt, response in sequences])
    try:
        packed = together(pack(groups)).cpu()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever an architecture's code raises
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise FgctlError(
            f"{what}: it cannot read several responses to a prompt in one row ({reason}); use another base."
        ) from None
    difference = (packed - each).abs()[each.isfinite()]
    if not difference.numel():
        return  # a base that is not finite: the first loss says so
    off = difference.max() if dtype == torch.float32 else difference.mean()
    if off <= (_EXACT if dtype == torch.float32 else _ROUNDED):
        return
    raise FgctlError(
        f"{what}: with several responses to a prompt in one row, log-probabilities are off by {off:.3g} nats from each "
        f"response's own, as where layers are recurrent or count positions along the row; use another base."
    )


def probe(config: Any) -> list[Group]:
    """Two prompts with two responses each, of arbitrary tokens; the first prompt is longer than any window."""
    text = config.get_text_config()
    lengths = [max(_PROMPTS[0], _longest_window(text) + _BEYOND), *_PROMPTS[1:]]
    draw = torch.Generator().manual_seed(0)

    def tokens(count: int) -> list[int]:
        return torch.randint(text.vocab_size // 2, text.vocab_size, (count,), generator=draw).tolist()

    return [
        Group(tokens(length), [tokens(count) for count in counts])
        for length, counts in zip(lengths, _RESPONSES, strict=True)
    ]


def _longest_window(config: Any) -> int:
    """The longest window or chunk of attention, in tokens, that the base's own longest sequence exceeds; else 0."""
    limit = getattr(config, "max_position_embeddings", None) or torch.inf
    windows = [value for key, value in config.to_dict().items() if "window" in key or "chunk" in key]
    room = limit - _BEYOND - max(map(max, _RESPONSES))
    return max((w for w in windows if isinstance(w, int) and not isinstance(w, bool) and w < room), default=0)
