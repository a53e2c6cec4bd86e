"""The engine, failed, refused and slow requests, policies that cannot be served."""

from deploy.monitoring.scenarios.healthy_service import INSTANCE, Answers, answers, good_day, health, histogram
from deploy.monitoring.scenarios.scenario import (
    PRODUCTION,
    STAGING,
    Gone,
    Notification,
    Scenario,
    counter,
    firing,
    gauge,
    series,
    shown,
)

_HERE = dict(INSTANCE)
_DOWN = firing("FgctlEngineDown", "page", "engine", **_HERE)
_SHORT = {**INSTANCE, "profile": "short"}
_OTHER = {**PRODUCTION, "instance": "b:8000"}


def _requests(outcome: str) -> str:
    return series("fg_requests_total", **_SHORT, policy="v1", outcome=outcome)


_ENGINE_DOWN = Scenario(
    "the engine dies and does not come back",
    health(60)
    | answers("short", "v1", [Answers(30), Answers(30, per_minute=0)])
    | {series("fg_engine_up", **INSTANCE): gauge((30, 1), (30, 0))},
    firing={30: [], 32: [], 34: [_DOWN], 60: [_DOWN]},
    notifications=[
        Notification(
            "FgctlEngineDown",
            {**PRODUCTION, "severity": "page", "component": "engine", **_HERE},
            at=34,
            summary="a:8000 has no working engine",
            description=(
                "For two minutes a:8000 has had no working engine, although it has had time to start one, or "
                "Prometheus could not scrape it. Requests to it get 503. Check GET /readyz and /livez, then the "
                "log."
            ),
            dashboard="/d/fgctl-serving?var-namespace=production&var-job=fgctl",
        )
    ],
)

_SHORT_RESTART = Scenario(
    "the engine dies and is back within a minute",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {
        series("fg_engine_up", **INSTANCE): gauge((30, 1), (1, 0), (29, 1)),
        series("fg_engine_restarts_total", **INSTANCE): counter((30, 0), (1, 1), (29, 0)),
    },
    firing={31: [], 34: [], 60: []},
)

_STARTS = Scenario(
    "a new process takes eight minutes to start its engine, another never does",
    health(60)
    | health(60, _OTHER)
    | answers("short", "v1", [Answers(60)])
    | {
        series("process_start_time_seconds", **INSTANCE): gauge((30, 0), (30, 1800)),
        series("fg_engine_up", **INSTANCE): gauge((30, 1), (8, 0), (22, 1)),
        series("process_start_time_seconds", **_OTHER): gauge((30, 0), (30, 1800)),
        series("fg_engine_up", **_OTHER): gauge((30, 1), (30, 0)),
    },
    firing={36: [], 39: [], 44: [firing("FgctlEngineDown", "page", "engine", **_OTHER)]},
)

_UNREACHABLE = Scenario(
    "the process has ended: the target is down",
    {series("up", **INSTANCE): gauge((30, 1), (30, 0)), series("fg_engine_up", **INSTANCE): gauge((30, 1), Gone(30))},
    firing={30: [], 34: [_DOWN], 60: [_DOWN]},
)

_DEAD_FOR_AN_HOUR = Scenario(
    "the service has been dead for an hour, in a Prometheus in which somebody else's watchdog always fires",
    {
        series("up", **INSTANCE): gauge((30, 1), (90, 0)),
        series("fg_engine_up", **INSTANCE): gauge((30, 1), Gone(90)),
        series("process_resident_memory_bytes", job="other", instance="c:80"): gauge((120, 7)),
        series("ALERTS", alertname="Watchdog", alertstate="firing", severity="none"): "_x25 1+0x94",
    },
    firing={20: []},
    panels=[
        (20, shown("fgctl-serving", "Engine"), {"{}": 1}),
        (90, shown("fgctl-serving", "Engine"), {"{}": 0}),
        (20, shown("fgctl-serving", "Replicas"), {"{}": 1}),
        (90, shown("fgctl-serving", "Replicas"), {"{}": 0}),
        (90, shown("fgctl-serving", "Memory"), {}),
        (28, shown("fgctl-quality", "Alerts firing"), {"{}": 0}),
        (90, shown("fgctl-quality", "Alerts firing"), {"{}": 1}),
    ],
)

_ABSENT = Scenario(
    "Prometheus loses its only target",
    {series("up", **INSTANCE): gauge((30, 1), Gone(30)), series("fg_engine_up", **INSTANCE): gauge((30, 1), Gone(30))},
    firing={30: [], 38: [], 45: [firing("FgctlTargetAbsent", "page", "engine", namespace="")]},
    notifications=[
        Notification(
            "FgctlTargetAbsent",
            {"severity": "page", "component": "engine", "job": "fgctl"},
            at=45,
            summary="Prometheus has no target for the job fgctl",
            description=(
                "For five minutes Prometheus has not scraped a single instance, so no other alert can fire. Check "
                "whether the service runs, then the targets in Prometheus."
            ),
            dashboard="/d/fgctl-serving?var-namespace=&var-job=fgctl",
        )
    ],
)

_RESTARTING = Scenario(
    "the engine dies twice in an hour",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {series("fg_engine_restarts_total", **INSTANCE): counter((10, 0), (1, 1), (9, 0), (1, 1), (39, 0))},
    firing={15: [], 25: [firing("FgctlEngineRestarting", "ticket", "serving", **_HERE)]},
    notifications=[
        Notification(
            "FgctlEngineRestarting",
            {**PRODUCTION, "severity": "ticket", "component": "serving", **_HERE},
            at=25,
            summary="The engine of a:8000 keeps restarting",
            description=(
                "In the last hour a:8000 has restarted 2 times. Each time, the requests in progress got 503. Read "
                "the log from before each restart."
            ),
            dashboard="/d/fgctl-serving?var-namespace=production&var-job=fgctl",
        )
    ],
)

_REPLACED = Scenario(
    "the whole process is replaced three times in an hour",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {series("process_start_time_seconds", **INSTANCE): gauge((10, 0), (10, 600), (10, 1200), (30, 1800))},
    firing={25: [], 35: [firing("FgctlEngineRestarting", "ticket", "serving", **_HERE)]},
)

_REFUSED = Scenario(
    "one request in six is refused or takes too long",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {_requests("overloaded"): counter((60, 1)), _requests("timeout"): counter((60, 1))},
    firing={4: [], 20: [firing("FgctlRequestsRefused", "page", "serving")]},
    notifications=[
        Notification(
            "FgctlRequestsRefused",
            {**PRODUCTION, "severity": "page", "component": "serving"},
            at=20,
            summary="16.67% of requests are refused because the service is full",
            description=(
                "In the last five minutes 16.67% of all requests got 503, because too many were waiting or "
                "because they took too long. Look for a caller that floods the service; otherwise add instances."
            ),
            dashboard="/d/fgctl-serving?var-namespace=production&var-job=fgctl",
        )
    ],
)

_STAGING = {**STAGING, "instance": "a:8000"}
_OTHER_REFUSES = Scenario(
    "staging refuses one request in six, and production, which has ten times its traffic, none",
    health(60)
    | answers("short", "v1", [Answers(60, per_minute=100)])
    | health(60, _STAGING)
    | answers("short", "v1", [Answers(60)], _STAGING)
    | {series("fg_requests_total", **_STAGING, profile="short", policy="v1", outcome="overloaded"): counter((60, 2))},
    firing={4: [], 20: [firing("FgctlRequestsRefused", "page", "serving", **STAGING)]},
)

_FAILING = Scenario(
    "the engine fails on one request in eleven to one profile",
    good_day(60, ("short", "v1"), ("long", "v2")) | {_requests("error"): counter((60, 1))},
    firing={4: [], 20: [firing("FgctlRequestsFailing", "page", "serving", profile="short")]},
    notifications=[
        Notification(
            "FgctlRequestsFailing",
            {**PRODUCTION, "severity": "page", "component": "serving", "profile": "short"},
            at=20,
            summary="9.091% of the requests to short fail",
            description=(
                "In the last five minutes the engine failed on 9.091% of the requests to short. The log has the "
                "errors, with the outcome error."
            ),
            dashboard="/d/fgctl-serving?var-namespace=production&var-job=fgctl&var-profile=short",
        )
    ],
)

_CALLER_ERRORS = Scenario(
    "callers exceed their limits, send invalid requests and hang up, which is not the service's fault",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {_requests(outcome): counter((60, 10)) for outcome in ("limited", "rejected", "cancelled")},
    firing={20: [], 60: []},
)

_FEW_REQUESTS = Scenario(
    "two requests in five minutes: one fails, one is refused, both are slow",
    health(60)
    | answers("short", "v1", [Answers(60, per_minute=0)])
    | {_requests("error"): counter((60, 0.2)), _requests("overloaded"): counter((60, 0.2))}
    | histogram("fg_time_to_first_token_seconds", (1, 5, 10), [(60, 0.4)], 2, **_SHORT)
    | histogram("fg_generation_seconds", (10, 60, 120), [(60, 0.4)], 2, **_SHORT)
    | histogram("fg_scoring_lag_seconds", (1, 60, 120), [(60, 0.4)], 2, **INSTANCE),
    firing={20: [], 60: []},
)

_SLOW = Scenario(
    "first tokens take five to ten seconds and answers one to two minutes",
    good_day(60, ("short", "v1"), ("long", "v2"))
    | histogram("fg_time_to_first_token_seconds", (1, 5, 10), [(60, 10)], 2, **_SHORT)
    | histogram("fg_generation_seconds", (10, 60, 120), [(60, 10)], 2, **_SHORT),
    firing={
        8: [],
        30: [
            firing("FgctlFirstTokenSlow", "ticket", "serving", profile="short"),
            firing("FgctlGenerationSlow", "ticket", "serving", profile="short"),
        ],
    },
    notifications=[
        Notification(
            "FgctlFirstTokenSlow",
            {**PRODUCTION, "severity": "ticket", "component": "serving", "profile": "short"},
            at=30,
            summary="Requests to short wait 9.75s for the first token",
            description=(
                "One request in twenty to short waits 9.75s or longer for the first token; the limit is 5 s. "
                "Check the queue, and how many mixtures are loaded on request."
            ),
            dashboard="/d/fgctl-serving?var-namespace=production&var-job=fgctl&var-profile=short",
        ),
        Notification(
            "FgctlGenerationSlow",
            {**PRODUCTION, "severity": "ticket", "component": "serving", "profile": "short"},
            at=30,
            summary="Requests to short wait 1m 57s for the whole answer",
            description=(
                "One request in twenty to short waits 1m 57s or longer for the whole answer; the limit is 60 s. "
                "Check whether first tokens are late too, or answers have become longer."
            ),
            dashboard="/d/fgctl-serving?var-namespace=production&var-job=fgctl&var-profile=short",
        ),
    ],
)

_VERSION_BROKEN = Scenario(
    "no version of a profile can be served after a restart",
    good_day(60, ("long", "v2"))
    | {
        series("fg_policy_refused", **_SHORT): gauge((30, 1), (30, 0)),
        series("fg_policy_broken", **_SHORT): gauge((30, 0), (30, 1)),
    },
    firing={
        20: [firing("FgctlPolicyRefused", "ticket", "policies", profile="short")],
        31: [],
        40: [firing("FgctlPolicyBroken", "page", "policies", profile="short")],
    },
    notifications=[
        Notification(
            "FgctlPolicyBroken",
            {**PRODUCTION, "severity": "page", "component": "policies", "profile": "short"},
            at=40,
            summary="The profile short cannot be served",
            description=(
                "On at least one instance no version of short can be served: requests for it get 503, and the "
                "instance is not ready. GET /readyz says why. Roll back: fgctl policies rollback short."
            ),
            dashboard="/d/fgctl-policies?var-namespace=production&var-job=fgctl&var-profile=short",
        )
    ],
)

_VERSION_REFUSED = Scenario(
    "the newest version cannot be served",
    good_day(60, ("short", "v1")) | {series("fg_policy_refused", **_SHORT): gauge((30, 0), (30, 1))},
    firing={34: [], 40: [firing("FgctlPolicyRefused", "ticket", "policies", profile="short")]},
    notifications=[
        Notification(
            "FgctlPolicyRefused",
            {**PRODUCTION, "severity": "ticket", "component": "policies", "profile": "short"},
            at=40,
            summary="A version of short cannot be served",
            description=(
                "The newest version of short, or its canary, cannot be served; an older version is served "
                "instead. GET /profiles says why."
            ),
            dashboard="/d/fgctl-policies?var-namespace=production&var-job=fgctl&var-profile=short",
        )
    ],
)

SCENARIOS = [
    _ENGINE_DOWN,
    _SHORT_RESTART,
    _STARTS,
    _UNREACHABLE,
    _ABSENT,
    _DEAD_FOR_AN_HOUR,
    _RESTARTING,
    _REPLACED,
    _REFUSED,
    _OTHER_REFUSES,
    _FAILING,
    _CALLER_ERRORS,
    _FEW_REQUESTS,
    _SLOW,
    _VERSION_REFUSED,
    _VERSION_BROKEN,
]
