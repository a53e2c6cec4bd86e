"""Scoring: whether every answer that should be is scored, soon enough, and whether the scores can be believed."""

from deploy.monitoring.alerts.scoring import LATE_SECONDS, NEVER_SCORED, SILENCE
from deploy.monitoring.dashboards.kit.board import Board, Row
from deploy.monitoring.dashboards.kit.expressions import (
    PROFILE,
    VERSION,
    hourly,
    in_range,
    latest,
    quantile,
    rate,
    share,
)
from deploy.monitoring.dashboards.kit.panel_parts import Query, falling, limits, rising
from deploy.monitoring.dashboards.kit.series_panels import bars, number, time_series
from deploy.monitoring.dashboards.kit.table_panels import Column, rows_of

_OFFERED = in_range("fg_scoring_offered_total", "profile", PROFILE)
_SCORED = in_range("fg_responses_scored_total", "profile", PROFILE)


_LOST = in_range("fg_scoring_dropped_total", "profile", f'{PROFILE}, reason!~"{NEVER_SCORED}"')


def _left_out(reason: str) -> str:
    return in_range("fg_scoring_dropped_total", "profile", f'{PROFILE}, reason="{reason}"')


_STATE = Row(
    "Does scoring keep up?",
    [
        number(
            "Since the last score",
            "Seconds since any replica last scored a response. Rising while answers are given: scoring has "
            "fallen silent, and every error ratio is old. See the runbook.",
            Query("time() - max(fg_last_score_timestamp_seconds > 0)"),
            unit="s",
            thresholds=rising(SILENCE / 2, SILENCE),
        ),
        number(
            "Queue",
            "Responses that wait to be scored, as a share of what may wait. Full: further answers are dropped, see "
            "'Dropped by reason'.",
            Query("sum(fg_scoring_queue_depth) / sum(fg_scoring_queue_capacity)"),
            unit="percentunit",
            thresholds=rising(0.5, 0.8),
        ),
        number(
            "Busy",
            "Share of the scoring processes' time that is spent on scoring, over 5 minutes. Near 1 there is no room: "
            "lower FGCTL_SCORING_SHARE before the queue overflows.",
            Query("fg:scoring_busy_ratio:5m"),
            unit="percentunit",
            thresholds=rising(0.7, 0.9),
        ),
        number(
            "Lag",
            "Seconds from last token to scores within which 95 % are scored. Above a minute what you see is late; "
            "a lower share, or more replicas.",
            Query(quantile(0.95, "fg_scoring_lag_seconds", where="", window="5m")),
            unit="s",
            thresholds=rising(LATE_SECONDS / 2, LATE_SECONDS),
        ),
        number(
            "Coverage",
            "Share of offered answers that were scored in the last hour, by profile. It should be near the profile's "
            "own share, below; lower means that answers are lost.",
            Query(f"fg:scoring_coverage:1h{{{PROFILE}}}", "{{profile}}"),
            unit="percentunit",
            width=8,
        ),
    ],
)

_COVERAGE = Row(
    "Which answers are scored, and which are not?",
    [
        rows_of(
            "Where answers went",
            "The time range, by profile: offered = scored + sampled out + without passages + lost + what waits. "
            "'Sampled out' is meant (FGCTL_SCORING_SHARE); 'Lost' is not, and should be zero.",
            ["profile"],
            Column("Offered", _OFFERED, "short"),
            Column("Scored", _SCORED, "short"),
            Column("Sampled out", _left_out("sampled_out"), "short"),
            Column("Without passages", _left_out("no_passages"), "short"),
            Column("Lost", _LOST, "short", rising(1, 10)),
            Column("Share to be scored", latest("fg_scoring_share", "profile", PROFILE), "percentunit"),
            width=16,
        ),
        time_series(
            "Dropped by reason",
            "Answers per second that were never scored. `queue_full`: more than can be scored, lower the share. "
            "`timeout`, `failed`, `worker_died`: read the log. `no_passages` and `sampled_out` are normal.",
            Query(rate("fg_scoring_dropped_total", "reason", PROFILE), "{{reason}}"),
            unit="reqps",
            height=9,
            stacked=True,
        ),
        time_series(
            "Offered and scored",
            "Answers per second. The gap between the two is dropped or waits.",
            Query(rate("fg_scoring_offered_total", where=PROFILE), "offered"),
            Query(rate("fg_responses_scored_total", where=PROFILE), "scored"),
            unit="reqps",
        ),
        time_series(
            "Dropped by profile",
            "Answers per second lost to a full queue, a timeout or a failure. Under too much load all profiles lose "
            "alike, by their share of the traffic; one that loses alone has answers that cannot be scored.",
            Query(
                rate(
                    "fg_scoring_dropped_total",
                    "profile",
                    f'{PROFILE}, reason!~"{NEVER_SCORED}"',
                ),
                "{{profile}}",
            ),
            unit="reqps",
            stacked=True,
        ),
        time_series(
            "Coverage by profile",
            "Share of offered answers that were scored over 30 minutes, and dashed the share that was to be. A fall "
            "below it in one profile: its error ratios rest on fewer answers, and perhaps on the easier ones.",
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
            "Seconds. A rise without more traffic: answers got longer, or the machine is busy with something else.",
            Query(quantile(0.5, "fg_scoring_lag_seconds", where=""), "half within"),
            Query(quantile(0.95, "fg_scoring_lag_seconds", where=""), "95 % within"),
            Query(quantile(0.99, "fg_scoring_lag_seconds", where=""), "99 % within"),
            unit="s",
            width=6,
            thresholds=limits(LATE_SECONDS),
        ),
        time_series(
            "Queue against its capacity",
            "Responses that wait to be scored, and dashed how many may. A queue that never empties: more is offered "
            "than can be scored.",
            Query("sum(fg_scoring_queue_depth)", "waiting"),
            Query("sum(fg_scoring_queue_capacity)", "capacity", True),
            unit="short",
            width=6,
        ),
        time_series(
            "Busy share",
            "Share of the scoring processes' time spent on scoring. Above the line a burst overflows the queue.",
            Query("fg:scoring_busy_ratio:5m", "5 minutes"),
            Query("fg:scoring_busy_ratio:1h", "1 hour", True),
            unit="percentunit",
            width=6,
            thresholds=limits(0.9),
            maximum=1,
        ),
        time_series(
            "Seconds of work for a response",
            "Work of a scoring process for one response, over an hour. Its inverse times the processes is what can "
            "be scored in a second. It grows with the answers' length and the passages.",
            Query(
                share(hourly("fg_scoring_busy_seconds_total", where=""), hourly("fg_responses_scored_total", where="")),
                "one response",
            ),
            unit="s",
            width=6,
        ),
    ],
)

_BELIEF = Row(
    "Can the scores be believed?",
    [
        bars(
            "Known false alarms",
            "Share of the segments that people left unmarked and the reward model judges errors, on held-out "
            "feedback. It changes only with new reward models. High: read the corrected ratio.",
            Query(latest("fg_scorer_false_alarm_ratio", "category", ""), "{{category}}"),
            unit="percentunit",
            width=6,
            thresholds=rising(0.3, 0.5),
            maximum=1,
        ),
        bars(
            "Known misses",
            "Share of the segments that people marked and the reward model does not judge errors, on held-out "
            "feedback. High: more errors pass than are counted.",
            Query(latest("fg_scorer_miss_ratio", "category", ""), "{{category}}"),
            unit="percentunit",
            width=6,
            thresholds=rising(0.3, 0.5),
            maximum=1,
        ),
        bars(
            "Agreement with people",
            "Accuracy and macro-F1 on held-out feedback, for completeness the pairs put in people's order. Near 0.5 "
            "a model is no better than a coin: collect feedback on that category, fit, compare.",
            Query(latest("fg_scorer_agreement_ratio", "category, statistic", ""), "{{category}} {{statistic}}"),
            unit="percentunit",
            width=6,
            thresholds=falling(0.6, 0.7),
            maximum=1,
        ),
        time_series(
            "Agreement on live answers",
            "Krippendorff's alpha on the answers in the feedback store: of people with each other, and dashed of the "
            "reward models with people. 1 is perfect, 0 chance. Models far below people: fit them on the new "
            "annotations. People near 0: talk about examples.",
            Query(latest("fg_annotation_agreement_ratio", "category", ""), "{{category}}, people"),
            Query(latest("fg_annotation_model_agreement_ratio", "category", ""), "{{category}}, models", True),
            unit="none",
            width=6,
            height=7,
            minimum=None,
            maximum=1,
            nothing="nothing was annotated twice",
        ),
        bars(
            "Words that people mark alike",
            "F1 of the words that two people marked with a label, on the answers in the feedback store. Low for one "
            "label: annotators understand it differently; talk about examples before models are fitted on it.",
            Query(latest("fg_annotation_span_f1_ratio", "label", ""), "{{label}}"),
            unit="percentunit",
            thresholds=falling(0.3, 0.5),
            maximum=1,
        ),
        time_series(
            "Answers unlike the annotated ones",
            "Share of scored answers unlike what the reward models were fitted on, by profile, over an hour. When it "
            "rises, the figures beside hold less: have a sample annotated and fit the models again.",
            Query(
                share(
                    hourly("fg_out_of_domain_total", "profile", VERSION),
                    hourly("fg_responses_scored_total", "profile", VERSION),
                ),
                "{{profile}}",
            ),
            unit="percentunit",
            height=7,
            thresholds=limits(0.5),
            maximum=1,
        ),
        time_series(
            "Lost before the feedback store",
            "Answers and scores in an hour that never reached the store, by reason. It should be zero. `queue_full`: "
            "the store fails or is too slow; `failed`: read the log; `stopped`: the service ended before it wrote "
            "them. See the runbook.",
            Query(hourly("fg_feedback_lost_total", "kind, reason", ""), "{{kind}}, {{reason}}"),
            unit="short",
            height=7,
            nothing="no feedback store",
        ),
    ],
)

BOARD = Board(
    "fgctl-scoring",
    "fgctl: Scoring",
    "Coverage, loss and lag of online scoring, and how well people and the reward models agree.",
    [_STATE, _COVERAGE, _SPEED, _BELIEF],
)
