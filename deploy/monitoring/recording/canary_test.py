"""The sequential test of a canary against its incumbent: policies.promotion.sequential, which names its sources.

The rules read the counters' values, not their increases: the evidence is everything since the canary began. A restart
loses evidence; the test is just as valid for the smaller sample that is left.
"""

from deploy.monitoring.rule_groups import SERVICE, Record
from policies.promotion.sequential import ALPHA, MARGIN, MIN_RESPONSES, N_STAR

CANARY = f"{SERVICE}, profile, canary"
ARM, CATEGORY = f"{CANARY}, arm", f"{CANARY}, arm, category"


def canary_records() -> list[Record]:
    """Means and variances of both arms, their difference, the half width of its confidence sequence, the verdict."""
    return [*_arms(), *_sequence(), *_verdicts()]


def _arms() -> list[Record]:
    responses = f"on ({ARM}) group_left () (fg:canary_responses > 0)"
    return [
        Record("fg:canary_responses", f"sum by ({ARM}) (fg_canary_responses_total)"),
        Record(
            "fg:canary_mean",
            f"sum by ({CATEGORY}) (fg_canary_error_probability_total)\n/ {responses}",
        ),
        Record(
            "fg:canary_variance",
            f"""
            clamp_min(
              sum by ({CATEGORY}) (fg_canary_error_probability_squares_total)
              / {responses}
              - fg:canary_mean ^ 2,
              0
            )
            """,
        ),
    ]


def _sequence() -> list[Record]:
    """`radius = sqrt(s2) sqrt(2 (n r2 + 1) / (n^2 r2) ln(sqrt(n r2 + 1) / a))` with `s2 = n (v1 / n1 + v2 / n2)`."""
    logs = "-2 * ln(fg:canary_level)"
    return [
        Record("fg:canary_difference", 'fg:canary_mean{arm="canary"} - ignoring (arm) fg:canary_mean{arm="incumbent"}'),
        # Bonferroni: ALPHA is divided among the categories that both arms were scored by.
        Record("fg:canary_level", f"{ALPHA:g} / count by ({CANARY}) (fg:canary_difference)"),
        # n r2, with r2 such that the sequence is narrowest at about N_STAR responses.
        Record(
            "fg:canary_growth",
            f"""
            sum by ({CANARY}) (fg:canary_responses)
            * ({logs} + ln({logs} + 1)) / {N_STAR}
            """,
        ),
        Record(
            "fg:canary_radius",
            f"""
            sqrt(
              2 * sum by ({CANARY}, category) (
                fg:canary_variance / on ({ARM}) group_left () fg:canary_responses
              )
              * on ({CANARY}) group_left () (
                (fg:canary_growth + 1) / fg:canary_growth
                * ln(sqrt(fg:canary_growth + 1) / fg:canary_level)
              )
            )
            and on ({CANARY}) min by ({CANARY}) (fg:canary_responses) >= {MIN_RESPONSES}
            """,
        ),
    ]


def _verdicts() -> list[Record]:
    """1 for the verdict that holds, 0 for the others; undecided until both arms have MIN_RESPONSES."""
    none_yet = f"0 * sum by ({CANARY}) (fg:canary_responses)"
    worse = f"max by ({CANARY}) (fg:canary_difference - fg:canary_radius > bool 0)"
    no_worse = f"min by ({CANARY}) (fg:canary_difference + fg:canary_radius < bool {MARGIN:g})"
    undecided = f'1 - sum by ({CANARY}) (fg:canary_verdict{{verdict!="undecided"}})'
    so_far = f'on ({CANARY}) (1 - sum by ({CANARY}) (fg:canary_verdict{{verdict="worse"}}))'
    return [
        Record("fg:canary_verdict", f"{worse}\nor\n{none_yet}", {"verdict": "worse"}),
        Record("fg:canary_verdict", f"{no_worse} * {so_far}\nor\n{none_yet}", {"verdict": "no_worse"}),
        Record("fg:canary_verdict", undecided, {"verdict": "undecided"}),
    ]
