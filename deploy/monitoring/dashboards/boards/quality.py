"""Quality: how often the service errs, whether that changed, and how far to trust the number."""

from deploy.monitoring.budgets import BUDGETS, PROFILES, budget_of
from deploy.monitoring.dashboards.boards import quality_shift_rows as changes
from deploy.monitoring.dashboards.kit.board import Board, Row
from deploy.monitoring.dashboards.kit.expressions import PROFILE, VERSION, hourly, quantile, rate, share
from deploy.monitoring.dashboards.kit.panel_parts import Query, Thresholds, falling, limits, rising
from deploy.monitoring.dashboards.kit.series_panels import bars, distribution, number, time_series
from deploy.monitoring.dashboards.kit.table_panels import Column, matrix, rows_of, trade_off

CATEGORIES = tuple(BUDGETS)
_NAMED = "{{profile}} {{policy}}"
_ERRORS = "fg:segment_errors:increase1h"
_SCORED = "fg:segments_scored:increase1h"
_BASELINE = f"fg:baseline_error_ratio{{{VERSION}}}"
_DRIFT_BY_CHANCE = (
    f"fg:error_drift:1h{{{VERSION}}} / (fg:error_drift_chance:1h{{{VERSION}}} * sqrt(fg:design_effect{{{VERSION}}}))"
)


def _of(category: str) -> str:
    return f'{VERSION}, category="{category}"'


def _recent_ratio(by: str, where: str = VERSION) -> str:
    """Error ratio of the last hour over versions."""
    return share(f"sum by ({by}) ({_ERRORS}{{{where}}})", f"sum by ({by}) ({_SCORED}{{{where}}})")


def _margin(where: str = VERSION) -> str:
    """Half width of a 95 % interval of the ratio (Agresti and Coull 1998): two errors and two clean ones added.

    Segments of one answer resemble each other; they count as so many fewer as the rules' design effect says.
    """
    alike = f"fg:design_effect{{{where}}}"
    segments = f"({_SCORED}{{{where}}} / {alike} + 4)"
    ratio = f"(({_ERRORS}{{{where}}} / {alike} + 2) / {segments})"
    return f"1.96 * sqrt({ratio} * (1 - {ratio}) / {segments})"


def _budgets(category: str) -> dict[str, Thresholds]:
    """Each profile's own: orange over its budget, red where it is enough for an alert if it lasts."""
    budgets = {profile: budget_of(profile, category) for profile in PROFILES}
    return {profile: rising(one.error_ratio, one.threshold(one.slow)) for profile, one in budgets.items()}


def _enough_segments() -> dict[str, Thresholds]:
    """Orange under what the alert over an hour waits for."""
    pairs = [(category, profile, budget_of(profile, category)) for category in CATEGORIES for profile in PROFILES]
    return {f"{category} {profile}": falling(1, one.minimum(one.fast)) for category, profile, one in pairs}


_NOW = Row(
    "How often does it err?",
    [
        *(
            bars(
                f"Error ratio of the last hour: {category}",
                f"Share of the segments scored in the last hour that were judged errors of {category}, by profile. "
                "Orange: over the profile's error budget; red: so far over it that an alert follows if it lasts. Then "
                "see below since when and in which version, and read the runbook.",
                Query(_recent_ratio("profile", _of(category)), "{{profile}}"),
                unit="percentunit",
                by_name=_budgets(category),
                maximum=1,
            )
            for category in CATEGORIES
        ),
        rows_of(
            "Every category, profile and version",
            "The last hour. 'Corrected' takes the reward model's known false alarms and misses into account, and is "
            "left out where the model is hardly better than chance. '±' is half of the ratio's 95 % interval. 'Drift' "
            "is the ratio less the offline one, then the same in standard errors: under 2 it says nothing, from 3 on "
            "the version does differ from its evaluation. Look at 'Has it changed?' for other questions before you "
            "blame the version.",
            ["category", "profile", "policy"],
            Column("Error ratio", f"fg:error_ratio:1h{{{VERSION}}}", "percentunit"),
            Column("±", _margin(), "percentunit"),
            Column("Offline", _BASELINE, "percentunit"),
            Column("Drift", f"fg:error_drift:1h{{{VERSION}}}", "percentunit"),
            Column("Drift in standard errors", _DRIFT_BY_CHANCE, "short", rising(2, 3)),
            Column("Corrected", f"fg:error_ratio_corrected:1h{{{VERSION}}}", "percentunit"),
            Column("Budget", f"fg:error_budget{{{VERSION}}}", "percentunit"),
            Column("Segments", f"{_SCORED}{{{VERSION}}}", "short"),
        ),
    ],
)

_COURSE = Row(
    "Since when, and in which version?",
    [
        *(
            time_series(
                f"Error ratio: {category}",
                f"Share of segments judged errors of {category} over 30 minutes, by version; dashed: the same version "
                "in its offline evaluation; dashed and red: the profiles' error budgets. Blue marks are promotions. "
                "A step at a promotion: compare the versions and roll back. A step without one: the questions or "
                "the passages have changed.",
                Query(f"fg:error_ratio:30m{{{_of(category)}}}", _NAMED),
                Query(f"fg:baseline_error_ratio{{{_of(category)}}}", f"{_NAMED} offline", True),
                Query(f"max by (profile) (fg:error_budget{{{_of(category)}}})", "{{profile}} budget", True, "red"),
                unit="percentunit",
                height=10,
                maximum=1,
            )
            for category in CATEGORIES
        ),
        time_series(
            "Corrected error ratio",
            "The error ratio over an hour without the reward models' known false alarms and misses; a category whose "
            "model is hardly better than chance is missing. Read it as the number that people would report. When it "
            "and the uncorrected ratio part, the scorer's error rates on the Scoring dashboard say why.",
            Query(f"fg:error_ratio_corrected:1h{{{VERSION}}}", "{{category}} " + _NAMED),
            unit="percentunit",
            width=12,
            maximum=1,
        ),
        time_series(
            "Reward of the median segment",
            "Median reward over an hour, -1 to 1, of all versions of a profile together. For completeness it says "
            "more than the error ratio. A fall: the answers got worse by the reward models; a rise together with "
            "more repetition or longer answers: the models may be being gamed.",
            Query(quantile(0.5, "fg_reward", "profile, category", window="1h"), "{{category}} {{profile}}"),
            unit="short",
            width=12,
            minimum=-1,
            maximum=1,
        ),
    ],
)

_TRUST = Row(
    "How far is the number to be trusted?",
    [
        bars(
            "Segments scored in the last hour",
            "By category and profile. Orange: too few for an alert within the hour; the ratios above are guesses. When "
            "few are scored although many are answered, look at the Scoring dashboard.",
            Query(f"sum by (category, profile) ({_SCORED}{{{VERSION}}})", "{{category}} {{profile}}"),
            unit="short",
            height=9,
            by_name=_enough_segments(),
        ),
        time_series(
            "Half width of the error ratio's interval",
            "In 95 of 100 hours the ratio is no further than this from the long-run one; that segments of one answer "
            "resemble each other is counted in. Too wide to decide: wait, look at six hours, or score a larger share.",
            Query(_margin(), "{{category}} " + _NAMED),
            unit="percentunit",
            height=9,
            thresholds=limits(0.1),
        ),
        time_series(
            "Answers unlike the annotated ones",
            "Share of scored answers that are unlike what the reward models were fitted on, over an hour. When it "
            "rises, the error ratios say less: have a sample annotated and fit the models again.",
            Query(
                share(
                    hourly("fg_out_of_domain_total", "profile, policy"),
                    hourly("fg_responses_scored_total", "profile, policy"),
                ),
                _NAMED,
            ),
            unit="percentunit",
            height=9,
            thresholds=limits(0.5),
            maximum=1,
        ),
    ],
)

_KINDS = Row(
    "What kind of errors?",
    [
        time_series(
            "Errors by label",
            "Segments judged errors, an hour each, by their most likely annotation label. A label that grows says "
            "what to look for in the worst segments below, and what to annotate next.",
            Query(hourly("fg_segment_labels_total", "category, label"), "{{category}}: {{label}}"),
            unit="short",
            width=12,
            stacked=True,
        ),
        time_series(
            "Worst recent segments",
            "Share of segments whose error probability is at least 0.9. The marks are answers with such a segment: "
            "point at one and follow its link to GET /responses/{id}, which has the text and its scores. When the "
            "line rises, read ten of them before anything else.",
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
            distribution(
                f"Rewards: {category}",
                f"Rewards of segments for {category} over time, -1 to 1, of all versions of a profile together. Two "
                "bands that part: the reward model is sure; all near zero: it cannot tell. A band that moves at a "
                "promotion shows what the new version trades.",
                Query(rate("fg_reward_bucket", "le", f'{PROFILE}, category="{category}"'), "{{le}}"),
                unit="short",
            )
            for category in CATEGORIES
        ),
    ],
)

_BY_BOTH = _recent_ratio("profile, category")
_TRADE = Row(
    "What is traded for what?",
    [
        matrix(
            "Error ratios by profile",
            "The last hour, category beside category. Profiles should differ as their weights do: the more weight a "
            "category has, the fewer its errors. When two profiles look alike, their weights buy nothing.",
            _BY_BOTH,
            row="profile",
            column="category",
            unit="percentunit",
        ),
        *(
            trade_off(
                f"Relevance against {other}",
                f"The last hour, a point for each profile: error ratio of relevance across, of {other} up. A profile "
                "with another below and to the left of it is worse in both: nobody should be served by it.",
                _BY_BOTH,
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
            "How many alerts fire. Above none: Alertmanager says which, and the runbook, linked above, what to do.",
            Query('count(ALERTS{alertstate="firing"}) or vector(0)'),
            unit="short",
            thresholds=((None, "green"), (1, "red")),
        ),
        number(
            "Answers scored",
            "Share of offered answers that were scored in the last hour, by profile. Error ratios are those of scored "
            "answers: when this falls without a sampling share that says so, see the Scoring dashboard.",
            Query(f"fg:scoring_coverage:1h{{{PROFILE}}}", "{{profile}}"),
            unit="percentunit",
            width=10,
        ),
        number(
            "Answers in the last hour",
            "Completed requests by profile. With none there is nothing to judge.",
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
    "How often the service errs, by category, profile and policy version; whether that changed; and how far to trust "
    "the number.",
    [_STATE, _NOW, _COURSE, _TRUST, _KINDS, _TRADE, *changes.ROWS],
)
