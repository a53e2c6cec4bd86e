"""Which share of answers is scored, and how busy scoring is."""

from deploy.monitoring.rule_groups import SERVICE, Record


def scoring_records(name: str, back: str) -> list[Record]:
    """The series of a window called `name` that looks `back`."""
    return [
        Record(
            f"fg:scoring_coverage:{name}",
            f"""
            clamp_max(
              sum by ({SERVICE}, profile) (increase(fg_responses_scored_total[{back}]))
              / (sum by ({SERVICE}, profile) (increase(fg_scoring_offered_total[{back}])) > 0),
              1
            )
            """,
        ),
        Record(
            f"fg:scoring_busy_ratio:{name}",
            f"""
            sum by ({SERVICE}) (rate(fg_scoring_busy_seconds_total[{back}]))
            / (sum by ({SERVICE}) (fg_scoring_workers) > 0)
            """,
        ),
    ]
