"""Rows of Quality: how the answers are, apart from their errors, and whether they or the questions have changed."""

from deploy.monitoring.alerts.quality import LARGE_SHIFT
from deploy.monitoring.dashboards.kit.board import Row
from deploy.monitoring.dashboards.kit.expressions import VERSION, hourly, mean, quantile, share
from deploy.monitoring.dashboards.kit.panel_parts import Query, limits
from deploy.monitoring.dashboards.kit.series_panels import time_series
from deploy.monitoring.dashboards.kit.table_panels import Column, side_by_side
from rewards.categories import BUILT_IN

NOTABLE_SHIFT = 0.1
"""A population stability index that is usually called a small shift."""

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
            "Median over an hour, and the 95th percentile, dashed. Longer answers have more segments to err in; a "
            "change without a promotion: other questions, or an engine that stops elsewhere.",
            Query(quantile(0.5, "fg_answer_words", "profile, policy", VERSION, "1h"), _NAMED),
            Query(quantile(0.95, "fg_answer_words", "profile, policy", VERSION, "1h"), f"{_NAMED} 95 %", True),
            unit="short",
            width=6,
        ),
        time_series(
            "Repetition",
            "Share of four-word sequences that an answer had said before, mean over an hour. When it rises, the "
            "version degenerates: compare it with its evaluation (`fgctl policies show`) and roll back.",
            Query(mean("fg_answer_repetition", "profile, policy"), _NAMED),
            unit="percentunit",
            width=6,
            thresholds=limits(0.2),
        ),
        time_series(
            "Truncated answers",
            "Share of completions that ended at their token limit, over an hour. When it rises, answers end in "
            "mid-sentence: raise the profile's max_tokens, or roll back a version that does not come to an end.",
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
            "Declined",
            "Share of scored answers that decline to answer, over an hour. A rise with clean error ratios is no good "
            "news: who says nothing cannot err. Look at the passages that come with the questions.",
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
    """Segments by error probability, online over six hours and in the evaluation of the versions chosen."""
    where = f'{VERSION}, category="{category}"'
    counted = f"fg:score_bin:increase6h{{{where}}}"
    online = f"sum by (bin) ({counted}) / on () group_left () sum({counted})"
    return (
        Column("online", online, "percentunit"),
        Column("offline", f"avg by (bin) (fg_baseline_score_ratio{{{where}}})", "percentunit"),
    )


_CHANGE = Row(
    "Has it changed?",
    [
        time_series(
            "Shift of the scores beyond chance",
            "Population stability index of the error probabilities over six hours against the version's offline "
            f"evaluation, less what chance alone would give. Above {NOTABLE_SHIFT} something moved, above "
            f"{LARGE_SHIFT} much did: the bars below say in which direction.",
            Query(_BEYOND_CHANCE, "{{category}} " + _NAMED),
            unit="short",
            width=12,
            minimum=None,
            thresholds=limits(NOTABLE_SHIFT, LARGE_SHIFT),
        ),
        time_series(
            "Shift of the inputs beyond chance",
            "The same of what is asked: words of the question, number and words of the passages, language. When "
            "inputs moved and scores did too, users ask something else: evaluate on such questions before you "
            "compare versions. When only the scores moved, the policy or the engine did.",
            Query(
                f"fg:input_shift_psi:6h{{{VERSION}}} - on (profile, policy, input) "
                f"fg:input_shift_chance:6h{{{VERSION}}}",
                "{{input}} " + _NAMED,
            ),
            unit="short",
            width=12,
            minimum=None,
            thresholds=limits(NOTABLE_SHIFT, LARGE_SHIFT),
        ),
        *(
            side_by_side(
                f"Error probabilities: {category}",
                f"Share of segments by error probability for {category}, online over six hours beside the offline "
                "evaluation; a bin is named by its lower edge. Choose one version above: of several, this is the "
                "mean. More on the right than offline: worse; more in the middle: the reward model is less sure.",
                "bin",
                *_bins_of(category),
                unit="percentunit",
            )
            for category in BUILT_IN
        ),
    ],
)

ROWS = (_STYLE, _CHANGE)
