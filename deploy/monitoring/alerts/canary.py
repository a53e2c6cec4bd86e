"""The alert on a canary that is worse than its incumbent."""

from deploy.monitoring.lookback_windows import MINUTE
from deploy.monitoring.rule_groups import SERVICE, Alert


def canary_alerts() -> list[Alert]:
    """Every alert on canaries."""
    return [_canary_worse()]


def _canary_worse() -> Alert:
    """The sequential test needs no minimum count.

    The alert is limited to canaries that run: the evidence on one that has ended stays until the service restarts.
    """
    of = "{namespace='%s', job='%s', profile='%s', canary='%s'}"
    bound = f"topk(1, fg:canary_difference{of} - fg:canary_radius{of})"
    names = " ".join(["$labels.namespace $labels.job $labels.profile $labels.canary"] * 2)
    return Alert(
        name="FgctlCanaryWorse",
        severity="page",
        component="policies",
        expr=f"""
        fg:canary_verdict{{verdict="worse"}} == 1
        and on ({SERVICE}, profile, canary)
        label_replace(max by ({SERVICE}, profile, policy) (fg_canary_share) > 0, "canary", "$1", "policy", "(.+)")
        """,
        hold_seconds=1 * MINUTE,
        summary="The canary {{ $labels.canary }} of {{ $labels.profile }} is worse than its incumbent",
        description=(
            f'{{{{ with printf "{bound}" {names} | query }}}}{{{{ with first . }}}}'
            "In {{ .Labels.category }} its mean error probability is above the incumbent's by at least "
            "{{ .Value | humanizePercentage }}. {{ end }}{{ end }}"
            "However often the test is read, the probability that it wrongly calls a canary worse is at most "
            "5 %. End the canary: fgctl policies canary {{ $labels.profile }} --end."
        ),
        dashboard="fgctl-policies",
        dashboard_variables=("profile",),
        labels={"policy": "{{ $labels.canary }}"},
    )
