"""The benchmark beside `vllm serve`: who is asked what and when, and the arithmetic of its report, without a clock."""

import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest

from policies.base import BaseModel
from rewards.errors import FgctlError
from service.bench import added_latency as layer
from service.bench import serve
from service.bench.fixed_speed_engine import FIRST, PACE, FixedEngine
from service.bench.load import Times, question_and_passages, whole_prompt
from service.bench.serve import CONCURRENCY, VLLM, Running, Turn, contenders, report, service_name, take_turns
from service.engine.engine import Shapes
from service.settings import Settings


def times(tokens_per_second, requests=2):
    return Times(1.0, tokens_per_second, (0.1,) * requests, (0.02, 0.04) * requests, (0.5,) * requests)


def turn(tokens_per_second, scored=0, lag=0.0):
    return Turn(times(tokens_per_second), scored, 0, lag)


@pytest.fixture
def policies(service, tmp_path):
    made = [replace(policy, path=tmp_path / name) for name, policy in service.backend.roster.served.items()]
    for policy, rank in zip(made, (8, 16, 8), strict=True):
        policy.path.mkdir()
        config = {"r": rank, "target_modules": ["q_proj", "v_proj"]}
        (policy.path / "adapter_config.json").write_text(json.dumps(config))
    return made


def fixed():
    engine = FixedEngine(None, Shapes(8, frozenset({"q_proj"}), 4), Settings())
    engine.start()
    return engine


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


def test_all_get_the_same_questions_and_who_begins_changes(monkeypatch):
    asked = []

    def record(server, questions, at_once):
        asked.append((server.contender.name, at_once, questions))
        return turn(100)

    monkeypatch.setattr(serve, "_turn", record)
    servers = [Running(one, None, "") for one in contenders([0.0, 1.0])]
    turns = take_turns(servers, lambda count, first: list(range(first, first + count)), 2, lambda _: None)
    names = [server.contender.name for server in servers]
    assert {name: {level: len(taken) for level, taken in levels.items()} for name, levels in turns.items()} == {
        name: dict.fromkeys(CONCURRENCY, 2) for name in names
    }
    rounds = asked[len(servers) :]
    blocks = [rounds[i : i + len(servers)] for i in range(0, len(rounds), len(servers))]
    assert [block[0][0] for block in blocks] == [names[0]] * 3 + [names[1]] * 3
    for block in blocks:
        assert len({(at_once, tuple(questions)) for _, at_once, questions in block}) == 1
        assert len({name for name, _, _ in block}) == len(servers)
    given = [question for block in blocks for question in block[0][2]] + asked[0][2]
    assert len(set(given)) == len(given)


def test_vllm_itself_takes_its_command_line(policies):
    pytest.importorskip("vllm")
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    base = BaseModel("base", policies[0].path, "b")
    command = serve.vllm_command(base, policies, Settings(max_num_seqs=16), 1234)
    parsed = make_arg_parser(FlexibleArgumentParser()).parse_args(command[3:])
    assert parsed.model == str(base.path)
    assert (parsed.port, parsed.host, parsed.max_num_seqs, parsed.max_model_len) == (1234, "127.0.0.1", 16, 2048)
    assert (parsed.enable_lora, parsed.max_loras, parsed.max_lora_rank) == (True, 12, 16)
    assert parsed.lora_target_modules == ["q_proj", "v_proj"]
    assert (parsed.enable_prefix_caching, parsed.enable_chunked_prefill) == (True, False)
    assert [(one.name, one.path) for one in parsed.lora_modules] == [(p.profile, str(p.path)) for p in policies]


def test_each_server_is_asked_in_its_own_way():
    theirs, ours = contenders([0.1])
    assert (theirs.body, theirs.ready_at) == (whole_prompt, "/health")
    assert (ours.body, ours.ready_at) == (question_and_passages, "/readyz")
    assert ours.name == "fgctl serve, scoring 10%"


def scoring(monkeypatch, *readings):
    """A server whose counts of scored, dropped and left out answers are these, one reading after another."""
    left = list(readings)
    monkeypatch.setattr(serve, "_scoring", lambda _: left.pop(0) if len(left) > 1 else left[0])

    async def drive(*arguments, **options):
        return times(10)

    monkeypatch.setattr(serve, "drive", drive)
    monkeypatch.setattr(serve.time, "sleep", lambda _: None)
    return Running(contenders([1.0])[1], SimpleNamespace(turn=nullcontext), "")


def test_a_turn_ends_when_all_that_is_to_be_scored_is_scored(monkeypatch):
    server = scoring(monkeypatch, (5, 1, 2), (5, 1, 2), (6, 1, 3), (6, 2, 3), (6, 2, 4))
    ended = serve._turn(server, [None] * 4, 1)
    assert (ended.scored, ended.dropped) == (1, 1)
    assert ended.scoring_lag > 0


def test_scoring_that_does_not_catch_up_is_an_error(monkeypatch):
    server = scoring(monkeypatch, (0, 0, 0))
    monkeypatch.setattr(serve, "_DRAIN", 0)
    with pytest.raises(FgctlError, match="has not scored"):
        serve._turn(server, [None], 1)


def test_counts_are_read_from_the_metrics(monkeypatch, service):
    metrics = service.backend.metrics
    metrics.scoring.scored.labels("short", "v").inc()
    metrics.scoring.dropped.labels("short", "sampled_out").inc(3)
    metrics.scoring.dropped.labels("short", "timeout").inc()
    metrics.scoring.dropped.labels("long", "queue_full").inc()
    text = metrics.exposition()[0].decode()
    monkeypatch.setattr(serve.httpx, "get", lambda *a, **o: SimpleNamespace(text=text))
    assert serve._scoring(Running(contenders([1.0])[1], None, "")) == (1, 2, 3)
    assert serve._scoring(Running(contenders([1.0])[0], None, "")) == (0, 0, 0)


def test_what_the_layer_adds_is_what_the_engine_does_not_take():
    last = FIRST + (layer.TOKENS - 1) * PACE
    seen = Times(1.0, 64, (FIRST + 0.002, FIRST + 0.004), (), (last + 0.001, last + 0.003))
    measured = layer.report(32, seen)
    assert measured["added_to_first_token_ms"]["p50"] == pytest.approx(3)
    assert measured["added_to_total_ms"]["p50"] == pytest.approx(2)
    assert (measured["requests"], measured["goal_p50_ms"]) == (2, 3)
    assert layer.report(256, seen)["goal_p50_ms"] is None


@pytest.mark.anyio
async def test_the_fixed_engine_keeps_its_pace_however_late_it_is_asked(policies):
    import asyncio

    loop = asyncio.get_running_loop()
    began, at = loop.time(), []
    async for piece in fixed().generate([1], SimpleNamespace(max_tokens=4), policies[0], "r"):
        at.append(loop.time() - began)
        if len(at) == 1:
            await asyncio.sleep(1.5 * PACE)
        last = piece
    assert at[0] >= FIRST
    assert at[-1] == pytest.approx(FIRST + 3 * PACE, abs=0.04)
    assert (len(at), last.finish_reason) == (4, "length")


@pytest.mark.anyio
async def test_it_tells_policies_apart(policies):
    engine = fixed()
    said = [await engine.probe(policy) for policy in (None, *policies)]
    assert len({tuple(one) for one in said}) == 4
