"""Alerts on serving: the engine, failed, refused and slow requests, and policies that cannot be served."""

from deploy.monitoring.lookback_windows import HOUR, MINUTE, Timing
from deploy.monitoring.rule_groups import JOB, SERVICE, Alert

FIRST_TOKEN_SECONDS = 5
GENERATION_SECONDS = 60
"""95th percentiles above which users wait too long."""
START = 10 * MINUTE
"""By then an engine must have started, compiling included. One that keeps restarting has an alert of its own."""
ENOUGH_REQUESTS = 20
"""With fewer requests in the window, no share or percentile alerts."""


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
            "Check the queue, and how many mixtures are loaded on request.",
        ),
        _slow(
            timing,
            "FgctlGenerationSlow",
            "fg_generation_seconds",
            GENERATION_SECONDS,
            "the whole answer",
            "Check whether first tokens are late too, or answers have become longer.",
        ),
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
              unless on ({SERVICE}, instance)
              time() - process_start_time_seconds < {timing.seconds(START):g}
            )
            or
            up{{job="{JOB}"}} == 0
            """,
            hold_seconds=2 * MINUTE,
            summary="{{ $labels.instance }} has no working engine",
            description=(
                "For two minutes {{ $labels.instance }} has had no working engine, although it has had time to start "
                "one, or Prometheus could not scrape it. Requests to it get 503. Check GET /readyz and /livez, then "
                "the log."
            ),
            dashboard="fgctl-serving",
        ),
        Alert(
            name="FgctlTargetAbsent",
            severity="page",
            component="engine",
            expr=f'absent(up{{job="{JOB}"}})',
            hold_seconds=5 * MINUTE,
            summary="Prometheus has no target for the job {{ $labels.job }}",
            description=(
                "For five minutes Prometheus has not scraped a single instance, so no other alert can fire. Check "
                "whether the service runs, then the targets in Prometheus."
            ),
            dashboard="fgctl-serving",
        ),
        Alert(
            name="FgctlEngineRestarting",
            severity="ticket",
            component="serving",
            expr=f"""
            sum by ({SERVICE}, instance) (increase(fg_engine_restarts_total[{hour}])) >= 2
            or
            max by ({SERVICE}, instance) (changes(process_start_time_seconds{{job="{JOB}"}}[{hour}])) >= 3
            """,
            hold_seconds=0,
            summary="The engine of {{ $labels.instance }} keeps restarting",
            description=(
                'In the last hour {{ $labels.instance }} has restarted {{ $value | printf "%.0f" }} times. Each time, '
                "the requests in progress got 503. Read the log from before each restart."
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
            sum by ({SERVICE}) (increase(fg_requests_total{{outcome=~"overloaded|timeout"}}[{back}]))
            / (sum by ({SERVICE}) (increase(fg_requests_total[{back}])) >= {timing.count(ENOUGH_REQUESTS)})
            > 0.05
            """,
            hold_seconds=5 * MINUTE,
            summary="{{ $value | humanizePercentage }} of requests are refused because the service is full",
            description=(
                "In the last five minutes {{ $value | humanizePercentage }} of all requests got 503, because too many "
                "were waiting or because they took too long. Look for a caller that floods the service; otherwise add "
                "instances."
            ),
            dashboard="fgctl-serving",
        ),
        Alert(
            name="FgctlRequestsFailing",
            severity="page",
            component="serving",
            expr=f"""
            sum by ({SERVICE}, profile) (increase(fg_requests_total{{outcome="error"}}[{back}]))
            / (sum by ({SERVICE}, profile) (increase(fg_requests_total[{back}])) >= {timing.count(ENOUGH_REQUESTS)})
            > 0.02
            """,
            hold_seconds=5 * MINUTE,
            summary="{{ $value | humanizePercentage }} of the requests to {{ $labels.profile }} fail",
            description=(
                "In the last five minutes the engine failed on {{ $value | humanizePercentage }} of the requests to "
                "{{ $labels.profile }}. The log has the errors, with the outcome error."
            ),
            dashboard="fgctl-serving",
            dashboard_variables=("profile",),
        ),
    ]


def _slow(timing: Timing, name: str, histogram: str, limit: float, what: str, advice: str) -> Alert:
    back = timing.window(5 * MINUTE)
    return Alert(
        name=name,
        severity="ticket",
        component="serving",
        expr=f"""
        histogram_quantile(0.95, sum by ({SERVICE}, profile, le) (rate({histogram}_bucket[{back}]))) > {limit}
        and
        sum by ({SERVICE}, profile) (increase({histogram}_count[{back}])) >= {timing.count(ENOUGH_REQUESTS)}
        """,
        hold_seconds=10 * MINUTE,
        summary=f"Requests to {{{{ $labels.profile }}}} wait {{{{ $value | humanizeDuration }}}} for {what}",
        description=(
            f"One request in twenty to {{{{ $labels.profile }}}} waits {{{{ $value | humanizeDuration }}}} or longer "
            f"for {what}; the limit is {limit} s. {advice}"
        ),
        dashboard="fgctl-serving",
        dashboard_variables=("profile",),
    )


def _policy_broken() -> Alert:
    return Alert(
        name="FgctlPolicyBroken",
        severity="page",
        component="policies",
        expr=f"max by ({SERVICE}, profile) (fg_policy_broken) > 0",
        hold_seconds=2 * MINUTE,
        summary="The profile {{ $labels.profile }} cannot be served",
        description=(
            "On at least one instance no version of {{ $labels.profile }} can be served: requests for it get 503, and "
            "the instance is not ready. GET /readyz says why. Roll back: fgctl policies rollback "
            "{{ $labels.profile }}."
        ),
        dashboard="fgctl-policies",
        dashboard_variables=("profile",),
    )


def _policy_refused() -> Alert:
    return Alert(
        name="FgctlPolicyRefused",
        severity="ticket",
        component="policies",
        expr=f"max by ({SERVICE}, profile) (fg_policy_refused) > 0",
        hold_seconds=5 * MINUTE,
        summary="A version of {{ $labels.profile }} cannot be served",
        description=(
            "The newest version of {{ $labels.profile }}, or its canary, cannot be served; an older version is served "
            "instead. GET /profiles says why."
        ),
        dashboard="fgctl-policies",
        dashboard_variables=("profile",),
    )
