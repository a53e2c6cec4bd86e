"""The benchmark beside `vllm serve`: the order of turns and the arithmetic of its report, without a clock."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from rewards.errors import FgctlError
from service.bench import load, serve
from service.bench.load import Times
from service.bench.serve import CONCURRENCY, Turn, report, take_turns
from service.bench.servers import VLLM, Running, contenders, service_name


def times(tokens_per_second, requests=2):
    return Times(1.0, tokens_per_second, (0.1,) * requests, (0.02, 0.04) * requests, (0.5,) * requests)


def turn(tokens_per_second, scored=0, lag=0.0):
    return Turn(times(tokens_per_second), scored, 0, lag)


def test_ratios_are_quotients_of_medians_with_the_extremes_of_a_round():
    off = service_name(0)
    turns = {
        VLLM: {8: [turn(100), turn(200), turn(300)]},
        off: {8: [turn(90), turn(220), turn(300)]},
        service_name(1): {8: [turn(50, 2, 0.5), turn(50, 2, 3.0), turn(50, 1)]},
    }
    measured = report(turns, dict.fromkeys(turns, 3 * 2**20))
    json.dumps(measured)
    first, second = measured["ratios"]
    assert (first["of"], first["to"], first["concurrency"], first["goal"]) == (off, VLLM, 8, 0.98)
    assert (first["ratio"], first["min"], first["max"]) == pytest.approx((1.1, 0.9, 1.1))
    assert second["goal"] is None
    (level,) = measured["contenders"][service_name(1)]["levels"]
    assert level["requests"] == 6
    assert level["tokens_per_second"] == {"median": 50, "min": 50, "max": 50}
    assert level["time_to_first_token_ms"] == pytest.approx({"p50": 100, "p95": 100, "p99": 100})
    assert level["inter_token_latency_ms"]["p50"] == pytest.approx(30)
    assert (level["scored"], level["scoring_lag_seconds"]) == (5, 3.0)
    assert measured["contenders"][VLLM]["peak_memory_mib"] == 3


def test_all_servers_get_the_same_requests_and_each_round_begins_with_another(monkeypatch):
    calls = []

    def record(server, requests, concurrency):
        calls.append((server.contender.name, concurrency, requests))
        return turn(100)

    monkeypatch.setattr(serve, "_turn", record)
    servers = [Running(contender, None, "") for contender in contenders([0.0, 1.0])]
    turns = take_turns(servers, lambda count, first: list(range(first, first + count)), 2, lambda _: None)
    names = [server.contender.name for server in servers]
    assert {name: {level: len(rounds) for level, rounds in levels.items()} for name, levels in turns.items()} == {
        name: dict.fromkeys(CONCURRENCY, 2) for name in names
    }
    measured = calls[len(servers) :]
    blocks = [measured[i : i + len(servers)] for i in range(0, len(measured), len(servers))]
    assert [block[0][0] for block in blocks] == [names[0]] * 3 + [names[1]] * 3
    for block in blocks:
        assert len({(concurrency, tuple(requests)) for _, concurrency, requests in block}) == 1
        assert len({name for name, _, _ in block}) == len(servers)
    requests = [request for block in blocks for request in block[0][2]] + calls[0][2]
    assert len(set(requests)) == len(requests)


def server_with_counts(monkeypatch, *readings):
    """A server whose counts of scored, dropped and left-out answers are these, one reading after another."""
    left = list(readings)
    monkeypatch.setattr(serve, "_scoring_counts", lambda _: left.pop(0) if len(left) > 1 else left[0])

    async def run_closed_loop(*arguments, **options):
        return times(10)

    monkeypatch.setattr(serve, "run_closed_loop", run_closed_loop)
    monkeypatch.setattr(serve.time, "sleep", lambda _: None)
    return Running(contenders([1.0])[1], SimpleNamespace(turn=nullcontext), "")


def test_a_turn_ends_when_scoring_has_caught_up(monkeypatch):
    server = server_with_counts(monkeypatch, (5, 1, 2), (5, 1, 2), (6, 1, 3), (6, 2, 3), (6, 2, 4))
    ended = serve._turn(server, [None] * 4, 1)
    assert (ended.scored, ended.dropped) == (1, 1)
    assert ended.scoring_lag > 0


def test_scoring_that_does_not_catch_up_is_an_error(monkeypatch):
    server = server_with_counts(monkeypatch, (0, 0, 0))
    monkeypatch.setattr(serve, "_CATCH_UP", 0)
    with pytest.raises(FgctlError, match="has not scored"):
        serve._turn(server, [None], 1)


def test_counts_are_read_from_the_metrics(monkeypatch, service):
    metrics = service.backend.metrics
    metrics.scoring.scored.labels("short", "v").inc()
    metrics.scoring.dropped.labels("short", "sampled_out").inc(3)
    metrics.scoring.dropped.labels("short", "timeout").inc()
    metrics.scoring.dropped.labels("long", "queue_full").inc()
    text = metrics.exposition()[0].decode()
    monkeypatch.setattr(load.httpx, "get", lambda *a, **o: SimpleNamespace(text=text))
    assert serve._scoring_counts(Running(contenders([1.0])[1], None, "")) == (1, 2, 3)
    assert serve._scoring_counts(Running(contenders([1.0])[0], None, "")) == (0, 0, 0)
