"""Alerts on serving: the engine, the targets, what requests get and how long they wait, what is served."""

from deploy.monitoring.lookback_windows import HOUR, MINUTE, Timing
from deploy.monitoring.rule_groups import JOB, Alert

FIRST_TOKEN_SECONDS = 5
GENERATION_SECONDS = 60
"""95th percentiles above which users wait too long."""
START = 10 * MINUTE
"""In which an engine must have started, compiled even. One that never does keeps starting, which alerts as well."""
ENOUGH = 20
"""Requests in a window below which no share or percentile is looked at."""


def serving_alerts(timing: Timing) -> list[Alert]:
    """Every alert on serving."""
    return [
        *_engine(timing),
        *_requests(timing),
        _slow(
            timing,
            "FgctlFirstTokenSlow",
            "fg_time_to_first_token_seconds",
            FIRST_TOKEN_SECONDS,
            "the first token",
        ),
        _slow(timing, "FgctlGenerationSlow", "fg_generation_seconds", GENERATION_SECONDS, "the whole answer"),
        _policy_refused(),
        _policy_broken(),
    ]


def _engine(timing: Timing) -> list[Alert]:
    hour = timing.window(HOUR)
    return [
        Alert(
            name="FgctlEngineDown",
            severity="page",
            component="engine",
            expr=f"""
            (
              fg_engine_up == 0
              unless on (job, instance)
              time() - process_start_time_seconds < {timing.seconds(START):g}
            )
            or
            up{{job="{JOB}"}} == 0
            """,
            lasting=2 * MINUTE,
            summary="{{ $labels.instance }} answers nothing",
            description=(
                "For two minutes {{ $labels.instance }} has had no working engine, though it has had the time to "
                "start one, or could not be scraped."
            ),
            dashboard="fgctl-serving",
        ),
        Alert(
            name="FgctlTargetAbsent",
            severity="page",
            component="engine",
            expr=f'absent(up{{job="{JOB}"}})',
            lasting=5 * MINUTE,
            summary="Prometheus knows no target of the job {{ $labels.job }}",
            description=(
                "For five minutes no instance has been scraped, working or not: nothing else can alert. Either none "
                "runs, or Prometheus does not find them."
            ),
            dashboard="fgctl-serving",
        ),
        Alert(
            name="FgctlEngineRestarting",
            severity="ticket",
            component="serving",
            expr=f"""
            sum by (job, instance) (increase(fg_engine_restarts_total[{hour}])) >= 2
            or
            max by (job, instance) (changes(process_start_time_seconds{{job="{JOB}"}}[{hour}])) >= 3
            """,
            lasting=0,
            summary="The engine of {{ $labels.instance }} keeps ending",
            description=(
                'In the last hour {{ $labels.instance }} has started {{ $value | printf "%.0f" }} times again. What '
                "was being answered each time got 503."
            ),
            dashboard="fgctl-serving",
        ),
    ]


def _requests(timing: Timing) -> list[Alert]:
    back = timing.window(5 * MINUTE)
    return [
        Alert(
            name="FgctlRequestsRefused",
            severity="page",
            component="serving",
            expr=f"""
            sum(increase(fg_requests_total{{outcome=~"overloaded|timeout"}}[{back}]))
            / (sum(increase(fg_requests_total[{back}])) >= {timing.count(ENOUGH)})
            > 0.05
            """,
            lasting=5 * MINUTE,
            summary="{{ $value | humanizePercentage }} of requests are refused because the service is full",
            description=(
                "In the last five minutes {{ $value | humanizePercentage }} of all requests got 503, because too many "
                "waited or because they took too long."
            ),
            dashboard="fgctl-serving",
        ),
        Alert(
            name="FgctlRequestsFailing",
            severity="page",
            component="serving",
            expr=f"""
            sum by (profile) (increase(fg_requests_total{{outcome="error"}}[{back}]))
            / (sum by (profile) (increase(fg_requests_total[{back}])) >= {timing.count(ENOUGH)})
            > 0.02
            """,
            lasting=5 * MINUTE,
            summary="{{ $value | humanizePercentage }} of the requests to {{ $labels.profile }} fail",
            description=(
                "In the last five minutes the engine failed in {{ $value | humanizePercentage }} of the requests to "
                "{{ $labels.profile }}."
            ),
            dashboard="fgctl-serving",
            variables=("profile",),
        ),
    ]


def _slow(timing: Timing, name: str, histogram: str, limit: float, what: str) -> Alert:
    back = timing.window(5 * MINUTE)
    return Alert(
        name=name,
        severity="ticket",
        component="serving",
        expr=f"""
        histogram_quantile(0.95, sum by (profile, le) (rate({histogram}_bucket[{back}]))) > {limit}
        and
        sum by (profile) (increase({histogram}_count[{back}])) >= {timing.count(ENOUGH)}
        """,
        lasting=10 * MINUTE,
        summary=f"Requests to {{{{ $labels.profile }}}} wait {{{{ $value | humanizeDuration }}}} for {what}",
        description=(
            f"One request in twenty to {{{{ $labels.profile }}}} waits {{{{ $value | humanizeDuration }}}} or longer "
            f"for {what}; {limit} s are meant."
        ),
        dashboard="fgctl-serving",
        variables=("profile",),
    )


def _policy_broken() -> Alert:
    return Alert(
        name="FgctlPolicyBroken",
        severity="page",
        component="policies",
        expr="max by (profile) (fg_policy_broken) > 0",
        lasting=2 * MINUTE,
        summary="{{ $labels.profile }} is not served",
        description=(
            "On some instance no version of {{ $labels.profile }} can be served: whoever asks for it gets 503, and the "
            "instance is not ready. GET /readyz says why."
        ),
        dashboard="fgctl-policies",
        variables=("profile",),
    )


def _policy_refused() -> Alert:
    return Alert(
        name="FgctlPolicyRefused",
        severity="ticket",
        component="policies",
        expr="max by (profile) (fg_policy_refused) > 0",
        lasting=5 * MINUTE,
        summary="A version of {{ $labels.profile }} cannot be served",
        description=(
            "The newest version of {{ $labels.profile }}, or its canary, cannot be used, and an older version is "
            "served in its place. GET /profiles says why."
        ),
        dashboard="fgctl-policies",
        variables=("profile",),
    )
