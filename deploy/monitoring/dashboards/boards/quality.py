"""Quality: how often the service errs, whether that has changed, and how reliable the ratio is."""

from deploy.monitoring.budgets import BUDGETS, PROFILE_ERROR_RATIOS, budget_of
from deploy.monitoring.dashboards.boards.quality_change_rows import CHANGE_ROWS
from deploy.monitoring.dashboards.kit.board import Board, Row
from deploy.monitoring.dashboards.kit.panel_options import (
    Query,
    Thresholds,
    higher_is_better,
    limit_lines,
    lower_is_better,
)
from deploy.monitoring.dashboards.kit.promql import PROFILE, SERVICE, VERSION, hourly, quantile, rate, share
from deploy.monitoring.dashboards.kit.series_panels import bars, heatmap_over_time, number, time_series
from deploy.monitoring.dashboards.kit.table_panels import Column, grouped_bars, label_table, scatter

CATEGORIES = tuple(BUDGETS)
OWN_ALERTS = (
    'count(ALERTS{alertname=~"Fgctl.*", alertstate="firing", namespace=~"$namespace|", job=~"$job|"}) or vector(0)'
)
"""Alerts of this service, not of others in the same Prometheus; that of a target that is gone has no namespace."""
_VERSION_NAME = "{{profile}} {{policy}}"
_ERRORS = "fg:segment_errors:increase1h"
_SCORED = "fg:segments_scored:increase1h"
_BASELINE = f"fg:baseline_error_ratio{{{VERSION}}}"
_DRIFT_BY_CHANCE = (
    f"fg:error_drift:1h{{{VERSION}}} / (fg:error_drift_chance:1h{{{VERSION}}} * sqrt(fg:design_effect{{{VERSION}}}))"
)


def _of(category: str) -> str:
    return f'{VERSION}, category="{category}"'


def _recent_ratio(by: str, where: str = VERSION) -> str:
    """The error ratio of the last hour, by labels."""
    return share(f"sum by ({by}) ({_ERRORS}{{{where}}})", f"sum by ({by}) ({_SCORED}{{{where}}})")


def _margin(where: str = VERSION) -> str:
    """Half the width of the error ratio's 95 % interval: two errors and two clean segments added (Agresti, Coull 1998).

    Segments of one answer resemble each other, so their number is divided by the design effect.
    """
    effect = f"fg:design_effect{{{where}}}"
    segments = f"({_SCORED}{{{where}}} / {effect} + 4)"
    ratio = f"(({_ERRORS}{{{where}}} / {effect} + 2) / {segments})"
    return f"1.96 * sqrt({ratio} * (1 - {ratio}) / {segments})"


def _by_labels(metric: str) -> str:
    """A metric of the estimates from labels; every replica that uses the store shows the same."""
    return f"max by (category, profile) ({metric}{{{PROFILE}}})"


def _budgets(category: str) -> dict[str, Thresholds]:
    """By profile: orange above its budget, red above the threshold of the slow burn alert."""
    budgets = {profile: budget_of(profile, category) for profile in PROFILE_ERROR_RATIOS}
    return {
        profile: lower_is_better(budget.error_ratio, budget.threshold(budget.slow))
        for profile, budget in budgets.items()
    }


def _enough_segments() -> dict[str, Thresholds]:
    """Orange below the minimum count of the fast burn alert."""
    budgets = [
        (category, profile, budget_of(profile, category)) for category in CATEGORIES for profile in PROFILE_ERROR_RATIOS
    ]
    return {
        f"{category} {profile}": higher_is_better(1, budget.minimum(budget.fast))
        for category, profile, budget in budgets
    }


_NOW = Row(
    "How often does it err?",
    [
        *(
            bars(
                f"Error ratio of the last hour: {category}",
                f"Share of the segments scored in the last hour that were judged to be {category} errors, by profile. "
                "Orange: above the profile's error budget; red: an alert will fire if it stays there. Then see below "
                "since when and in which version, and read the runbook.",
                Query(_recent_ratio("profile", _of(category)), "{{profile}}"),
                unit="percentunit",
                by_name=_budgets(category),
                maximum=1,
            )
            for category in CATEGORIES
        ),
        label_table(
            "Every category, profile and version",
            "The last hour. '±' is half the width of the ratio's 95 % interval. 'Drift' is the ratio less the offline "
            "one, and then the same in standard errors: below 2 it may be chance, from 3 on the version really differs "
            "from its evaluation. 'Corrected' accounts for the reward model's known false alarms and misses, and is "
            "empty where the model is hardly better than chance. Before you blame the version, check under 'Has it "
            "changed?' whether the questions have changed.",
            ["category", "profile", "policy"],
            Column("Error ratio", f"fg:error_ratio:1h{{{VERSION}}}", "percentunit"),
            Column("±", _margin(), "percentunit"),
            Column("Offline", _BASELINE, "percentunit"),
            Column("Drift", f"fg:error_drift:1h{{{VERSION}}}", "percentunit"),
            Column("Drift in standard errors", _DRIFT_BY_CHANCE, "short", lower_is_better(2, 3)),
            Column("Corrected", f"fg:error_ratio_corrected:1h{{{VERSION}}}", "percentunit"),
            Column("Budget", f"fg:error_budget{{{VERSION}}}", "percentunit"),
            Column("Segments", f"{_SCORED}{{{VERSION}}}", "short"),
        ),
        label_table(
            "Error rates as people see them",
            "Of the answers of the last 30 days, estimated from labels and scores, with the 95 % interval. Not "
            "calibrated: too few answers are labelled, the ratios are the reward models' opinion alone, and the "
            "interval is everything. Annotate answers in the order for the error rate; fgctl quality says how many "
            "more halve the interval. 'Last hour' is the error ratio with the labels' correction, by which budgets "
            "and alerts go. 'Mean probability' is the reward models' own, and 'By label shift' what the scores say if "
            "errors look as they do in the feedback that the models were fitted on: where these are far apart, or "
            "outside the interval, the traffic is another.",
            ["category", "profile"],
            Column("Calibrated", _by_labels("fg_error_rate_calibrated"), "bool_yes_no"),
            Column("Estimate", _by_labels("fg_error_rate_estimate"), "percentunit"),
            Column("From", _by_labels("fg_error_rate_low"), "percentunit"),
            Column("To", _by_labels("fg_error_rate_high"), "percentunit"),
            Column(
                "Last hour", f"max by (category, profile) (fg:error_ratio_estimated:1h{{{VERSION}}})", "percentunit"
            ),
            Column("Uncorrected", _recent_ratio("category, profile"), "percentunit"),
            Column("Mean probability", _by_labels("fg_error_rate_model_mean"), "percentunit"),
            Column("By label shift", _by_labels("fg_error_rate_label_shift"), "percentunit"),
            Column("Labels", _by_labels("fg_error_rate_labels"), "short"),
            Column(
                "Newest label",
                f"1000 * {_by_labels('fg_error_rate_newest_label_timestamp_seconds')}",
                "dateTimeFromNow",
            ),
            nothing="no feedback store, so nothing is calibrated",
        ),
    ],
)

_HISTORY = Row(
    "Since when, and in which version?",
    [
        *(
            time_series(
                f"Error ratio: {category}",
                f"Share of segments judged to be {category} errors over 30 minutes, by version. Dashed: the version's "
                "offline evaluation; dashed red: the profiles' error budgets; blue marks: promotions. A step at a "
                "promotion: compare the versions and roll back. A step without one: the questions or the passages "
                "have changed.",
                Query(f"fg:error_ratio:30m{{{_of(category)}}}", _VERSION_NAME),
                Query(f"fg:baseline_error_ratio{{{_of(category)}}}", f"{_VERSION_NAME} offline", True),
                Query(f"max by (profile) (fg:error_budget{{{_of(category)}}})", "{{profile}} budget", True, "red"),
                unit="percentunit",
                height=10,
                maximum=1,
            )
            for category in CATEGORIES
        ),
        time_series(
            "Corrected error ratio",
            "The error ratio over an hour, corrected for the reward models' known false alarms and misses: an estimate "
            "of what people would report. Categories whose model is hardly better than chance are missing. If it "
            "differs much from the uncorrected ratio, see 'Known false alarms' and 'Known misses' on Scoring.",
            Query(f"fg:error_ratio_corrected:1h{{{VERSION}}}", "{{category}} " + _VERSION_NAME),
            unit="percentunit",
            width=12,
            maximum=1,
        ),
        time_series(
            "Reward of the median segment",
            "Median reward over an hour, from -1 to 1, of all versions of a profile together. For completeness it says "
            "more than the error ratio. A fall: answers have become worse by the reward models. A rise together with "
            "more repetition or longer answers: the policy may exploit the reward models.",
            Query(quantile(0.5, "fg_reward", "profile, category", window="1h"), "{{category}} {{profile}}"),
            unit="short",
            width=12,
            minimum=-1,
            maximum=1,
        ),
    ],
)

_TRUST = Row(
    "How reliable is the ratio?",
    [
        bars(
            "Segments scored in the last hour",
            "By category and profile. Orange: too few for the fast burn alert, so the ratios above are rough guesses. "
            "If few are scored although many requests are answered, see the Scoring dashboard.",
            Query(f"sum by (category, profile) ({_SCORED}{{{VERSION}}})", "{{category}} {{profile}}"),
            unit="short",
            height=9,
            by_name=_enough_segments(),
        ),
        time_series(
            "Uncertainty of the error ratio",
            "Half the width of the 95 % interval: in 95 of 100 hours the ratio is no further than this from the "
            "long-run ratio. It accounts for segments of one answer resembling each other. If it is too wide to "
            "decide: wait, look at six hours, or score a larger share.",
            Query(_margin(), "{{category}} " + _VERSION_NAME),
            unit="percentunit",
            height=9,
            thresholds=limit_lines(0.1),
        ),
        time_series(
            "Answers unlike the annotated ones",
            "Share of scored answers that are unlike the reward models' training data, over an hour. Dashed: the share "
            "of false alarms. Far above it, the error ratios are not reliable: label some answers in the order for the "
            "error rate, and calibrate the models.",
            Query(
                share(
                    hourly("fg_out_of_domain_total", "profile, policy"),
                    hourly("fg_responses_scored_total", "profile, policy"),
                ),
                _VERSION_NAME,
            ),
            Query(f"max(fg_scorer_out_of_domain_ratio{{{SERVICE}}})", "false alarms", True),
            unit="percentunit",
            height=9,
            thresholds=limit_lines(0.5),
            maximum=1,
        ),
    ],
)

_KINDS = Row(
    "What kind of errors?",
    [
        time_series(
            "Errors by label",
            "Segments judged to be errors in the last hour, by their most likely annotation label. A label that grows "
            "says what to look for in the worst segments beside, and what to annotate next.",
            Query(hourly("fg_segment_labels_total", "category, label"), "{{category}}: {{label}}"),
            unit="short",
            width=12,
            stacked=True,
        ),
        time_series(
            "Worst recent segments",
            "Share of segments whose error probability is at least 0.9. Marks are answers with such a segment: point "
            "at a mark and follow its link to GET /responses/{id}, which has the text and its scores. If the line "
            "rises, read ten of these answers before anything else.",
            Query(
                share(
                    rate("fg_score_bin_total", "category", f'{VERSION}, bin="0.9"'),
                    rate("fg_segments_scored_total", "category"),
                ),
                "{{category}}",
            ),
            unit="percentunit",
            width=12,
            maximum=1,
            exemplars=True,
        ),
        *(
            heatmap_over_time(
                f"Rewards: {category}",
                f"Rewards of segments for {category} over time, from -1 to 1, of all versions of a profile together. "
                "Two separate bands: the reward model is certain; all near zero: it cannot tell. A band that moves at "
                "a promotion shows what the new version trades off.",
                Query(rate("fg_reward_bucket", "le", f'{PROFILE}, category="{category}"'), "{{le}}"),
                unit="short",
            )
            for category in CATEGORIES
        ),
    ],
)

_BY_PROFILE_AND_CATEGORY = _recent_ratio("profile, category")
_TRADE_OFFS = Row(
    "Which categories are traded off?",
    [
        grouped_bars(
            "Error ratios by profile",
            "The last hour, category by category. Profiles should differ as their weights do: the more weight a "
            "category has, the fewer its errors. If two profiles look the same, their weights make no difference.",
            _BY_PROFILE_AND_CATEGORY,
            row="profile",
            column="category",
            unit="percentunit",
        ),
        *(
            scatter(
                f"Relevance against {other}",
                f"The last hour, a point for each profile: the error ratio of relevance (x) and of {other} (y). A "
                "profile with another one below and to the left of it is worse in both: stop serving it.",
                _BY_PROFILE_AND_CATEGORY,
                point="profile",
                axis="category",
                x="relevance",
                y=other,
                unit="percentunit",
            )
            for other in CATEGORIES
            if other != "relevance"
        ),
    ],
)

_STATE = Row(
    "Is anything wrong right now?",
    [
        number(
            "Alerts firing",
            "Number of this service's alerts that fire. If any do: Alertmanager says which, the runbook, linked above, "
            "what to do.",
            Query(OWN_ALERTS),
            unit="short",
            thresholds=((None, "green"), (1, "red")),
        ),
        number(
            "Answers scored",
            "Share of finished answers that were scored in the last hour, by profile. Error ratios are those of scored "
            "answers. If this is below the profile's sampling share, see the Scoring dashboard.",
            Query(f"fg:scoring_coverage:1h{{{PROFILE}}}", "{{profile}}"),
            unit="percentunit",
            width=10,
        ),
        number(
            "Answers in the last hour",
            "Completed requests by profile. Without any, there are no error ratios.",
            Query(hourly("fg_requests_total", "profile", f'{VERSION}, outcome="ok"'), "{{profile}}"),
            unit="short",
            width=10,
            decimals=0,
        ),
    ],
)

BOARD = Board(
    "fgctl-quality",
    "fgctl: Quality",
    "How often the service errs, by category, profile and policy version; whether that has changed; and how reliable "
    "the ratio is.",
    [_STATE, _NOW, _HISTORY, _TRUST, _KINDS, _TRADE_OFFS, *CHANGE_ROWS],
)
