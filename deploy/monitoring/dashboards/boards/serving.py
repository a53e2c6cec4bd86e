"""Serving: traffic, latency, tokens, who had to wait or was refused, the engine and its adapters."""

from deploy.monitoring.alerts.serving import FIRST_TOKEN_SECONDS, GENERATION_SECONDS
from deploy.monitoring.dashboards.kit.board import Board, Row
from deploy.monitoring.dashboards.kit.expressions import PROFILE, VERSION, hourly, in_range, mean, quantile, rate, share
from deploy.monitoring.dashboards.kit.panel_parts import Query, limits, rising
from deploy.monitoring.dashboards.kit.series_panels import number, time_series

_OK = f'{VERSION}, outcome="ok"'
_LOST = f'{VERSION}, outcome=~"error|overloaded|timeout"'


def _quantiles(histogram: str) -> tuple[Query, Query, Query]:
    return (
        Query(quantile(0.5, histogram), "half are faster"),
        Query(quantile(0.95, histogram), "95 % are faster"),
        Query(quantile(0.99, histogram), "99 % are faster"),
    )


_STATE = Row(
    "Does it work?",
    [
        number(
            "Engine",
            "Whether every replica's engine works. Down: it is started again by itself; if it stays down, read the "
            "log for why it dies, then the runbook.",
            Query("min(fg_engine_up)"),
            unit="short",
            thresholds=((None, "red"), (1, "green")),
            words={"0": ("down", "red"), "1": ("up", "green")},
        ),
        number(
            "Replicas",
            "Services that Prometheus reads. Fewer than you started: look at the targets in Prometheus.",
            Query("count(fg_engine_up)"),
            unit="short",
            thresholds=((None, "red"), (1, "green")),
        ),
        number(
            "Engine restarts",
            "Engines started after one had died, in the time range. Any: read the log for why.",
            Query(in_range("fg_engine_restarts_total", where="")),
            unit="short",
            thresholds=rising(1, 3),
            decimals=0,
        ),
        number(
            "Requests lost",
            "Share of requests that ended as error, overloaded or timeout, over the panel's step: what users see as "
            "the service's fault. See below which.",
            Query(share(rate("fg_requests_total", where=_LOST), rate("fg_requests_total"))),
            unit="percentunit",
            thresholds=rising(0.01, 0.05),
        ),
        number(
            "Memory",
            "Resident memory of the service's own process, the largest replica's; the engine's processes are not "
            "in it. Steady growth over days: report it.",
            Query("max(process_resident_memory_bytes)"),
            unit="bytes",
        ),
        number(
            "Open files",
            "Descriptors of the service's own process, the largest replica's share of its limit. Growth with steady "
            "traffic: connections are not closed.",
            Query("max(process_open_fds / process_max_fds)"),
            unit="percentunit",
            thresholds=rising(0.5, 0.8),
        ),
    ],
)

_TRAFFIC = Row(
    "Who asks, and with what outcome?",
    [
        time_series(
            "Requests by outcome",
            "Requests per second. `limited` and `rejected` are the callers' doing, `cancelled` are clients that "
            "left; `overloaded` and `timeout`: the service is too small for its load; `error`: the engine failed, "
            "read the log.",
            Query(rate("fg_requests_total", "outcome"), "{{outcome}}"),
            unit="reqps",
            stacked=True,
        ),
        time_series(
            "Answers by profile",
            "Completed requests per second. A profile that falls to nothing while others go on: its policy may be "
            "broken, see Policies.",
            Query(rate("fg_requests_total", "profile", _OK), "{{profile}}"),
            unit="reqps",
            stacked=True,
        ),
        time_series(
            "Refused for load, by reason",
            "Requests per second that got 429 or 503. `concurrency` and `…_per_minute`: one caller is over its own "
            "limits. `waiting_…` and `queue_timeout`: add machines, or lower FGCTL_MAX_TOKENS. `stopping`: replicas "
            "are being replaced.",
            Query(rate("fg_refusals_total", "reason", PROFILE), "{{reason}}"),
            unit="reqps",
            stacked=True,
        ),
    ],
)

_LATENCY = Row(
    "How long do they wait?",
    [
        time_series(
            "First token",
            "Seconds from request to first token; red: where an alert begins. When it rises and 'Let into the engine' "
            "does too, requests queue; when alone, prompts got longer or adapters are loaded first.",
            *_quantiles("fg_time_to_first_token_seconds"),
            unit="s",
            thresholds=limits(FIRST_TOKEN_SECONDS),
        ),
        time_series(
            "Whole answer",
            "Seconds from request to last token; red: where an alert begins. It grows with the answer's length: "
            "compare with 'Tokens of an answer' before you blame the engine.",
            *_quantiles("fg_generation_seconds"),
            unit="s",
            thresholds=limits(GENERATION_SECONDS),
        ),
        time_series(
            "Let into the engine",
            "Seconds that requests waited for the engine. Steadily above a second: more load than the engine can "
            "take; add machines.",
            *_quantiles("fg_queue_seconds"),
            unit="s",
            thresholds=limits(1),
        ),
        time_series(
            "Whole answer by profile",
            "Seconds within which 95 % of a profile's answers are complete. Profiles share the engine fairly by "
            "tokens: one that is slower than the others asks for more of them.",
            Query(quantile(0.95, "fg_generation_seconds", "profile"), "{{profile}}"),
            unit="s",
            thresholds=limits(GENERATION_SECONDS),
        ),
        time_series(
            "Waiting and running",
            "Requests that wait for the engine, and completions in it. Running at its ceiling while requests wait: "
            "the engine is full. Waiting while few run: look at 'Requests by weights', adapters may be loading.",
            Query("sum(fg_waiting_requests)", "waiting"),
            Query("sum(fg_running_completions)", "running"),
            unit="short",
        ),
        time_series(
            "Tokens waiting",
            "Tokens that waiting requests hold and may write. Requests are refused when it reaches "
            "FGCTL_WAITING_TOKENS.",
            Query("sum(fg_waiting_tokens)", "tokens"),
            unit="short",
        ),
    ],
)

_TOKENS = Row(
    "What does the engine do?",
    [
        time_series(
            "Tokens per second",
            "Tokens read (prompt) and written (completion) per second. Written ones level off at what the machine "
            "can do; see docs/performance.md for what to expect.",
            Query(rate("fg_tokens_total", "kind", PROFILE), "{{kind}}"),
            unit="suffix: tokens/s",
        ),
        time_series(
            "Tokens written by profile",
            "Tokens per second. Shares far from those of the requests: one profile writes longer answers, or its "
            "callers ask for the best of many.",
            Query(rate("fg_tokens_total", "profile", f'{PROFILE}, kind="completion"'), "{{profile}}"),
            unit="suffix: tokens/s",
            stacked=True,
        ),
        time_series(
            "Tokens of an answer",
            "Tokens written for an answer, over all samples of best_of. A rise at a promotion: the new version is "
            "longer-winded, see 'Words of an answer' on Quality.",
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
    "What do adapters and best_of cost and bring?",
    [
        time_series(
            "Requests by weights",
            "Requests per second for weights rather than a profile: a policy's own (trained), a mixture that the "
            "engine holds (resident), or one loaded first. Many loaded: raise FGCTL_RESIDENT_ADAPTERS.",
            Query(rate("fg_weights_requests_total", "result", ""), "{{result}}"),
            unit="reqps",
            stacked=True,
        ),
        time_series(
            "Mixtures built",
            "Mixtures computed and stored, over an hour. A burst after a promotion is normal: the anchors have "
            "changed. At other times: raise FGCTL_STORED_MIXTURES.",
            Query(hourly("fg_mixtures_built_total", where=""), "mixtures"),
            unit="short",
        ),
        time_series(
            "Gain of best_of",
            "Weighted reward of the chosen of several samples less the samples' mean, mean over an hour. At zero the "
            "samples are as good as alike, and best_of pays for nothing: raise the temperature or drop it.",
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
