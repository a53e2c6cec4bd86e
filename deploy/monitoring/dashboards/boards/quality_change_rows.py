"""Rows of Quality: the style of answers, and whether scores or inputs have shifted."""

from deploy.monitoring.alerts.distribution_shift import LARGE_SHIFT
from deploy.monitoring.budgets import BUDGETS
from deploy.monitoring.dashboards.kit.board import Row
from deploy.monitoring.dashboards.kit.panel_options import Query, limit_lines
from deploy.monitoring.dashboards.kit.promql import VERSION, hourly, mean, quantile, share
from deploy.monitoring.dashboards.kit.series_panels import time_series
from deploy.monitoring.dashboards.kit.table_panels import Column, paired_bars

NOTABLE_SHIFT = 0.1
"""A population stability index above this is customarily called a small shift."""

_NAMED = "{{profile}} {{policy}}"
_BEYOND_CHANCE = (
    f"fg:score_shift_psi:6h{{{VERSION}}} - on (profile, policy, category) "
    f"fg:score_shift_chance:6h{{{VERSION}}} * on (profile, policy, category) fg:design_effect{{{VERSION}}}"
)

_STYLE = Row(
    "How does it answer?",
    [
        time_series(
            "Words of an answer",
            "Median over an hour; dashed: the 95th percentile. Longer answers have more segments, so more errors. A "
            "change without a promotion: the questions have changed, or where the engine stops.",
            Query(quantile(0.5, "fg_answer_words", "profile, policy", VERSION, "1h"), _NAMED),
            Query(quantile(0.95, "fg_answer_words", "profile, policy", VERSION, "1h"), f"{_NAMED} 95 %", True),
            unit="short",
            width=6,
        ),
        time_series(
            "Repetition",
            "Share of four-word sequences that occurred before in the same answer, mean over an hour. A rise: answers "
            "loop; compare with the version's evaluation (`fgctl policies show`) and roll back.",
            Query(mean("fg_answer_repetition", "profile, policy"), _NAMED),
            unit="percentunit",
            width=6,
            thresholds=limit_lines(0.2),
        ),
        time_series(
            "Truncated answers",
            "Share of completions that ended at their token limit, over an hour. A rise: answers end in mid-sentence; "
            "raise the profile's max_tokens, or roll back a version that does not stop.",
            Query(
                share(
                    hourly("fg_finished_total", "profile, policy", f'{VERSION}, reason="length"'),
                    hourly("fg_finished_total", "profile, policy"),
                ),
                _NAMED,
            ),
            unit="percentunit",
            width=6,
            maximum=1,
        ),
        time_series(
            "Declined answers",
            "Share of scored answers that decline to answer, over an hour. Such answers lower the error ratios without "
            "helping anybody. A rise: look at the passages that come with the questions.",
            Query(
                share(
                    hourly("fg_declined_answers_total", "profile, policy"),
                    hourly("fg_responses_scored_total", "profile, policy"),
                ),
                _NAMED,
            ),
            unit="percentunit",
            width=6,
            maximum=1,
        ),
    ],
)


def _bins_of(category: str) -> tuple[Column, Column]:
    """Segments by error probability: online over six hours, and in the evaluation of the selected versions."""
    where = f'{VERSION}, category="{category}"'
    counts = f"fg:score_bin:increase6h{{{where}}}"
    online = f"sum by (bin) ({counts}) / on () group_left () sum({counts})"
    return (
        Column("online", online, "percentunit"),
        Column("offline", f"avg by (bin) (fg_baseline_score_ratio{{{where}}})", "percentunit"),
    )


_SHIFT = Row(
    "Has it changed?",
    [
        time_series(
            "Shift of the scores beyond chance",
            "Population stability index of the error probabilities over six hours against the version's offline "
            f"evaluation, less its value by chance. Above {NOTABLE_SHIFT} is a shift, above {LARGE_SHIFT} a large one: "
            "the bars below show its direction.",
            Query(_BEYOND_CHANCE, "{{category}} " + _NAMED),
            unit="short",
            width=12,
            minimum=None,
            thresholds=limit_lines(NOTABLE_SHIFT, LARGE_SHIFT),
        ),
        time_series(
            "Shift of the inputs beyond chance",
            "The same for requests: words of the question, number and words of the passages, language. If both inputs "
            "and scores have shifted, users ask different questions: evaluate on such questions before you compare "
            "versions. If only the scores have, the policy or the engine has changed.",
            Query(
                f"fg:input_shift_psi:6h{{{VERSION}}} - on (profile, policy, input) "
                f"fg:input_shift_chance:6h{{{VERSION}}}",
                "{{input}} " + _NAMED,
            ),
            unit="short",
            width=12,
            minimum=None,
            thresholds=limit_lines(NOTABLE_SHIFT, LARGE_SHIFT),
        ),
        *(
            paired_bars(
                f"Error probabilities: {category}",
                f"Share of segments by error probability for {category}, online over six hours and in the offline "
                "evaluation; a bin is named by its lower edge. Select one version above: for several, this is their "
                "mean. More on the right than offline: worse; more in the middle: the reward model is less certain.",
                "bin",
                *_bins_of(category),
                unit="percentunit",
            )
            for category in BUDGETS
        ),
    ],
)

CHANGE_ROWS = (_STYLE, _SHIFT)
