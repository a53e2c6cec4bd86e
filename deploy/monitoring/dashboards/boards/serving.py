"""Serving: traffic, latency, waiting and refused requests, tokens, the engine and its adapters."""

from deploy.monitoring.alerts.serving import FIRST_TOKEN_SECONDS, GENERATION_SECONDS
from deploy.monitoring.dashboards.kit.board import Board, Row
from deploy.monitoring.dashboards.kit.panel_options import Query, limit_lines, lower_is_better
from deploy.monitoring.dashboards.kit.promql import (
    PROFILE,
    SERVICE,
    VERSION,
    hourly,
    in_range,
    mean,
    quantile,
    rate,
    share,
)
from deploy.monitoring.dashboards.kit.series_panels import number, time_series

_OK = f'{VERSION}, outcome="ok"'
_FAILED = f'{VERSION}, outcome=~"error|overloaded|timeout"'


ENGINE_STATE = f"min(fg_engine_up{{{SERVICE}}} or 0 * up{{{SERVICE}}}) or vector(0)"
"""1 if every instance that should be there has an engine that works; an instance that cannot be scraped has none."""


def _quantiles(histogram: str) -> tuple[Query, Query, Query]:
    return (
        Query(quantile(0.5, histogram), "50 % are faster"),
        Query(quantile(0.95, histogram), "95 % are faster"),
        Query(quantile(0.99, histogram), "99 % are faster"),
    )


_STATE = Row(
    "Does it work?",
    [
        number(
            "Engine",
            "Whether every replica's engine works. Down: a replica cannot be scraped, or its engine does not work. The "
            "service restarts it; if it stays down, read the log for why it died, then the runbook.",
            Query(ENGINE_STATE),
            unit="short",
            thresholds=((None, "red"), (1, "green")),
            value_names={"0": ("down", "red"), "1": ("up", "green")},
        ),
        number(
            "Replicas",
            "Instances that Prometheus scrapes. Fewer than you started: look at the targets in Prometheus.",
            Query(f"count(up{{{SERVICE}}} == 1) or vector(0)"),
            unit="short",
            thresholds=((None, "red"), (1, "green")),
        ),
        number(
            "Engine restarts",
            "Starts of an engine after one had died, in the time range. Any: read the log for why.",
            Query(in_range("fg_engine_restarts_total", where=SERVICE)),
            unit="short",
            thresholds=lower_is_better(1, 3),
            decimals=0,
        ),
        number(
            "Failed requests",
            "Share of requests that ended as error, overloaded or timeout, which is the service's fault. See below "
            "for which of them it was.",
            Query(share(rate("fg_requests_total", where=_FAILED), rate("fg_requests_total"))),
            unit="percentunit",
            thresholds=lower_is_better(0.01, 0.05),
        ),
        number(
            "Memory",
            "Resident memory of the service's own process, without the engine's; that of the largest replica. Steady "
            "growth over days: report it.",
            Query(f"max(process_resident_memory_bytes{{{SERVICE}}})"),
            unit="bytes",
        ),
        number(
            "Open files",
            "File descriptors of the service's own process as a share of its limit, on the replica that uses most. "
            "Growth under steady traffic: connections are not closed.",
            Query(f"max(process_open_fds{{{SERVICE}}} / process_max_fds{{{SERVICE}}})"),
            unit="percentunit",
            thresholds=lower_is_better(0.5, 0.8),
        ),
    ],
)

_TRAFFIC = Row(
    "How many requests, and with what outcome?",
    [
        time_series(
            "Requests by outcome",
            "Requests per second. `limited`, `rejected`: the caller's fault; `cancelled`: the client left. "
            "`overloaded`, `timeout`: the service is too small for its load; `error`: the engine failed, read the "
            "log.",
            Query(rate("fg_requests_total", "outcome"), "{{outcome}}"),
            unit="reqps",
            stacked=True,
        ),
        time_series(
            "Answers by profile",
            "Completed requests per second. If a profile falls to zero while others go on, its policy may be broken: "
            "see Policies.",
            Query(rate("fg_requests_total", "profile", _OK), "{{profile}}"),
            unit="reqps",
            stacked=True,
        ),
        time_series(
            "Refused requests by reason",
            "Requests per second that got 429 or 503 because of load. `concurrency`, `…_per_minute`: a caller is over "
            "its own limits. `waiting_…`, `queue_timeout`: add machines, or lower FGCTL_MAX_TOKENS. `stopping`: "
            "replicas are being replaced.",
            Query(rate("fg_refusals_total", "reason", PROFILE), "{{reason}}"),
            unit="reqps",
            stacked=True,
        ),
    ],
)

_LATENCY = Row(
    "How long do requests take?",
    [
        time_series(
            "First token",
            "Seconds from request to first token; red: the alert's limit. A rise together with 'Wait for the engine': "
            "requests queue; alone: prompts have become longer, or adapters are loaded first.",
            *_quantiles("fg_time_to_first_token_seconds"),
            unit="s",
            thresholds=limit_lines(FIRST_TOKEN_SECONDS),
        ),
        time_series(
            "Whole answer",
            "Seconds from request to last token; red: the alert's limit. It grows with the answer's length: compare "
            "with 'Tokens per answer' before you blame the engine.",
            *_quantiles("fg_generation_seconds"),
            unit="s",
            thresholds=limit_lines(GENERATION_SECONDS),
        ),
        time_series(
            "Wait for the engine",
            "Seconds that requests waited for the engine. Constantly above a second: more load than the engine can "
            "take; add machines.",
            *_quantiles("fg_queue_seconds"),
            unit="s",
            thresholds=limit_lines(1),
        ),
        time_series(
            "Whole answer by profile",
            "Seconds within which 95 % of a profile's answers are complete. Profiles get equal shares of tokens: one "
            "that is slower than the others asks for more of them.",
            Query(quantile(0.95, "fg_generation_seconds", "profile"), "{{profile}}"),
            unit="s",
            thresholds=limit_lines(GENERATION_SECONDS),
        ),
        time_series(
            "Waiting and running",
            "Requests that wait for the engine, and completions in it. Running at its maximum while requests wait: the "
            "engine is full. Waiting while few run: adapters may be loading, see 'Requests for weights'.",
            Query(f"sum(fg_waiting_requests{{{SERVICE}}})", "waiting"),
            Query(f"sum(fg_running_completions{{{SERVICE}}})", "running"),
            unit="short",
        ),
        time_series(
            "Waiting tokens",
            "Tokens of waiting requests: those of their prompts and those they may write. At FGCTL_WAITING_TOKENS, "
            "further requests are refused.",
            Query(f"sum(fg_waiting_tokens{{{SERVICE}}})", "tokens"),
            unit="short",
        ),
    ],
)

_TOKENS = Row(
    "What does the engine do?",
    [
        time_series(
            "Tokens per second",
            "Tokens read (prompt) and written (completion) per second. The number written levels off at what the "
            "machine can do; docs/performance.md says what to expect.",
            Query(rate("fg_tokens_total", "kind", PROFILE), "{{kind}}"),
            unit="suffix: tokens/s",
        ),
        time_series(
            "Tokens written by profile",
            "Tokens per second. If a profile's share of tokens is far above its share of requests, its answers are "
            "longer, or its callers ask for the best of many.",
            Query(rate("fg_tokens_total", "profile", f'{PROFILE}, kind="completion"'), "{{profile}}"),
            unit="suffix: tokens/s",
            stacked=True,
        ),
        time_series(
            "Tokens per answer",
            "Tokens written per answer, including all samples of best_of. A rise at a promotion: the new version "
            "writes longer answers, see 'Words of an answer' on Quality.",
            Query(
                share(
                    rate("fg_tokens_total", "profile", f'{PROFILE}, kind="completion"'),
                    rate("fg_requests_total", "profile", _OK),
                ),
                "{{profile}}",
            ),
            unit="short",
        ),
    ],
)

_ADAPTERS = Row(
    "What do mixtures and best_of cost and gain?",
    [
        time_series(
            "Requests for weights",
            "Requests per second for weights instead of a profile, answered by a policy trained for them (trained), a "
            "mixture that the engine holds (resident), or one loaded first (loaded). Many loaded: raise "
            "FGCTL_RESIDENT_ADAPTERS.",
            Query(rate("fg_weights_requests_total", "result", SERVICE), "{{result}}"),
            unit="reqps",
            stacked=True,
        ),
        time_series(
            "Mixtures built",
            "Mixtures computed and stored in the last hour. A burst after a promotion is normal, since the anchors "
            "have changed. At other times: raise FGCTL_STORED_MIXTURES.",
            Query(hourly("fg_mixtures_built_total", where=SERVICE), "mixtures"),
            unit="short",
        ),
        time_series(
            "Gain of best_of",
            "Weighted reward of the chosen sample less the mean of all samples, mean over an hour. Near zero the "
            "samples hardly differ and best_of gains nothing: raise the temperature, or stop using best_of.",
            Query(mean("fg_best_of_gain", "profile", PROFILE), "{{profile}}"),
            unit="short",
        ),
    ],
)

BOARD = Board(
    "fgctl-serving",
    "fgctl: Serving",
    "Traffic, latency, tokens, admission, the engine and its adapters.",
    [_STATE, _TRAFFIC, _LATENCY, _TOKENS, _ADAPTERS],
)
