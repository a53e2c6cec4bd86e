"""vLLM's processes: they end with the one that started them, and can be killed whatever they are doing.

vLLM starts a core for each data-parallel rank by multiprocessing, each core starts its workers, and a coordinator keeps
several cores in step. Their entry points are replaced by the functions
below, and because a child looks up its entry point before anything else, it is bound to its parent before it imports
vLLM.
"""

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from rewards.child_processes import end_with_parent

_CORE, _COORDINATOR = "EngineCore", "VLLM_DP_Coordinator"
"""How vLLM names its processes."""

_replaced: dict[str, Callable[..., Any]] = {}
"""vLLM's entry points that were replaced in this process, or in the one that it is a fork of."""


def bind_cores() -> None:
    """Make the cores that this process starts from now on end with it, and their workers with them."""
    from vllm.v1.engine.coordinator import DPCoordinatorProc
    from vllm.v1.engine.core import EngineCoreProc

    _replaced.setdefault("core", EngineCoreProc.run_engine_core)
    EngineCoreProc.run_engine_core = staticmethod(run_core)
    _replaced.setdefault("coordinator", DPCoordinatorProc.run_coordinator)
    DPCoordinatorProc.run_coordinator = staticmethod(run_coordinator)  # type: ignore[method-assign]


def kill_cores() -> None:
    """Kill the cores of this process, and so their workers; also those that are still starting."""
    for child in multiprocessing.active_children():
        if child.name.startswith((_CORE, _COORDINATOR)):
            child.kill()


def coordinators() -> list[BaseProcess]:
    """The processes that keep this process's cores in step; none for a single core."""
    return [child for child in multiprocessing.active_children() if child.name == _COORDINATOR]


def run_core(*arguments: Any, **options: Any) -> None:
    """A core's entry point."""
    end_with_parent()
    from vllm.v1.engine.core import EngineCoreProc
    from vllm.v1.executor.multiproc_executor import WorkerProc

    _replaced.setdefault("worker", WorkerProc.worker_main)
    WorkerProc.worker_main = staticmethod(run_worker)
    _replaced.get("core", EngineCoreProc.run_engine_core)(*arguments, **options)


def run_coordinator(*arguments: Any, **options: Any) -> None:
    """A coordinator's entry point."""
    end_with_parent()
    from vllm.v1.engine.coordinator import DPCoordinatorProc

    _replaced.get("coordinator", DPCoordinatorProc.run_coordinator)(*arguments, **options)


def run_worker(*arguments: Any, **options: Any) -> None:
    """A worker's entry point."""
    end_with_parent()
    from vllm.v1.executor.multiproc_executor import WorkerProc

    _replaced.get("worker", WorkerProc.worker_main)(*arguments, **options)


# In a child this runs when the entry point is looked up, some seconds before the entry point itself.
end_with_parent()
