"""Threads, preloaded libraries and memory on a CPU, and warnings about what is missing."""

import os

import pytest

from service.engine import cpu_environment as environment
from service.engine.cpu_environment import engine_settings, missing, prepare_environment, usable_cores, with_preloads


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Four cores, 16 GiB free, no limits, both libraries installed."""
    monkeypatch.setattr(environment, "_CGROUP", tmp_path)
    monkeypatch.setattr(environment, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(environment, "_tcmalloc", lambda: "libtcmalloc_minimal.so.4")
    monkeypatch.setattr(environment, "_intel_openmp", lambda: "/venv/lib/libiomp5.so")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 1, 2, 0})
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:   16777216 kB\n")
    return tmp_path


def test_an_engine_uses_every_core_and_reserves_none():
    settings = engine_settings()
    assert settings["VLLM_CPU_OMP_THREADS_BIND"] == "0,1,2,3"
    assert settings["VLLM_CPU_NUM_OF_RESERVED_CPU"] == "0"


@pytest.mark.parametrize(("workers", "cores"), [(2, "0,1|2,3"), (3, "0|1|2,3"), (4, "0|1|2|3"), (6, "0|1|2|3|0|1")])
def test_workers_divide_the_cores_and_share_them_where_there_are_too_few(workers, cores):
    assert engine_settings(workers)["VLLM_CPU_OMP_THREADS_BIND"] == cores


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 4), ("150000 100000", 2), ("20000 100000", 1)])
def test_a_cgroup_quota_limits_the_cores(machine, quota, cores):
    (machine / "cpu.max").write_text(f"{quota}\n")
    assert len(usable_cores()) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 4), ("200000", 2)])
def test_a_cgroup_v1_quota_limits_the_cores(machine, quota, cores):
    (machine / "cpu").mkdir()
    (machine / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (machine / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert len(usable_cores()) == cores


def test_variables_that_the_user_has_set_are_kept(monkeypatch):
    for name in engine_settings():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    prepare_environment(3)
    assert os.environ["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert os.environ["VLLM_CPU_NUM_OF_RESERVED_CPU"] == "0"


def test_another_engine_of_this_process_gets_cores_for_its_own_workers(monkeypatch):
    for name in engine_settings():
        monkeypatch.delenv(name, raising=False)
    for workers, cores in ((1, "0,1,2,3"), (2, "0,1|2,3"), (1, "0,1,2,3")):
        prepare_environment(workers)
        assert os.environ["VLLM_CPU_OMP_THREADS_BIND"] == cores


def test_each_library_is_preloaded_once_and_never_two_kinds_of_openmp():
    both = "libtcmalloc_minimal.so.4:/venv/lib/libiomp5.so"
    assert with_preloads({"A": "1"}) == {"A": "1", "LD_PRELOAD": both, "FGCTL_PRELOADED": "1"}
    assert with_preloads({"LD_PRELOAD": both})["LD_PRELOAD"] == both
    other = "/opt/libgomp.so.1"
    assert with_preloads({"LD_PRELOAD": other})["LD_PRELOAD"] == f"{other}:libtcmalloc_minimal.so.4"


def test_each_missing_thing_is_a_warning_that_says_what_to_do(machine, monkeypatch):
    assert missing({}, 2) == []
    monkeypatch.setattr(environment, "_tcmalloc", lambda: None)
    monkeypatch.setattr(environment, "_intel_openmp", lambda: None)
    tcmalloc, openmp, memory = missing({}, 15)
    assert "libtcmalloc-minimal4" in tcmalloc
    assert "intel-openmp" in openmp
    assert "FGCTL_KV_CACHE_GIB" in memory
    assert "16.0 GiB" in memory
    assert missing({"LD_PRELOAD": "/a/libtcmalloc.so:/b/libomp.so", "VLLM_CPU_KVCACHE_SPACE": "1"}, 15) == []
    (machine / "memory.max").write_text(f"{3 * 2**30}\n")
    assert "3.0 GiB" in missing({}, 2)[-1]
    (machine / "memory.max").write_text(f"{5 * 2**30}\n")
    assert missing({}, 2) == missing({}, 1, workers=1)
    assert "needs about 7.0" in missing({}, 2, workers=2)[-1]


def test_unknown_memory_is_no_warning(machine):
    (machine / "meminfo").unlink()
    assert missing({}, 99) == []
