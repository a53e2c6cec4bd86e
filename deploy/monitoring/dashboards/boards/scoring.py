"""Scoring: whether all answers are scored that should be, how fast, and how reliable the scores are."""

from deploy.monitoring.alerts.scoring import INTENDED_DROPS, LATE_SECONDS, SILENCE
from deploy.monitoring.dashboards.boards.feedback_row import FEEDBACK_ROW
from deploy.monitoring.dashboards.kit.board import Board, Row
from deploy.monitoring.dashboards.kit.panel_options import Query, higher_is_better, limit_lines, lower_is_better
from deploy.monitoring.dashboards.kit.promql import (
    PROFILE,
    SERVICE,
    VERSION,
    hourly,
    in_range,
    latest,
    quantile,
    rate,
    share,
)
from deploy.monitoring.dashboards.kit.series_panels import bars, number, time_series
from deploy.monitoring.dashboards.kit.table_panels import Column, label_table

_OFFERED = in_range("fg_scoring_offered_total", "profile", PROFILE)
_SCORED = in_range("fg_responses_scored_total", "profile", PROFILE)


_LOST = in_range("fg_scoring_dropped_total", "profile", f'{PROFILE}, reason!~"{INTENDED_DROPS}"')


def _dropped(reason: str) -> str:
    return in_range("fg_scoring_dropped_total", "profile", f'{PROFILE}, reason="{reason}"')


_STATE = Row(
    "Does scoring keep up?",
    [
        number(
            "Since the last score",
            "Seconds since any replica last scored an answer. A rise while answers are given: scoring has stopped, and "
            "all error ratios are out of date. See the runbook.",
            Query(f"time() - max(fg_last_score_timestamp_seconds{{{SERVICE}}} > 0)"),
            unit="s",
            thresholds=lower_is_better(SILENCE / 2, SILENCE),
        ),
        number(
            "Queue",
            "Answers waiting to be scored, as a share of those that may wait. Full: further answers are dropped, see "
            "'Dropped by reason'.",
            Query(f"sum(fg_scoring_queue_depth{{{SERVICE}}}) / sum(fg_scoring_queue_capacity{{{SERVICE}}})"),
            unit="percentunit",
            thresholds=lower_is_better(0.5, 0.8),
        ),
        number(
            "Busy",
            "Share of the scoring processes' time that is spent on scoring, over 5 minutes. Near 1: lower "
            "FGCTL_SCORING_SHARE before the queue overflows.",
            Query(f"fg:scoring_busy_ratio:5m{{{SERVICE}}}"),
            unit="percentunit",
            thresholds=lower_is_better(0.7, 0.9),
        ),
        number(
            "Lag",
            "Seconds from the last token within which 95 % of answers are scored. Above a minute, the dashboards are "
            "out of date: score a smaller share, or add replicas.",
            Query(quantile(0.95, "fg_scoring_lag_seconds", where=SERVICE, window="5m")),
            unit="s",
            thresholds=lower_is_better(LATE_SECONDS / 2, LATE_SECONDS),
        ),
        number(
            "Coverage",
            "Share of finished answers that were scored in the last hour, by profile. It should be near 'Share to be "
            "scored', below; if it is lower, answers are lost.",
            Query(f"fg:scoring_coverage:1h{{{PROFILE}}}", "{{profile}}"),
            unit="percentunit",
            width=8,
        ),
    ],
)

_COVERAGE = Row(
    "Which answers are scored, and which are not?",
    [
        label_table(
            "Where answers went",
            "The time range, by profile: offered = scored + sampled out + without passages + lost + waiting. 'Sampled "
            "out' is intended (FGCTL_SCORING_SHARE); 'Lost' is not, and should be zero.",
            ["profile"],
            Column("Offered", _OFFERED, "short"),
            Column("Scored", _SCORED, "short"),
            Column("Sampled out", _dropped("sampled_out"), "short"),
            Column("Without passages", _dropped("no_passages"), "short"),
            Column("Lost", _LOST, "short", lower_is_better(1, 10)),
            Column("Share to be scored", latest("fg_scoring_share", "profile", PROFILE), "percentunit"),
            width=16,
        ),
        time_series(
            "Dropped by reason",
            "Answers per second that were never scored. `queue_full`: more than can be scored; lower the share. "
            "`timeout`, `failed`, `worker_died`: read the log. `no_passages` and `sampled_out` are intended.",
            Query(rate("fg_scoring_dropped_total", "reason", PROFILE), "{{reason}}"),
            unit="reqps",
            height=9,
            stacked=True,
        ),
        time_series(
            "Offered and scored",
            "Answers per second. The difference is dropped or waiting.",
            Query(rate("fg_scoring_offered_total", where=PROFILE), "offered"),
            Query(rate("fg_responses_scored_total", where=PROFILE), "scored"),
            unit="reqps",
        ),
        time_series(
            "Lost by profile",
            "Answers per second lost to a full queue, a timeout or a failure. Under too much load all profiles lose "
            "the same share; if only one loses answers, they cannot be scored: read the log.",
            Query(
                rate(
                    "fg_scoring_dropped_total",
                    "profile",
                    f'{PROFILE}, reason!~"{INTENDED_DROPS}"',
                ),
                "{{profile}}",
            ),
            unit="reqps",
            stacked=True,
        ),
        time_series(
            "Coverage by profile",
            "Share of finished answers that were scored, over 30 minutes; dashed: the share that should be. A profile "
            "below its dashed line: its error ratios are based on fewer answers, perhaps the easier ones.",
            Query(f"fg:scoring_coverage:30m{{{PROFILE}}}", "{{profile}}"),
            Query(latest("fg_scoring_share", "profile", PROFILE), "{{profile}} to be scored", True),
            unit="percentunit",
            maximum=1,
        ),
    ],
)

_SPEED = Row(
    "How fast?",
    [
        time_series(
            "From last token to scores",
            "Seconds. A rise without more traffic: answers have become longer, or the machine is busy with something "
            "else.",
            Query(quantile(0.5, "fg_scoring_lag_seconds", where=SERVICE), "50 % within"),
            Query(quantile(0.95, "fg_scoring_lag_seconds", where=SERVICE), "95 % within"),
            Query(quantile(0.99, "fg_scoring_lag_seconds", where=SERVICE), "99 % within"),
            unit="s",
            width=6,
            thresholds=limit_lines(LATE_SECONDS),
        ),
        time_series(
            "Queue and its capacity",
            "Answers waiting to be scored; dashed: how many may wait. A queue that never empties: more answers are "
            "offered than can be scored.",
            Query(f"sum(fg_scoring_queue_depth{{{SERVICE}}})", "waiting"),
            Query(f"sum(fg_scoring_queue_capacity{{{SERVICE}}})", "capacity", True),
            unit="short",
            width=6,
        ),
        time_series(
            "Busy share",
            "Share of the scoring processes' time spent on scoring. Above the line, a burst overflows the queue.",
            Query(f"fg:scoring_busy_ratio:5m{{{SERVICE}}}", "5 minutes"),
            Query(f"fg:scoring_busy_ratio:1h{{{SERVICE}}}", "1 hour", True),
            unit="percentunit",
            width=6,
            thresholds=limit_lines(0.9),
            maximum=1,
        ),
        time_series(
            "Seconds of work per answer",
            "Work of a scoring process on one answer, over an hour. The number of processes divided by it is the "
            "number of answers that can be scored in a second. It grows with the length of answers and passages.",
            Query(
                share(
                    hourly("fg_scoring_busy_seconds_total", where=SERVICE),
                    hourly("fg_responses_scored_total", where=SERVICE),
                ),
                "one answer",
            ),
            unit="s",
            width=6,
        ),
    ],
)

_RELIABILITY = Row(
    "How reliable are the scores?",
    [
        bars(
            "Known false alarms",
            "Share of the segments that people left unmarked in held-out feedback and the reward model judges to be "
            "errors. It changes only with the reward models. If it is high, read the corrected ratio.",
            Query(latest("fg_scorer_false_alarm_ratio", "category", SERVICE), "{{category}}"),
            unit="percentunit",
            width=6,
            thresholds=lower_is_better(0.3, 0.5),
            maximum=1,
        ),
        bars(
            "Known misses",
            "Share of the segments that people marked in held-out feedback and the reward model does not judge to be "
            "errors. If it is high, there are more errors than are counted: read the corrected ratio.",
            Query(latest("fg_scorer_miss_ratio", "category", SERVICE), "{{category}}"),
            unit="percentunit",
            width=6,
            thresholds=lower_is_better(0.3, 0.5),
            maximum=1,
        ),
        bars(
            "Agreement with people",
            "Accuracy and macro-F1 on held-out feedback; for completeness, the share of pairs that are ordered as "
            "people order them. Near 0.5 a model guesses: collect feedback on that category, fit it again and compare.",
            Query(latest("fg_scorer_agreement_ratio", "category, statistic", SERVICE), "{{category}} {{statistic}}"),
            unit="percentunit",
            width=6,
            thresholds=higher_is_better(0.6, 0.7),
            maximum=1,
        ),
        time_series(
            "Agreement on live answers",
            "Krippendorff's alpha on the answers in the feedback store: of annotators with each other; dashed: of the "
            "reward models with them. 1 is perfect, 0 is chance. Models far below annotators: fit them on the new "
            "annotations. Annotators near 0: talk about examples.",
            Query(latest("fg_annotation_agreement_ratio", "category", SERVICE), "{{category}}, people"),
            Query(latest("fg_annotation_model_agreement_ratio", "category", SERVICE), "{{category}}, models", True),
            unit="none",
            width=6,
            height=7,
            minimum=None,
            maximum=1,
            nothing="no answer was annotated twice",
        ),
        bars(
            "Agreement on marked words",
            "F1 of the words that two annotators marked with a label, on the answers in the feedback store. A low "
            "value: annotators understand that label differently; talk about examples before you fit models on it.",
            Query(latest("fg_annotation_span_f1_ratio", "label", SERVICE), "{{label}}"),
            unit="percentunit",
            thresholds=higher_is_better(0.3, 0.5),
            maximum=1,
        ),
        time_series(
            "Answers unlike the annotated ones",
            "Share of scored answers unlike the reward models' training data, by profile, over an hour. If it rises, "
            "the figures beside are less reliable: have a sample annotated and fit the models again.",
            Query(
                share(
                    hourly("fg_out_of_domain_total", "profile", VERSION),
                    hourly("fg_responses_scored_total", "profile", VERSION),
                ),
                "{{profile}}",
            ),
            unit="percentunit",
            height=7,
            thresholds=limit_lines(0.5),
            maximum=1,
        ),
    ],
)

BOARD = Board(
    "fgctl-scoring",
    "fgctl: Scoring",
    "Coverage, losses and lag of online scoring, and how well people and the reward models agree.",
    [_STATE, _COVERAGE, _SPEED, _RELIABILITY, FEEDBACK_ROW],
)
