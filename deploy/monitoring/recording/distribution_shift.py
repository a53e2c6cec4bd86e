"""How far scores and inputs have moved from the version's evaluation: the population stability index.

The arithmetic is that of rewards.statistics.distribution_shift.psi and psi_by_chance, which name its sources.
"""

from dataclasses import dataclass

from deploy.monitoring.rule_groups import SERVICE, Record
from rewards.statistics.distribution_shift import SMOOTHING


@dataclass(frozen=True)
class _Distribution:
    """Online counts by bin, and the shares of the bins in the offline evaluation."""

    name: str
    """Begins the names of its series, as in fg:score_shift_psi:1h."""
    counts: str
    offline: str
    labels: str
    """The labels that distinguish its distributions."""
    total: str
    """The number of offline observations, by `total_labels`."""
    total_labels: str


DISTRIBUTIONS: tuple[_Distribution, ...] = (
    _Distribution(
        "score",
        "fg_score_bin_total",
        "fg_baseline_score_ratio",
        f"{SERVICE}, profile, policy, category",
        "fg:baseline_segments",
        f"{SERVICE}, profile, policy, category",
    ),
    _Distribution(
        "input",
        "fg_input_bin_total",
        "fg_baseline_input_ratio",
        f"{SERVICE}, profile, policy, input",
        # The inputs of several answers to one question are the same.
        "fg:baseline_questions",
        f"{SERVICE}, profile, policy",
    ),
)


def baseline_records() -> list[Record]:
    """Series without a window: the versions' evaluations, and smoothed shares, (b_i m + 0.5) / (m + 0.5 B)."""
    records = [
        Record(
            "fg:baseline_error_ratio", f"avg by ({SERVICE}, profile, policy, category) (fg_policy_baseline_error_ratio)"
        ),
        Record("fg:baseline_segments", f"max by ({SERVICE}, profile, policy, category) (fg_baseline_segments)"),
        Record("fg:baseline_questions", f"max by ({SERVICE}, profile, policy) (fg_baseline_questions)"),
        Record("fg:baseline_responses", f"max by ({SERVICE}, profile, policy) (fg_baseline_responses)"),
    ]
    for distribution in DISTRIBUTIONS:
        name, labels = f"fg:{distribution.name}_baseline", distribution.labels
        ratio = f"avg by ({labels}, bin) ({distribution.offline})"
        total = f"on ({distribution.total_labels}) group_left () {distribution.total}"
        records += [
            Record(f"{name}_bins", f"count by ({labels}) ({ratio})"),
            Record(
                f"{name}_share",
                f"""
                ({ratio} * {total} + {SMOOTHING})
                / on ({labels}) group_left ()
                ({SMOOTHING} * {name}_bins + {total})
                """,
            ),
        ]
    return records


def shift_records(name: str, back: str) -> list[Record]:
    """The index of a window called `name` that looks `back`, and its value by chance. Absent without a baseline."""
    return [record for distribution in DISTRIBUTIONS for record in _shift(distribution, name, back)]


def _shift(distribution: _Distribution, name: str, back: str) -> list[Record]:
    bins, share = f"fg:{distribution.name}_baseline_bins", f"fg:{distribution.name}_share:{name}"
    bin_counts = f"fg:{distribution.name}_bin:increase{name}"
    total = f"(sum by ({distribution.labels}) ({bin_counts}) > 0)"
    return [
        # A bin without observations may have no counter.
        Record(
            bin_counts,
            f"""
            sum by ({distribution.labels}, bin) (increase({distribution.counts}[{back}]))
            or
            0 * avg by ({distribution.labels}, bin) ({distribution.offline})
            """,
        ),
        Record(
            share,
            f"""
            ({bin_counts} + {SMOOTHING})
            / on ({distribution.labels}) group_left ()
            ({total} + {SMOOTHING} * {bins})
            """,
        ),
        Record(
            f"fg:{distribution.name}_shift_psi:{name}",
            f"""
            sum by ({distribution.labels}) (
              ({share} - fg:{distribution.name}_baseline_share)
              * ln({share} / fg:{distribution.name}_baseline_share)
            )
            """,
        ),
        Record(
            f"fg:{distribution.name}_shift_chance:{name}",
            f"""
            ({bins} - 1)
            * on ({distribution.labels})
            (1 / {total} + on ({distribution.total_labels}) group_left () 1 / {distribution.total})
            """,
        ),
    ]
