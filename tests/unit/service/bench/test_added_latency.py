"""The latency that the service adds is a request's time without the engine's own."""

import pytest

from service.bench.added_latency import TOKENS, report
from service.bench.fixed_speed_engine import FIRST, PACE
from service.bench.load import Times


def test_the_engines_own_time_is_subtracted():
    last = FIRST + (TOKENS - 1) * PACE
    times = Times(1.0, 64, (FIRST + 0.002, FIRST + 0.004), (), (last + 0.001, last + 0.003))
    measured = report(32, times, 0.006)
    assert measured["added_to_first_token_ms"]["p50"] == pytest.approx(3)
    assert measured["added_to_total_ms"]["p50"] == pytest.approx(2)
    assert (measured["requests"], measured["goal_p50_ms"]) == (2, 3)
    assert measured["cpu_ms_a_request"] == pytest.approx(3)
    assert measured["goal_p99_ms"] is None
    assert (report(256, times, 0)["goal_p50_ms"], report(256, times, 0)["goal_p99_ms"]) == (None, 100)
