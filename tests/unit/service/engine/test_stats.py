"""What vLLM reports after each step, as its own manager of loggers calls it."""

from types import SimpleNamespace

import pytest

from service.domain.engine_load import RankLoad


def test_each_ranks_load_is_passed_on_and_vllm_adds_no_metrics_of_its_own():
    loggers = pytest.importorskip("vllm.v1.metrics.loggers")
    from vllm.v1.metrics.stats import SchedulerStats

    from service.engine.stats import stat_loggers

    told = []
    manager = loggers.StatLoggerManager(
        vllm_config=SimpleNamespace(),
        engine_idxs=[0, 1],
        custom_stat_loggers=stat_loggers(lambda rank, load: told.append((rank, load))),
        enable_default_loggers=False,
    )
    assert len(manager.stat_loggers) == 1
    manager.log_engine_initialized()
    stats = SchedulerStats(num_running_reqs=3, num_waiting_reqs=1, num_skipped_waiting_reqs=1, kv_cache_usage=0.5)
    stats.waiting_lora_adapters = {"long@a1": 1}
    manager.record(stats, None, engine_idx=1)
    manager.record(None, None, engine_idx=0)
    manager.record_sleep_state(0, 0)
    manager.log()
    assert told == [(1, RankLoad(3, 2, 0.5, ("long@a1",)))]
