"""Rollouts by transformers' generate, from merged weights: slower than vLLM, but needs no other package."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModelForCausalLM,
    DynamicCache,
    LogitsProcessor,
    LogitsProcessorList,
    StaticCache,
    TopPLogitsWarper,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rewards.errors import FgctlError
from trainer.policy_model import PolicyModel
from trainer.rollouts.choose_sampler import Setting
from trainer.rollouts.sampler import Sampled

_GROUPED = "grouped_queries"
_CACHED_TOKENS = {"cuda": 262_144}
"""Most tokens of prompts and responses in a batch, by device: 6 GB of cache for the default base."""
_CACHED_TOKENS_ELSEWHERE = 32_768
_PROBE = ([1, 2, 3], [4, 5])
"""Prompts of different lengths, which a batch pads."""


class TransformersSampler:
    """Samples many responses at a time from a copy of the base into which the policy's adapter is merged."""

    def __init__(self, model: PolicyModel) -> None:
        config = deepcopy(model.peft.get_base_model().config)  # to change its attention alone
        self._merged: Any = AutoModelForCausalLM.from_config(config).to(model.device).eval()
        if config._attn_implementation == "sdpa":
            self._merged.set_attn_implementation(_GROUPED)
        self.synchronise(model)

    def synchronise(self, model: PolicyModel, step: int = 0) -> None:
        """See Sampler."""
        self._model = model
        weights = dict(model.merged_weights())
        self._merged.to(next(iter(weights.values())).dtype).load_state_dict(weights)

    def logprobs(self, tokens: Sequence[int]) -> list[float]:
        """See Sampler."""
        ids = torch.tensor([list(tokens)], device=self._model.device)
        with torch.inference_mode():
            logits = self._merged(input_ids=ids).logits[0, :-1].float() / self._model.temperature
        logprobs: list[float] = logits.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0].tolist()
        return logprobs

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        max_new_tokens: int,
        seed: int,
        *,
        top_p: float = 1.0,
        temperature: float | None = None,
        places: Sequence[int] | None = None,
    ) -> list[list[Sampled]]:
        """See Sampler. Every prompt has its own random generator, so the other prompts affect only rounding."""
        if temperature is None:
            temperature = self._model.temperature
        seeds = [seed * 10_000 + place for place in (places or range(len(prompts)))]
        sampled: list[list[Sampled]] = [[] for _ in prompts]
        for part in _parts([len(prompt) + max_new_tokens for prompt in prompts], n, self._model.device.type):
            draw = _Draw(temperature, top_p, [seeds[i] for i in part], self._model.device)
            tokens = self._generate([prompts[i] for i in part], n, max_new_tokens, draw)
            logprobs = torch.stack(draw.logprobs, 1).tolist() if draw.logprobs else [[] for _ in tokens]
            rows = zip(tokens.tolist(), logprobs, strict=True)
            for i in part:
                sampled[i] = [self._until_end(*next(rows)) for _ in range(n)]
        return sampled

    def _generate(self, prompts: Sequence[Sequence[int]], n: int, max_new_tokens: int, draw: "_Draw") -> Tensor:
        """int64 [prompts x n, tokens]: the tokens that `draw` drew, in the prompts' order, padded after each end."""
        width, eos = max(map(len, prompts)), self._model.eos
        ids = torch.tensor([[eos] * (width - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        ids, mask = ids.to(self._model.device), mask.to(self._model.device)
        with torch.inference_mode():
            out: Tensor = self._merged.generate(
                input_ids=ids.repeat_interleave(n, 0),
                attention_mask=mask.repeat_interleave(n, 0),
                past_key_values=self._read(ids, mask, n, max_new_tokens),
                logits_processor=LogitsProcessorList([draw]),
                do_sample=False,
                max_new_tokens=max_new_tokens,
                eos_token_id=eos,
                pad_token_id=eos,
                disable_compile=True,
            )
        return out[:, width:]

    def _read(self, ids: Tensor, mask: Tensor, n: int, max_new_tokens: int) -> StaticCache:
        """A cache of the prompts' tokens but the last, each read once for its `n` responses."""
        cache = StaticCache(self._merged.config, ids.shape[1] + max_new_tokens)
        if n > 1 and ids.shape[1] > 1 and self._attends_alone:
            before, read = mask[:, :-1], DynamicCache()
            self._merged(
                input_ids=ids[:, :-1],
                attention_mask=before,
                position_ids=(before.cumsum(-1) - 1).clamp(min=0),
                past_key_values=read,
                use_cache=True,
                logits_to_keep=1,
            )
            layers: list[Any] = read.layers
            for number, layer in enumerate(layers):
                cache.update(layer.keys.repeat_interleave(n, 0), layer.values.repeat_interleave(n, 0), number)
        return cache

    @property
    def _attends_alone(self) -> bool:
        """Whether all that the base keeps of a text is keys and values; some keep other states, too."""
        return set(getattr(self._merged.config, "layer_types", None) or ()) <= {"full_attention", "sliding_attention"}

    def _until_end(self, tokens: list[int], logprobs: list[float]) -> Sampled:
        length = tokens.index(self._model.eos) + 1 if self._model.eos in tokens else len(tokens)
        return Sampled(tokens[:length], logprobs[:length])

    def close(self) -> None:
        """Nothing to free."""


class _Draw(LogitsProcessor):
    """Draws each row's next token and leaves only that one possible.

    generate itself draws all rows from one generator, so a prompt's samples would depend on the rest of the batch.
    """

    def __init__(self, temperature: float, top_p: float, seeds: Sequence[int], device: torch.device) -> None:
        """Each seed is for an equal share of the rows, in order. Temperature 0 takes the most likely token."""
        self._temperature = temperature
        self._top_p = TopPLogitsWarper(top_p) if top_p < 1 else None
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self.logprobs: list[Tensor] = []
        """float32 [rows] for each token drawn: its log-probability in nats, after temperature and top-p; none at 0."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [rows, vocabulary]: 0 for the token drawn, minus infinity for all others."""
        if self._temperature == 0:
            return torch.full_like(scores, -torch.inf).scatter(-1, scores.argmax(-1, keepdim=True), 0.0)
        scores = scores.float() / self._temperature
        if self._top_p is not None:
            scores = self._top_p(input_ids, scores)
        logprobs = scores.log_softmax(-1)
        # The index of the largest p / E, with E exponential, is a draw from p.
        waits = torch.empty_like(logprobs)
        for part, generator in zip(waits.chunk(len(self._generators)), self._generators, strict=True):
            part.exponential_(generator=generator)
        drawn = (logprobs - waits.log()).argmax(-1, keepdim=True)
        self.logprobs.append(logprobs.gather(-1, drawn)[:, 0])
        return torch.full_like(logprobs, -torch.inf).scatter(-1, drawn, 0.0)


def _parts(sizes: Sequence[int], n: int, device: str) -> Iterator[list[int]]:
    """Prompts to sample together, of similar size; `sizes` bound the tokens of a prompt and one response."""
    most = _CACHED_TOKENS.get(device, _CACHED_TOKENS_ELSEWHERE)
    part: list[int] = []
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        if part and (len(part) + 1) * n * sizes[part[0]] > most:
            yield part
            part = []
        part.append(i)
    if part:
        yield part


def _grouped_queries(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **how: Any
) -> tuple[Tensor, None]:
    """Attention of one new token: the query heads that share a key head are treated as that head's positions.

    So keys and values are read in place; transformers, given a mask, first copies them for each query head.
    """
    batch, heads, length, width = query.shape
    if length > 1 or heads == key.shape[1]:
        attended, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **how)
        return attended, None
    grouped = torch.nn.functional.scaled_dot_product_attention(
        query.view(batch, key.shape[1], -1, width), key, value, attn_mask=attention_mask, scale=how.get("scaling")
    )
    return grouped.reshape(batch, 1, heads, width), None


AttentionInterface.register(_GROUPED, _grouped_queries)
AttentionMaskInterface.register(_GROUPED, sdpa_mask)


def make(setting: Setting) -> TransformersSampler:
    """The sampler of a run. Raises FgctlError for a base that transformers' generate cannot continue in a batch."""
    try:
        sampler = TransformersSampler(setting.model)
        sampler.sample(_PROBE, 2, 2, seed=0)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever an architecture's code raises
        reason = next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__
        kind = setting.model.peft.get_base_model().config.model_type
        raise FgctlError(
            f"transformers cannot sample from base model {setting.base.name} ({kind}) in a batch ({reason}); install "
            f"vLLM, and train with ppo.rollouts=vllm or server."
        ) from None
    return sampler
