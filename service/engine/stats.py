"""What vLLM counts in each step, passed on without its own metrics, which would cost time in every step."""

from collections.abc import Callable
from typing import Any

from vllm.v1.metrics.loggers import PrometheusStatLogger

from service.domain.engine_load import RankLoad

OnLoad = Callable[[int, RankLoad], None]
"""Is told of a rank's load after each of its steps."""


def stat_loggers(on_load: OnLoad) -> list[Any]:
    """What makes vLLM's engine report to `on_load` and to nobody else."""

    class LoadLogger(PrometheusStatLogger):
        """vLLM adds its own Prometheus logger unless there is one of that class."""

        def __init__(self, vllm_config: Any, engine_indexes: list[int] | None = None) -> None:
            self.engine_indexes = engine_indexes or [0]

        def record(
            self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any = None, engine_idx: int = 0
        ) -> None:
            if scheduler_stats is not None:
                on_load(engine_idx, _load(scheduler_stats))

        def log_engine_initialized(self) -> None:
            """Nothing to say."""

        def record_sleep_state(self, sleep: int = 0, level: int = 0) -> None:
            """The service's engine never sleeps."""

        def record_admission_rejection(self, reason: str) -> None:
            """vLLM refuses nothing: requests wait in the service's queue."""

    return [LoadLogger]


def _load(stats: Any) -> RankLoad:
    return RankLoad(
        stats.num_running_reqs,
        stats.num_waiting_reqs + stats.num_skipped_waiting_reqs,
        stats.kv_cache_usage,
        tuple(stats.waiting_lora_adapters),
    )
