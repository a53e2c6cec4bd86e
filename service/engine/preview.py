"""What would be started, whether vLLM takes it, and the memory that it needs: `fgctl serve --dry-run`."""

from dataclasses import asdict
from typing import Any

from policies.adapters.base_modules import modules_of
from policies.base import BaseModel
from policies.engine.defaults import Use, defaults
from policies.engine.memory import Model, Needs, adapter_bytes, needs
from rewards.errors import FgctlError
from service.engine.cpu_environment import available_memory_gib, engine_settings, prepare_environment
from service.engine.plan import AdapterShapes, EnginePlan, local_workers
from service.settings import Settings

_GIB = 2**30


def preview(base: BaseModel, shapes: AdapterShapes, settings: Settings) -> dict[str, Any]:
    """The object of `fgctl serve --dry-run --json`. Raises FgctlError for what vLLM does not take."""
    prepare_environment()
    plan = EnginePlan.of(base, shapes, settings)
    workers = local_workers(plan.named)
    if plan.device == "cpu":
        prepare_environment(workers)
    _check(plan)
    model, gpu_bytes = Model.of(base.path), _gpu_bytes() if plan.device == "gpu" else None
    need = needs(model, plan.layout, plan.arguments, _adapters(base, plan), gpu_bytes)
    return {
        "base": base.name,
        "device": plan.device,
        "layout": asdict(plan.layout) | {"devices": plan.layout.devices},
        "sequences": plan.sequences,
        "arguments": _rows(plan, settings),
        "environment": engine_settings(workers) if plan.device == "cpu" else {},
        "memory": _memory(plan, need, workers, gpu_bytes),
        "cache_tokens": need.cache_tokens * plan.layout.data,
        "whole_contexts": need.cache_tokens * plan.layout.data // plan.service["max_model_len"],
    }


def _check(plan: EnginePlan) -> None:
    """Let vLLM check the arguments against each other and the model, without loading weights. Raises FgctlError."""
    from pydantic import ValidationError
    from vllm import AsyncEngineArgs

    try:
        AsyncEngineArgs(**plan.arguments).create_engine_config()
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
    except Exception as error:  # noqa: BLE001  # vLLM and the libraries that it asks raise whatever they like
        reason = next(iter(str(error).splitlines()), type(error).__name__)
    else:
        return
    raise FgctlError(f"vLLM does not take these engine arguments: {reason.rstrip('.')}; change them.")


def _adapters(base: BaseModel, plan: EnginePlan) -> float:
    modules, shapes = modules_of(base.path), plan.shapes
    if modules is None:
        return 0.0
    dtype = str(plan.arguments["dtype"])
    return adapter_bytes(modules.shapes, shapes.modules, shapes.rank, shapes.adapters, plan.layout, dtype)


def _rows(plan: EnginePlan, settings: Settings) -> list[dict[str, Any]]:
    """Every argument with its value, where it comes from, and why."""
    context = settings.max_prompt_tokens + settings.max_tokens
    why = {row.argument: row.why for row in defaults(Use(context, settings.kv_cache_gib << 30))}
    sources = [("you", plan.named), ("fgctl", plan.service), ("default", plan.defaults)]
    return [
        {"argument": name, "value": value, "from": source, "why": why.get(name, "") if source == "default" else ""}
        for source, values in sources
        for name, value in values.items()
    ]


def _memory(plan: EnginePlan, need: Needs, workers: int, gpu_bytes: float | None) -> dict[str, Any]:
    """In GiB: the parts of one device, and what is there for it."""
    parts = {f"{part}_gib": getattr(need, part) / _GIB for part in ("weights", "adapters", "process", "cache")}
    if gpu_bytes is None:
        total, available = need.total * workers / _GIB, available_memory_gib()
        whole = {"here_gib": total, "available_gib": available, "fits": available is None or total <= available}
    else:
        room = gpu_bytes * float(plan.arguments.get("gpu_memory_utilization", 0.9))
        fits = need.total <= room and need.cache_tokens >= plan.service["max_model_len"]
        whole = {"here_gib": need.total * workers / _GIB, "available_gib": gpu_bytes * workers / _GIB, "fits": fits}
    return {"devices": plan.layout.devices, "of_one_device_gib": need.total / _GIB, **parts, **whole}


def _gpu_bytes() -> float:
    import torch

    return float(torch.cuda.get_device_properties(0).total_memory)
