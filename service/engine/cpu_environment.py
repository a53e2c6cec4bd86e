"""Environment variables and libraries that make vLLM fast on a CPU, and what this machine lacks of them.

Variables that the user has set are kept.
"""

import ctypes.util
import math
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

PRELOADED = "FGCTL_PRELOADED"
"""Set once libraries are preloaded, so that a program restarts itself for them only once."""
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_ENGINE_GIB = 1.5
"""Memory of a worker with the embedded base, without its key-value cache."""
_set: dict[str, str] = {}
"""The variables that this process has set itself."""


def engine_settings(workers: int = 1) -> dict[str, str]:
    """Variables for vLLM's CPU backend: all cores that this process may use, divided among so many workers."""
    return {
        "VLLM_CPU_OMP_THREADS_BIND": "|".join(",".join(map(str, cores)) for cores in _divided(usable_cores(), workers)),
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "VLLM_NO_USAGE_STATS": "1",
    }


def prepare_environment(workers: int = 1) -> None:
    """Set `engine_settings` in this process; call it before vLLM is imported, and again for another engine."""
    for name, value in engine_settings(workers).items():
        if os.environ.get(name, _set.get(name)) == _set.get(name):
            os.environ[name] = _set[name] = value


def with_preloads(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with tcmalloc and Intel's OpenMP in LD_PRELOAD, if they are installed.

    They make decoding on a CPU twice as fast, and work only when the loader loads them first.
    """
    preload = environment.get("LD_PRELOAD", "")
    libraries = [
        preload,
        None if "tcmalloc" in preload else _tcmalloc(),
        None if _has_openmp(preload) else _intel_openmp(),
    ]
    return {**environment, "LD_PRELOAD": ":".join(library for library in libraries if library), PRELOADED: "1"}


def missing(environment: Mapping[str, str], kv_cache_gib: int, workers: int = 1) -> list[str]:
    """One sentence for each thing that this machine lacks for a fast engine, with what to do."""
    preload = environment.get("LD_PRELOAD", "")
    warnings = []
    if "tcmalloc" not in preload and _tcmalloc() is None:
        warnings.append(
            "tcmalloc is not installed; install it for faster decoding on a CPU (Debian: libtcmalloc-minimal4)."
        )
    if not _has_openmp(preload) and _intel_openmp() is None:
        warnings.append(
            "Intel's OpenMP is not installed; install it for faster decoding on a CPU (pip install intel-openmp)."
        )
    needed = workers * (int(environment.get("VLLM_CPU_KVCACHE_SPACE") or kv_cache_gib) + _ENGINE_GIB)
    available = available_memory_gib()
    if available is not None and available < needed:
        warnings.append(
            f"Only {available:.1f} GiB of memory are free, and the engine needs about {needed:.1f}; "
            "lower FGCTL_KV_CACHE_GIB or free some memory."
        )
    return warnings


def _divided(cores: list[int], workers: int) -> list[list[int]]:
    """Neighbouring cores for each worker; where there are too few, workers share them in turn."""
    if workers > len(cores):
        return [[cores[worker % len(cores)]] for worker in range(workers)]
    return [cores[worker * len(cores) // workers : (worker + 1) * len(cores) // workers] for worker in range(workers)]


def usable_cores() -> list[int]:
    """The cores that this process may run on, no more than its control group's quota allows."""
    cores = sorted(os.sched_getaffinity(0))
    quota = _cpu_quota()
    return cores if quota is None else cores[: max(1, math.ceil(quota))]


def available_memory_gib() -> float | None:
    """Memory available without swapping, at most the control group's limit; None if neither is known."""
    free = re.search(r"MemAvailable:\s+(\d+) kB", _read(_MEMINFO))
    limit = _read(_CGROUP / "memory.max").strip()
    bounds = [int(free[1]) / 2**20] if free else []
    if limit.isdecimal():
        bounds.append(int(limit) / 2**30)
    return min(bounds, default=None)


def _cpu_quota() -> float | None:
    """The control group's limit of processor time, in cores; None without a limit."""
    fields = _read(_CGROUP / "cpu.max").split()
    if len(fields) == 2 and fields[0].isdecimal():
        return int(fields[0]) / int(fields[1])
    quota, period = _read(_CGROUP / "cpu/cpu.cfs_quota_us").strip(), _read(_CGROUP / "cpu/cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        return ""


def _tcmalloc() -> str | None:
    return ctypes.util.find_library("tcmalloc_minimal")


def _intel_openmp() -> str | None:
    library = Path(sys.prefix) / "lib" / "libiomp5.so"
    return str(library) if library.is_file() else None


def _has_openmp(preloads: str) -> bool:
    """Whether some OpenMP is preloaded; two of them in one process would clash."""
    return re.search("lib(i|g)?omp", preloads) is not None
