"""The engine, the targets, what requests get and how long they wait, what is served."""

from deploy.monitoring.scenarios.healthy_service import INSTANCE, Answers, answers, good_day, health, histogram
from deploy.monitoring.scenarios.scenario import Expected, Gone, Scenario, counter, firing, gauge, series

_HERE = {"job": "fgctl", "instance": "a:8000"}
_DOWN = firing("FgctlEngineDown", "page", "engine", **_HERE)
_SHORT = {**INSTANCE, "profile": "short"}
_OTHER = {"job": "fgctl", "instance": "b:8000"}


def _requests(outcome: str) -> str:
    return series("fg_requests_total", **_SHORT, policy="v1", outcome=outcome)


_ENGINE_DOWN = Scenario(
    "the engine dies and does not come back",
    health(60)
    | answers("short", "v1", [Answers(30), Answers(30, a_minute=0)])
    | {series("fg_engine_up", **INSTANCE): gauge((30, 1), (30, 0))},
    firing={30: [], 32: [], 34: [_DOWN], 60: [_DOWN]},
    told=[
        Expected(
            "FgctlEngineDown",
            {"severity": "page", "component": "engine", **_HERE},
            at=34,
            summary="a:8000 answers nothing",
            description=(
                "For two minutes a:8000 has had no working engine, though it has had the time to start one, or could "
                "not be scraped."
            ),
            dashboard="/d/fgctl-serving",
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
    "the process is gone: the target is down",
    {series("up", **INSTANCE): gauge((30, 1), (30, 0)), series("fg_engine_up", **INSTANCE): gauge((30, 1), Gone(30))},
    firing={30: [], 34: [_DOWN], 60: [_DOWN]},
)

_ABSENT = Scenario(
    "Prometheus loses its only target",
    {series("up", **INSTANCE): gauge((30, 1), Gone(30)), series("fg_engine_up", **INSTANCE): gauge((30, 1), Gone(30))},
    firing={30: [], 38: [], 45: [firing("FgctlTargetAbsent", "page", "engine", job="fgctl")]},
    told=[
        Expected(
            "FgctlTargetAbsent",
            {"severity": "page", "component": "engine", "job": "fgctl"},
            at=45,
            summary="Prometheus knows no target of the job fgctl",
            description=(
                "For five minutes no instance has been scraped, working or not: nothing else can alert. Either none "
                "runs, or Prometheus does not find them."
            ),
            dashboard="/d/fgctl-serving",
        )
    ],
)

_RESTARTING = Scenario(
    "the engine dies twice in an hour",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {series("fg_engine_restarts_total", **INSTANCE): counter((10, 0), (1, 1), (9, 0), (1, 1), (39, 0))},
    firing={15: [], 25: [firing("FgctlEngineRestarting", "ticket", "serving", **_HERE)]},
    told=[
        Expected(
            "FgctlEngineRestarting",
            {"severity": "ticket", "component": "serving", **_HERE},
            at=25,
            summary="The engine of a:8000 keeps ending",
            description="In the last hour a:8000 has started 2 times again. What was being answered each time got 503.",
            dashboard="/d/fgctl-serving",
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
    "one request in six finds no place or takes too long",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {_requests("overloaded"): counter((60, 1)), _requests("timeout"): counter((60, 1))},
    firing={4: [], 20: [firing("FgctlRequestsRefused", "page", "serving")]},
    told=[
        Expected(
            "FgctlRequestsRefused",
            {"severity": "page", "component": "serving"},
            at=20,
            summary="16.67% of requests are refused because the service is full",
            description=(
                "In the last five minutes 16.67% of all requests got 503, because too many waited or because they took "
                "too long."
            ),
            dashboard="/d/fgctl-serving",
        )
    ],
)

_FAILING = Scenario(
    "the engine fails in one request of eleven to one profile",
    good_day(60, ("short", "v1"), ("long", "v2")) | {_requests("error"): counter((60, 1))},
    firing={4: [], 20: [firing("FgctlRequestsFailing", "page", "serving", profile="short")]},
    told=[
        Expected(
            "FgctlRequestsFailing",
            {"severity": "page", "component": "serving", "profile": "short"},
            at=20,
            summary="9.091% of the requests to short fail",
            description="In the last five minutes the engine failed in 9.091% of the requests to short.",
            dashboard="/d/fgctl-serving?var-profile=short",
        )
    ],
)

_CALLERS_FAULT = Scenario(
    "callers are over their limits, ask wrongly and hang up: that is theirs",
    health(60)
    | answers("short", "v1", [Answers(60)])
    | {_requests(one): counter((60, 10)) for one in ("limited", "rejected", "cancelled")},
    firing={20: [], 60: []},
)

_FEW_AND_BAD = Scenario(
    "two requests in five minutes, one fails, one is refused, and both are slow",
    health(60)
    | answers("short", "v1", [Answers(60, a_minute=0)])
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
    told=[
        Expected(
            "FgctlFirstTokenSlow",
            {"severity": "ticket", "component": "serving", "profile": "short"},
            at=30,
            summary="Requests to short wait 9.75s for the first token",
            description="One request in twenty to short waits 9.75s or longer for the first token; 5 s are meant.",
            dashboard="/d/fgctl-serving?var-profile=short",
        ),
        Expected(
            "FgctlGenerationSlow",
            {"severity": "ticket", "component": "serving", "profile": "short"},
            at=30,
            summary="Requests to short wait 1m 57s for the whole answer",
            description="One request in twenty to short waits 1m 57s or longer for the whole answer; 60 s are meant.",
            dashboard="/d/fgctl-serving?var-profile=short",
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
    told=[
        Expected(
            "FgctlPolicyBroken",
            {"severity": "page", "component": "policies", "profile": "short"},
            at=40,
            summary="short is not served",
            description=(
                "On some instance no version of short can be served: whoever asks for it gets 503, and the instance is "
                "not ready. GET /readyz says why."
            ),
            dashboard="/d/fgctl-policies?var-profile=short",
        )
    ],
)

_VERSION_REFUSED = Scenario(
    "the newest version cannot be served",
    good_day(60, ("short", "v1")) | {series("fg_policy_refused", **_SHORT): gauge((30, 0), (30, 1))},
    firing={34: [], 40: [firing("FgctlPolicyRefused", "ticket", "policies", profile="short")]},
    told=[
        Expected(
            "FgctlPolicyRefused",
            {"severity": "ticket", "component": "policies", "profile": "short"},
            at=40,
            summary="A version of short cannot be served",
            description=(
                "The newest version of short, or its canary, cannot be used, and an older version is served in its "
                "place. GET /profiles says why."
            ),
            dashboard="/d/fgctl-policies?var-profile=short",
        )
    ],
)

SCENARIOS = [
    _ENGINE_DOWN,
    _SHORT_RESTART,
    _STARTS,
    _UNREACHABLE,
    _ABSENT,
    _RESTARTING,
    _REPLACED,
    _REFUSED,
    _FAILING,
    _CALLERS_FAULT,
    _FEW_AND_BAD,
    _SLOW,
    _VERSION_REFUSED,
    _VERSION_BROKEN,
]
