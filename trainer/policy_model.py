"""The model of a run: a frozen base or trunk with the policy's LoRA adapter and the reference."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from torch import Tensor, nn

from policies.base import BaseModel, load_tokenizer
from policies.control_tokens import decode
from rewards.compute import compute_dtype
from trainer.bases.adapter_modules import with_fresh_adapter
from trainer.bases.load_base import load_model, positions
from trainer.bases.packed_attention import packed_row
from trainer.bases.packed_check import check_packed_rows
from trainer.bases.recompute import recompute_layers
from trainer.logprobs import chosen_logprobs
from trainer.packing import Group, Packed, pack
from trainer.processes import Processes
from trainer.recipe import LoraRecipe

Adapter = Literal["policy", "reference"]


@dataclass(frozen=True)
class TokenLogProbs:
    """Log-probabilities of the N response tokens of a packed row under an adapter."""

    logprobs: Tensor
    """float32 [N]: log-probability of each response token, in nats."""
    entropy: Tensor
    """float32 [N]: entropy of the distribution that each was drawn from, in nats; empty unless asked for."""
    features: Tensor
    """float32 [N, hidden]: last hidden state at the predicting position; empty unless asked for."""
    below: Tensor | None
    """[1, T, hidden], in the model's precision: the input of the first adapted layer, the same for every adapter; None
    where a pass cannot begin there."""


class PolicyModel:
    """A frozen causal language model with a trainable adapter `policy`, and the reference.

    The reference is another adapter, the parent's, or the model itself, as for a trunk, which holds the parent.
    """

    def __init__(
        self,
        base: BaseModel,
        lora: LoraRecipe,
        parent: Path | None = None,
        temperature: float = 1.0,
        processes: Processes | None = None,
        dtype: torch.dtype | None = None,
        recompute: bool = False,
        longest: int = 0,
    ) -> None:
        """Load the base. With `parent`, policy and reference both start as that adapter; without, as the base itself.

        Probabilities are softmax(logits / temperature) throughout, in sampling as in training. `processes` may shard
        the base; the adapters stay whole. `dtype` is the base's precision, by default the one that is fast on this
        machine (rewards.compute); float32 is also for tests of exact equality. `recompute` saves memory in the backward
        pass (trainer.bases.recompute). `longest` is the number of tokens of the longest sequence there may be.

        Raises FgctlError for a base that cannot be trained: what is missing, or what is wrong with its packed rows.
        """
        processes, dtype = processes or Processes(), dtype or compute_dtype()
        self.temperature, self.dtype, self.device = temperature, dtype, processes.device
        self._base = base
        self.tokenizer = load_tokenizer(base)
        base_model = load_model(base, dtype, longest)
        if recompute:
            recompute_layers(base_model)
        self.peft: Any
        if parent is None:
            # B is zero, so the fresh adapter is the base itself; A is drawn from a seed of its own.
            torch.manual_seed(0)
            self.peft = with_fresh_adapter(base_model, lora, base.name, "policy")
        else:
            self.peft = PeftModel.from_pretrained(base_model, parent, adapter_name="policy", is_trainable=True)
            self.peft.load_adapter(parent, adapter_name="reference")
        self.peft.eval()  # LoRA without dropout: sampling, old and new log-probabilities use the same model
        self.use("policy")
        self._first_adapted = 0
        if processes.sharded:
            layers = self.peft.get_base_model().get_decoder().layers
            adapters = [p for name, p in self.peft.named_parameters() if ".lora_" in name]
            processes.shard(self.peft, layers, adapters)
        else:
            self.peft.to(self.device)
        self._check_packed_rows(base.name, exactly=not processes.sharded)
        if processes.sharded:
            self.peft.reshard()  # without a backward pass, the outermost module would stay gathered
            return
        self._first_adapted = first_adapted_layer(self.peft.get_base_model())
        if self._first_adapted and not self._begins_midway():
            self._first_adapted = 0

    @property
    def eos(self) -> int:
        """The end-of-text token that ends a response."""
        return int(self.tokenizer.eos_token_id)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a response's tokens, without special tokens."""
        return decode(self.tokenizer, tokens)

    @property
    def positions(self) -> int:
        """Tokens of the longest sequence that the base reads."""
        return positions(self.peft.get_base_model().config)

    @property
    def hidden_size(self) -> int:
        """Width of the last hidden state."""
        return int(self.peft.get_base_model().config.hidden_size)

    def use(self, adapter: Adapter | None) -> None:
        """Activate policy or reference, or for None the base alone; only the policy ever gets gradients."""
        if adapter in self.peft.peft_config:
            self.peft.base_model.enable_adapter_layers()
            self.peft.set_adapter(adapter)
        else:
            self.peft.base_model.disable_adapter_layers()
        for name, parameter in self.peft.named_parameters():
            parameter.requires_grad_(".policy." in name and adapter == "policy")

    def policy_parameters(self) -> dict[str, nn.Parameter]:
        """The policy adapter's float32 weights by name."""
        return {name: p for name, p in self.peft.named_parameters() if ".policy." in name}

    def load_policy(self, directory: Path) -> str | None:
        """Give the policy the weights of a stored adapter, or say in what its shape differs and change nothing."""
        from peft.utils import load_peft_weights, set_peft_model_state_dict

        weights, own = load_peft_weights(str(directory), device="cpu"), self._policy_state()
        if different := sorted(weights.keys() ^ own.keys()):
            return f"{different[0]} is in only one of the two adapters"
        for name, value in own.items():
            if weights[name].shape != value.shape:
                return f"{name} has the shape {list(weights[name].shape)} instead of {list(value.shape)}"
        set_peft_model_state_dict(self.peft, weights, adapter_name="policy")
        return None

    def evaluate(
        self,
        packed: Packed,
        adapter: Adapter | None = "policy",
        *,
        grad: bool = False,
        entropy: bool = False,
        features: bool = False,
        below: Tensor | None = None,
    ) -> TokenLogProbs:
        """Log-probabilities of a packed row's response tokens under policy or reference, or for None the base alone.

        `below` from an earlier pass over the same row skips the layers that no adapter changes.
        """
        self.use(adapter)
        with nullcontext() if grad else torch.no_grad():
            ids = packed.input_ids.to(self.device)
            visible = None if packed.mask is None else packed.mask.to(self.device)
            with self.autocast(), packed_row(visible), self._starting_at(below) as start:
                out = self.peft(
                    **({"input_ids": ids} if below is None else {"inputs_embeds": below}),
                    position_ids=packed.position_ids.to(self.device),
                    attention_mask=torch.ones_like(ids),
                    logits_to_keep=packed.predicted_at.to(self.device),
                    output_hidden_states=features,
                    use_cache=False,
                )
            logprobs, entropies = chosen_logprobs(
                out.logits.flatten(0, 1), packed.targets.to(self.device), self.temperature, entropy=entropy
            )
            hidden = out.hidden_states[-1][0, packed.predicted_at].float() if features else torch.empty(0)
        return TokenLogProbs(logprobs, entropies, hidden, start.below)

    def logprobs(self, tokens: Sequence[int]) -> Tensor:
        """float32 [T - 1]: the policy's log-probabilities of T tokens but the first, by a pass over them alone."""
        self.use("policy")
        ids = torch.tensor([list(tokens)], device=self.device)
        with torch.no_grad(), self.autocast():
            logits = self.peft(input_ids=ids, use_cache=False).logits[0, :-1]
        return chosen_logprobs(logits, ids[0, 1:], self.temperature)[0]

    def autocast(self) -> torch.autocast:
        """The precision that passes run in."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    @contextmanager
    def _starting_at(self, below: Tensor | None) -> Iterator["_Start"]:
        """Start at the first adapted layer when its input is given; otherwise run all layers and record that input."""
        start = _Start(below)
        if not self._first_adapted:
            yield start
            return
        decoder = self.peft.get_base_model().get_decoder()
        layers = decoder.layers
        if below is None:
            hook = layers[self._first_adapted].register_forward_pre_hook(start.catch, with_kwargs=True)
            try:
                yield start
            finally:
                hook.remove()
        else:
            decoder.layers = layers[self._first_adapted :]
            try:
                yield start
            finally:
                decoder.layers = layers

    def _check_packed_rows(self, base: str, *, exactly: bool) -> None:
        """Raises FgctlError for a base that packed rows do not suit; exactly is in float32, if memory allows."""
        config = self.peft.get_base_model().config
        try:
            with self._in_float32() if exactly else nullcontext():
                check_packed_rows(base, config, self.dtype, lambda row: self.evaluate(row).logprobs, self.logprobs)
        except torch.OutOfMemoryError:
            if not exactly:
                raise
            self._check_packed_rows(base, exactly=False)

    @contextmanager
    def _in_float32(self) -> Iterator[None]:
        """Hold the base in float32 for the block; the way there and back changes no value."""
        rounded = [(p, p.dtype) for p in self.peft.parameters() if p.dtype in (torch.bfloat16, torch.float16)]
        dtype, self.dtype = self.dtype, torch.float32
        try:
            for parameter, _ in rounded:
                parameter.data = parameter.data.float()
            yield
        finally:
            self.dtype = dtype
            for parameter, precision in rounded:
                parameter.data = parameter.data.to(precision)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()  # a vLLM engine in this process looks for free memory

    def _begins_midway(self) -> bool:
        """Whether a pass that begins at the first adapted layer gives the same result as a whole pass.

        It does for decoders that only add up their layers' outputs. A decoder that scales its input or adds positions
        to it, or whose layers differ in the tokens they attend to, always runs whole.
        """
        if len(set(getattr(self.peft.get_base_model().config, "layer_types", None) or ())) > 1:
            return False
        probe = pack([Group([1, 2, 3], [[4, 5], [6]])])
        whole = self.evaluate(probe)
        if whole.below is None:
            return False
        return torch.allclose(whole.logprobs, self.evaluate(probe, below=whole.below).logprobs, atol=1e-3)

    def merged_weights(self) -> Iterator[tuple[str, Tensor]]:
        """The base checkpoint's weights by name, with the policy's update added, in the base's precision."""
        updates = {
            name: layer
            for name, layer in self.peft.get_base_model().named_modules()
            if hasattr(layer, "get_delta_weight")
        }
        for name, tensor in self.peft.get_base_model().state_dict().items():
            if ".lora_" in name:
                continue
            owner = name.removesuffix(".base_layer.weight")
            if owner != name:
                if "policy" in updates[owner].lora_A:
                    delta = updates[owner].get_delta_weight("policy")
                    yield f"{owner}.weight", (tensor.float() + delta.float()).to(tensor.dtype)
                else:
                    yield f"{owner}.weight", tensor
            else:
                yield name.replace(".base_layer.", "."), tensor

    def save_adapter(self, directory: Path) -> None:
        """Write the policy adapter as PEFT and vLLM load it, in bf16."""
        from safetensors.torch import save_file

        directory.mkdir(parents=True, exist_ok=True)
        tensors = {name: t.detach().to(torch.bfloat16).contiguous().cpu() for name, t in self._policy_state().items()}
        save_file(tensors, directory / "adapter_model.safetensors", metadata={"format": "pt"})
        config = copy(self.peft.peft_config["policy"])
        config.inference_mode = True
        config.base_model_name_or_path = self._base.loaded_from
        # PEFT keeps modules in a set; sorted, the same adapter gives the same file and the same version.
        config.target_modules = sorted(config.target_modules)
        config.save_pretrained(str(directory))

    def _policy_state(self) -> dict[str, Tensor]:
        """The policy adapter's weights by the names that PEFT gives them in files."""
        from peft import get_peft_model_state_dict

        state: dict[str, Tensor] = get_peft_model_state_dict(self.peft, adapter_name="policy")
        return state


@dataclass
class _Start:
    """Where a pass begins: the input of the first adapted layer."""

    below: Tensor | None

    def catch(self, module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Record the layer's input; a forward pre-hook."""
        self.below = positional[0] if positional else named["hidden_states"]


def first_adapted_layer(model: nn.Module) -> int:
    """Index of the first decoder layer that has an adapter; 0 when it is the first or the layers have no numbers."""
    matches = [re.search(r"\blayers\.(\d+)\.", name) for name, _ in model.named_modules() if name.endswith(".lora_A")]
    return min((int(match[1]) if match else 0 for match in matches), default=0)
