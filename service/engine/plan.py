"""What the engine is started with: the user's arguments, those that the service owns, and the table of defaults."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from policies.adapters.lora import LoraAdapter
from policies.base import BaseModel
from policies.engine.arguments import parse_arguments
from policies.engine.defaults import Device, Use, default_arguments, device
from policies.engine.memory import Layout
from policies.errors import BrokenPolicy
from policies.store import SFT, PolicyStore
from rewards.compute import compute_dtype_name
from rewards.errors import FgctlError
from service.settings import Settings

MAX_RANK = 512
"""The highest rank of an adapter that vLLM takes."""
_BASE = "policies belong to the model that they were trained on; choose it by --base or FGCTL_BASE"
_CONTEXT = "it follows from FGCTL_MAX_PROMPT_TOKENS and FGCTL_MAX_TOKENS; set these"
_ADAPTERS = "it follows from the policies that are served; set FGCTL_RESIDENT_ADAPTERS for more at once"
_DECODING = "the policy store says how each profile is sampled; set it in profiles.toml"
_SPREADS = "the service spreads requests over all ranks itself; give --data-parallel-size"
_QUEUE = "requests wait in the service's own fair queue; set FGCTL_WAITING_REQUESTS and FGCTL_WAITING_TOKENS"
_STATS = "the service exports what routers need at /metrics"
_LOGPROBS = "answers and checks of adapters have log-probabilities before temperature; leave it out"
OWNED: Mapping[str, str] = {
    "model": _BASE,
    "model_weights": _BASE,
    "tokenizer": _BASE,
    "tokenizer_revision": _BASE,
    "revision": _BASE,
    "hf_config_path": _BASE,
    "skip_tokenizer_init": "the service formats prompts and reads tokens; leave it out",
    "served_model_name": "clients name profiles; `fgctl policies promote` makes one",
    "runner": "the service generates text; leave it out",
    "convert": "the service generates text; leave it out",
    "max_model_len": _CONTEXT,
    "enable_lora": _ADAPTERS,
    "max_loras": _ADAPTERS,
    "max_cpu_loras": _ADAPTERS,
    "default_mm_loras": _ADAPTERS,
    "generation_config": _DECODING,
    "override_generation_config": _DECODING,
    "logprobs_mode": _LOGPROBS,
    "disable_log_stats": _STATS,
    "aggregate_engine_logging": _STATS,
    "data_parallel_rank": _SPREADS,
    "data_parallel_start_rank": _SPREADS,
    "data_parallel_external_lb": _SPREADS,
    "data_parallel_hybrid_lb": _SPREADS,
    "max_num_queued_reqs": _QUEUE,
    "max_num_queued_tokens": _QUEUE,
}
"""Arguments that the service sets, or whose setting would break it: why, and what to do instead."""
OWNED_ON_CPU: Mapping[str, str] = {
    "enable_chunked_prefill": "on a CPU a chunked prompt with a seed would end the engine; leave it out"
}


@dataclass(frozen=True)
class AdapterShapes:
    """The adapters for which the engine reserves memory."""

    rank: int
    """The highest rank of an adapter."""
    modules: frozenset[str]
    """The modules that adapters may change."""
    adapters: int
    """How many adapters one batch may mix."""


@dataclass(frozen=True)
class EnginePlan:
    """How an engine is started."""

    device: Device
    named: Mapping[str, Any]
    """The arguments that the user names, merged with what the policies need."""
    service: Mapping[str, Any]
    """Those that the service sets."""
    defaults: Mapping[str, Any]
    """Those of the table, for what nobody names."""
    shapes: AdapterShapes

    @classmethod
    def of(cls, base: BaseModel, shapes: AdapterShapes, settings: Settings) -> "EnginePlan":
        """The plan for a base model and adapters of these shapes. Raises FgctlError for arguments that cannot be."""
        where = device()
        named = user_arguments(settings)
        shapes = _merged(shapes, named)
        use = Use(
            settings.max_prompt_tokens + settings.max_tokens, settings.kv_cache_gib << 30, settings.max_num_seqs,
            compiled=settings.compile,
        )  # fmt: skip
        service = {
            "model": str(base.path),
            "max_model_len": use.context,
            "enable_lora": True,
            "max_loras": shapes.adapters,
            "max_lora_rank": shapes.rank,
            "lora_target_modules": sorted(shapes.modules),
            "generation_config": "vllm",
            "disable_log_stats": True,
        }
        defaults = {"dtype": compute_dtype_name()} | default_arguments(use, where)
        named = {name: value for name, value in named.items() if name not in service}
        defaults = {name: value for name, value in defaults.items() if name not in named}
        return cls(where, named, service, defaults, shapes)

    @property
    def arguments(self) -> dict[str, Any]:
        """vLLM's engine arguments."""
        return {**self.service, **self.defaults, **self.named}

    @property
    def layout(self) -> Layout:
        """How the engine is divided."""
        return layout_of(self.named)

    @property
    def sequences(self) -> int:
        """Sequences that all ranks together decode at once."""
        return int(self.arguments["max_num_seqs"]) * self.layout.data


def user_arguments(settings: Settings) -> dict[str, Any]:
    """The engine arguments that the settings name. Raises FgctlError for those that cannot be given."""
    owned = OWNED if device() == "gpu" else {**OWNED, **OWNED_ON_CPU}
    return parse_arguments(settings.engine_args, owned)


def layout_of(named: Mapping[str, Any]) -> Layout:
    """How engine arguments divide an engine."""
    sizes = (named.get(f"{kind}_parallel_size") or 1 for kind in ("data", "tensor", "pipeline"))
    return Layout(*sizes)


def local_workers(named: Mapping[str, Any]) -> int:
    """Worker processes of an engine on this machine."""
    layout = layout_of(named)
    ranks = named.get("data_parallel_size_local")
    return (layout.data if ranks is None else ranks) * layout.tensor * layout.pipeline


def shapes_for(paths: Iterable[Path], spare: int) -> AdapterShapes:
    """Shapes for the adapters at `paths` and `spare` more like them; vLLM's ranks are 8 and higher powers of two."""
    adapters = []
    for path in paths:
        try:
            adapter = LoraAdapter(path)
        except BrokenPolicy:  # it is refused when it is loaded
            continue
        if adapter.rank <= MAX_RANK:
            adapters.append(adapter)
    rank = max((adapter.rank for adapter in adapters), default=8)
    modules: frozenset[str] = frozenset().union(*(adapter.kinds for adapter in adapters))
    return AdapterShapes(max(8, 1 << (rank - 1).bit_length()), modules or frozenset({"q_proj"}), len(adapters) + spare)


def shapes_of(store: PolicyStore, spare: int) -> AdapterShapes:
    """Room for every adapter that the store's profiles name, one more to exchange it for, and `spare` others."""
    paths: list[Path] = []
    for name, profile in store.profiles().items():
        if name != SFT:
            for version in [profile.version, *([profile.canary.version] if profile.canary else [])]:
                with suppress(FgctlError):  # whoever resolves the profile says what is wrong with it
                    paths.append(store.verify(name, version))
    return shapes_for(paths, spare + 1)


def engine_arguments(base: BaseModel, shapes: AdapterShapes, settings: Settings) -> dict[str, Any]:
    """vLLM's engine arguments for a base model and adapters of these shapes."""
    return EnginePlan.of(base, shapes, settings).arguments


def _merged(shapes: AdapterShapes, named: Mapping[str, Any]) -> AdapterShapes:
    """The shapes with the user's: a higher rank and further modules, for policies that are promoted later."""
    return replace(
        shapes,
        rank=max(shapes.rank, int(named.get("max_lora_rank") or 0)),
        modules=shapes.modules.union(named.get("lora_target_modules") or ()),
    )
