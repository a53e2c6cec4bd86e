"""What benchmarks share: medians and ranges over rounds, and the peak memory of processes."""

import multiprocessing
import os
import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from rewards.child_processes import end_with_parent


def median_and_range(values: Sequence[float]) -> dict[str, float]:
    """The median, minimum and maximum of some values."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def ratio_of_medians(numerators: Sequence[float], denominators: Sequence[float]) -> dict[str, float]:
    """The ratio of the medians of two series over the same rounds, and the range of the ratios within rounds."""
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    return {"ratio": median(numerators) / median(denominators), "min": min(ratios), "max": max(ratios)}


def peak_memory(work: Callable[..., object], *arguments: Any) -> int:
    """Peak resident memory, in bytes, of a new process that calls `work` once. Raises whatever `work` raises.

    `work` and its arguments must be picklable.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as pool:
        return pool.submit(_call_alone, work, arguments).result()


def _call_alone(work: Callable[..., object], arguments: tuple[Any, ...]) -> int:
    work(*arguments)
    return _own_peak()


def peak_memory_of(pid: int) -> int | None:
    """Peak resident memory of a process, in bytes; None if it has ended or the kernel does not report it."""
    try:
        marks = [line.split() for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()]
    except OSError:
        return None
    return next((int(mark[1]) * 1024 for mark in marks if mark[0] == "VmHWM:"), None)


def _own_peak() -> int:
    """Peak resident memory of this process, in bytes.

    On Linux `ru_maxrss` starts at the peak of the parent process, so the kernel's high-water mark for this program is
    used where there is one.
    """
    mark = peak_memory_of(os.getpid())
    if mark is not None:
        return mark
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
