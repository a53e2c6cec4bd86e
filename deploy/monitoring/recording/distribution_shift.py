"""How far scores and inputs have moved from the version's own baseline: the population stability index.

The same arithmetic as rewards.statistics.distribution_shift.psi and psi_by_chance, which say where it comes from.
"""

from dataclasses import dataclass

from deploy.monitoring.rule_groups import Record
from rewards.statistics.distribution_shift import SMOOTHING


@dataclass(frozen=True)
class _Distribution:
    """What is counted by bin online, and its shares by bin offline."""

    name: str
    """What its series are called after: fg:score_shift_psi:1h."""
    counts: str
    offline: str
    labels: str
    """Those that tell its distributions apart."""
    total: str
    """How many observations are behind the shares, by `total_labels`."""
    total_labels: str


DISTRIBUTIONS: tuple[_Distribution, ...] = (
    _Distribution(
        "score",
        "fg_score_bin_total",
        "fg_baseline_score_ratio",
        "profile, policy, category",
        "fg:baseline_segments",
        "profile, policy, category",
    ),
    _Distribution(
        "input",
        "fg_input_bin_total",
        "fg_baseline_input_ratio",
        "profile, policy, input",
        # Several answers to a question are asked the same.
        "fg:baseline_questions",
        "profile, policy",
    ),
)


def baseline_records() -> list[Record]:
    """What no window changes: what the versions' evaluations said, and smoothed shares, (b_i m + 0.5) / (m + 0.5 B)."""
    records = [
        Record("fg:baseline_error_ratio", "avg by (profile, policy, category) (fg_policy_baseline_error_ratio)"),
        Record("fg:baseline_segments", "max by (profile, policy, category) (fg_baseline_segments)"),
        Record("fg:baseline_questions", "max by (profile, policy) (fg_baseline_questions)"),
        Record("fg:baseline_responses", "max by (profile, policy) (fg_baseline_responses)"),
    ]
    for one in DISTRIBUTIONS:
        ratio = f"avg by ({one.labels}, bin) ({one.offline})"
        records += [
            Record(f"fg:{one.name}_baseline_bins", f"count by ({one.labels}) ({ratio})"),
            Record(
                f"fg:{one.name}_baseline_share",
                f"""
                ({ratio} * on ({one.total_labels}) group_left () {one.total} + {SMOOTHING})
                / on ({one.labels}) group_left ()
                ({SMOOTHING} * fg:{one.name}_baseline_bins + on ({one.total_labels}) group_left () {one.total})
                """,
            ),
        ]
    return records


def shift_records(name: str, back: str) -> list[Record]:
    """The index of a window called `name` that looks `back`, and what chance alone gives. Absent without a baseline."""
    return [record for one in DISTRIBUTIONS for record in _shift(one, name, back)]


def _shift(one: _Distribution, name: str, back: str) -> list[Record]:
    bins, share = f"fg:{one.name}_baseline_bins", f"fg:{one.name}_share:{name}"
    bin_counts = f"fg:{one.name}_bin:increase{name}"
    total = f"(sum by ({one.labels}) ({bin_counts}) > 0)"
    return [
        # A bin that nothing ever fell into may have no counter.
        Record(
            bin_counts,
            f"""
            sum by ({one.labels}, bin) (increase({one.counts}[{back}]))
            or
            0 * avg by ({one.labels}, bin) ({one.offline})
            """,
        ),
        Record(
            share,
            f"""
            ({bin_counts} + {SMOOTHING})
            / on ({one.labels}) group_left ()
            ({total} + {SMOOTHING} * {bins})
            """,
        ),
        Record(
            f"fg:{one.name}_shift_psi:{name}",
            f"""
            sum by ({one.labels}) (
              ({share} - fg:{one.name}_baseline_share)
              * ln({share} / fg:{one.name}_baseline_share)
            )
            """,
        ),
        Record(
            f"fg:{one.name}_shift_chance:{name}",
            f"""
            ({bins} - 1)
            * on ({one.labels})
            (1 / {total} + on ({one.total_labels}) group_left () 1 / {one.total})
            """,
        ),
    ]
