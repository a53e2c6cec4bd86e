"""What makes vLLM fast on a CPU: threads, allocator, OpenMP and memory, and what of it is missing here.

Variables that the user has set stay as they are.
"""

import ctypes.util
import math
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

PRELOADED = "FGCTL_PRELOADED"
"""Set where libraries have been preloaded, so that a program does not start itself again and again."""
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_BESIDE_CACHE_GIB = 1.5
"""Memory that an engine with the embedded base takes beside its key-value cache."""


def engine_settings(kv_cache_gib: int) -> dict[str, str]:
    """Variables for vLLM's CPU backend: every core that this process may use, and `kv_cache_gib` GiB for the cache."""
    return {
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, usable_cores())),
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "VLLM_CPU_KVCACHE_SPACE": str(kv_cache_gib),
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "VLLM_NO_USAGE_STATS": "1",
    }


def prepare_environment(kv_cache_gib: int) -> None:
    """Set these variables in this process. Before vLLM is imported."""
    for name, value in engine_settings(kv_cache_gib).items():
        os.environ.setdefault(name, value)


def with_preloads(given: Mapping[str, str]) -> dict[str, str]:
    """An environment with tcmalloc and Intel's OpenMP preloaded, where they are installed.

    They make decoding on a CPU twice as fast, and only work when the loader brings them in first.
    """
    listed = given.get("LD_PRELOAD", "")
    wanted = [listed, None if "tcmalloc" in listed else _tcmalloc(), None if _has_openmp(listed) else _intel_openmp()]
    return {**given, "LD_PRELOAD": ":".join(library for library in wanted if library), PRELOADED: "1"}


def missing(given: Mapping[str, str], kv_cache_gib: int) -> list[str]:
    """What this machine lacks of what makes an engine fast, each with what to do."""
    listed = given.get("LD_PRELOAD", "")
    lacks = []
    if "tcmalloc" not in listed and _tcmalloc() is None:
        lacks.append("tcmalloc is not installed; decoding on a CPU is faster with it (Debian: libtcmalloc-minimal4).")
    if not _has_openmp(listed) and _intel_openmp() is None:
        lacks.append("Intel's OpenMP is not installed; decoding on a CPU is faster with it (pip install intel-openmp).")
    wanted = int(given.get("VLLM_CPU_KVCACHE_SPACE") or kv_cache_gib) + _BESIDE_CACHE_GIB
    available = available_memory_gib()
    if available is not None and available < wanted:
        lacks.append(
            f"Only {available:.1f} GiB of memory are free, and the engine takes about {wanted:.1f}; "
            "lower FGCTL_KV_CACHE_GIB or free some."
        )
    return lacks


def usable_cores() -> list[int]:
    """The cores this process may run on, as many of them as its control group's quota pays for."""
    cores = sorted(os.sched_getaffinity(0))
    quota = _cpu_quota()
    return cores if quota is None else cores[: max(1, math.ceil(quota))]


def available_memory_gib() -> float | None:
    """Memory that can be had without swapping, at most the control group's limit; None where neither is known."""
    free = re.search(r"MemAvailable:\s+(\d+) kB", _read(_MEMINFO))
    limit = _read(_CGROUP / "memory.max").strip()
    known = [int(free[1]) / 2**20] if free else []
    if limit.isdecimal():
        known.append(int(limit) / 2**30)
    return min(known, default=None)


def _cpu_quota() -> float | None:
    """Cores' worth of time that the control group gets; None without a limit."""
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
    return re.search("lib(i|g)?omp", preloads) is not None  # never two of them
