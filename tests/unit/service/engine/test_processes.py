"""The entry points of vLLM's processes."""

import pickle
from types import SimpleNamespace

import pytest

from service.engine import processes


@pytest.fixture
def vllm_classes(monkeypatch):
    """The core's and the worker's classes, which get their own entry points back."""
    core = pytest.importorskip("vllm.v1.engine.core").EngineCoreProc
    worker = pytest.importorskip("vllm.v1.executor.multiproc_executor").WorkerProc
    coordinator = pytest.importorskip("vllm.v1.engine.coordinator").DPCoordinatorProc
    monkeypatch.setattr(coordinator, "run_coordinator", staticmethod(coordinator.run_coordinator))
    monkeypatch.setattr(core, "run_engine_core", staticmethod(core.run_engine_core))
    monkeypatch.setattr(worker, "worker_main", staticmethod(worker.worker_main))
    monkeypatch.setattr(processes, "_replaced", {})
    return core, worker


def test_a_core_looks_up_the_entry_point_that_binds_it_to_its_parent(vllm_classes):
    core, _ = vllm_classes
    own = core.run_engine_core
    processes.bind_cores()
    processes.bind_cores()
    assert pickle.loads(pickle.dumps(core.run_engine_core)) is processes.run_core  # noqa: S301  # made here
    assert processes._replaced["core"] is own


def test_the_coordinator_of_several_cores_is_bound_too(vllm_classes, monkeypatch):
    from vllm.v1.engine.coordinator import DPCoordinatorProc

    calls = []
    monkeypatch.setattr(DPCoordinatorProc, "run_coordinator", staticmethod(lambda **options: calls.append(options)))
    monkeypatch.setattr(processes, "end_with_parent", lambda: calls.append("bound"))
    processes.bind_cores()
    assert pickle.loads(pickle.dumps(DPCoordinatorProc.run_coordinator)) is processes.run_coordinator  # noqa: S301
    processes.run_coordinator(engine_count=2)
    assert calls == ["bound", {"engine_count": 2}]


def test_cores_and_coordinators_are_killed_and_nothing_else(monkeypatch):
    killed = []

    def child(name):
        return SimpleNamespace(name=name, kill=lambda: killed.append(name))

    children = [child(name) for name in ("EngineCore_DP0", "VLLM_DP_Coordinator", "EngineCore", "scoring")]
    monkeypatch.setattr("multiprocessing.active_children", lambda: children)
    processes.kill_cores()
    assert killed == ["EngineCore_DP0", "VLLM_DP_Coordinator", "EngineCore"]
    assert processes.coordinators() == [children[1]]


def test_a_bound_core_runs_as_vllms_own_and_binds_its_workers(vllm_classes, monkeypatch):
    core, worker = vllm_classes
    calls, bound = [], []
    monkeypatch.setattr(processes, "end_with_parent", lambda: bound.append(len(calls)))
    monkeypatch.setattr(core, "run_engine_core", staticmethod(lambda *a, **o: calls.append(("core", a, o))))
    monkeypatch.setattr(worker, "worker_main", staticmethod(lambda *a, **o: calls.append(("worker", a, o))))
    processes.run_core(1, dp_rank=0)
    assert pickle.loads(pickle.dumps(worker.worker_main)) is processes.run_worker  # noqa: S301  # made here
    worker.worker_main(2, rank=0)
    assert calls == [("core", (1,), {"dp_rank": 0}), ("worker", (2,), {"rank": 0})]
    assert bound == [0, 1]


def test_a_core_forked_from_a_bound_process_runs_vllms_own_too(vllm_classes, monkeypatch):
    core, _ = vllm_classes
    calls = []
    monkeypatch.setattr(core, "run_engine_core", staticmethod(lambda: calls.append("core")))
    processes.bind_cores()
    core.run_engine_core()
    assert calls == ["core"]
