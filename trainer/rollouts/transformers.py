"""Rollouts by transformers' own generate, on the trunk itself: slower, and needs nothing else."""

from collections.abc import Sequence
from typing import Any

import torch

from trainer.packing import Group, pack
from trainer.rollouts import Sampled
from trainer.trunk import Trunk


class TransformersSampler:
    """Samples from the trunk's policy adapter."""

    def __init__(self, trunk: Trunk) -> None:
        self._trunk = trunk

    def synchronise(self, trunk: Trunk, step: int = 0) -> None:
        """See Sampler. It samples from the very weights that are trained."""
        self._trunk = trunk

    def logprobs(self, tokens: Sequence[int]) -> list[float]:
        """See Sampler."""
        packed = pack([Group(tokens[:1], [list(tokens[1:])])])
        return self._trunk.evaluate(packed).logprobs.tolist()

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
        """See Sampler. One prompt at a time, so that no padding touches the positions."""
        trunk = self._trunk
        trunk.use("policy")
        if temperature is None:
            temperature = trunk.temperature
        how: dict[str, Any] = {"do_sample": False}
        if temperature > 0:
            how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": top_p}
        sampled = []
        state = torch.random.get_rng_state()
        try:
            for place, prompt in zip(places or range(len(prompts)), prompts, strict=True):
                torch.manual_seed(seed * 10_000 + place)
                ids = torch.tensor([list(prompt)], device=trunk.device)
                with torch.inference_mode(), trunk.autocast():
                    out = trunk.peft.generate(
                        input_ids=ids,
                        attention_mask=torch.ones_like(ids),
                        **how,
                        num_return_sequences=n,
                        max_new_tokens=max_new_tokens,
                        eos_token_id=trunk.eos,
                        pad_token_id=trunk.eos,
                        return_dict_in_generate=True,
                        output_scores=True,
                    )
                logprobs = torch.stack(out.scores, 1).float().log_softmax(-1)
                tokens = out.sequences[:, ids.shape[1] :]
                chosen = logprobs.gather(-1, tokens[..., None])[..., 0]
                sampled.append(
                    [self._until_end(row, lp) for row, lp in zip(tokens.tolist(), chosen.tolist(), strict=True)]
                )
        finally:
            torch.random.set_rng_state(state)
        return sampled

    def _until_end(self, tokens: list[int], logprobs: list[float]) -> Sampled:
        length = tokens.index(self._trunk.eos) + 1 if self._trunk.eos in tokens else len(tokens)
        return Sampled(tokens[:length], logprobs[:length])

    def close(self) -> None:
        """Nothing to free."""
