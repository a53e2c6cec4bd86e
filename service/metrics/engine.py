"""The engine's load by vLLM's own names, which routers for inference read."""

from collections.abc import Callable
from statistics import fmean

from prometheus_client import CollectorRegistry, Gauge

from policies.mixing import MIXTURE
from service.domain.engine_load import EngineLoad


class EngineMetrics:
    """Gauges that the Gateway API's inference routers, llm-d and vLLM's own router read.

    A replica is one engine to them, whatever ranks it has.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        model = ("model_name",)
        self._running = Gauge(
            "vllm:num_requests_running", "Requests in the batches of all ranks.", model, registry=registry
        )
        self._waiting = Gauge(
            "vllm:num_requests_waiting",
            "Requests that wait, in the service's own queue and in those of all ranks.",
            model,
            registry=registry,
        )
        self._cache = Gauge(
            "vllm:kv_cache_usage_perc",
            "Share of the key-value cache that is used, 0 to 1, the mean of all ranks. Near 1, requests are preempted: "
            "give the cache more memory.",
            model,
            registry=registry,
        )
        self._adapters = Gauge(
            "vllm:lora_requests_info",
            "Unix time at which the adapters last changed that this replica holds (`running_lora_adapters`), or those "
            "that its engine's queue waits for. Routers prefer replicas by it. Mixtures have no name and are left out.",
            ("max_lora", "waiting_lora_adapters", "running_lora_adapters"),
            registry=registry,
        )
        self.queue: Callable[[], int] = lambda: 0
        """How many requests wait in the service's own queue."""
        self._shown: tuple[str, str, str] | None = None

    def show(self, load: EngineLoad) -> None:
        """Show the load after a step, or after a change of the adapters."""
        ranks = load.ranks.values()
        in_engine = sum(rank.waiting for rank in ranks)
        self._running.labels(load.base).set(sum(rank.running for rank in ranks))
        self._waiting.labels(load.base).set_function(lambda: self.queue() + in_engine)
        self._cache.labels(load.base).set(fmean(rank.cache_used for rank in ranks) if ranks else 0.0)
        held = {name for policy in load.held for name in (policy.profile, policy.adapter_name)}
        waiting = {name for rank in ranks for name in rank.waiting_adapters}
        labels = (str(load.most_held), _names(waiting), _names(held))
        if labels != self._shown:
            self._shown = labels
            self._adapters.clear()
            self._adapters.labels(*labels).set_to_current_time()


def _names(names: set[str]) -> str:
    return ",".join(sorted(name for name in names if name.partition("@")[0] != MIXTURE))
