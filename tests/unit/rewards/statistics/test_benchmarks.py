import os

import pytest

from rewards.statistics.benchmarks import median_and_range, peak_memory, peak_memory_of, ratio_of_medians

MIB = 2**20


def test_a_series_has_a_median_and_a_range():
    assert median_and_range([3.0, 1.0, 8.0]) == {"median": 3.0, "min": 1.0, "max": 8.0}


def test_a_ratio_is_that_of_medians_and_its_range_that_of_rounds():
    ratio = ratio_of_medians([2.0, 6.0, 4.0], [2.0, 2.0, 8.0])
    assert ratio == {"ratio": 2.0, "min": 0.5, "max": 3.0}
    with pytest.raises(ValueError, match="shorter"):
        ratio_of_medians([1.0, 2.0], [1.0])


def test_work_in_a_process_of_its_own_shows_its_memory():
    small, large = peak_memory(bytes, 1), peak_memory(bytearray, 200 * MIB)
    assert large - small > 150 * MIB


def test_only_a_running_process_has_a_peak():
    assert peak_memory_of(os.getpid()) > MIB
    assert peak_memory_of(2**22 + 1) is None
