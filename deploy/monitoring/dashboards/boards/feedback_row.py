"""The row of Scoring on feedback: how much there is, what is left, and what people say about each version."""

from deploy.monitoring.dashboards.kit.board import Row
from deploy.monitoring.dashboards.kit.panel_options import Query
from deploy.monitoring.dashboards.kit.promql import SERVICE, VERSION, hourly, latest
from deploy.monitoring.dashboards.kit.series_panels import bars, number, time_series
from deploy.monitoring.dashboards.kit.table_panels import Column, label_table

_PAIR = "profile, policy"
_NO_STORE = "no feedback store"


def _thumbs(which: str) -> str:
    return latest("fg_feedback_thumbs", _PAIR, f'{VERSION}, thumb="{which}"')


def _compared(*results: str) -> str:
    """How many comparisons of a version had one of these results."""
    where = f'{VERSION}, result=~"{"|".join(results)}"'
    return f"sum by ({_PAIR}) ({latest('fg_feedback_comparisons', f'{_PAIR}, result', where)})"


WIN_RATE = f"({_compared('win')} + 0.5 * {_compared('tie')}) / ({_compared('win', 'loss', 'tie')} > 0)"
"""Of a version's comparisons, the share that it won; a tie is half a win."""

FEEDBACK_ROW = Row(
    "What do people say?",
    [
        number(
            "Left to annotate",
            "Answers in the store that can be annotated and that nobody has annotated. If it grows all the time, let "
            "people begin with the most uncertain ones: nobody can annotate everything.",
            Query(f"max(fg_feedback_left{{{SERVICE}}})"),
            unit="short",
            height=8,
            decimals=0,
            nothing=_NO_STORE,
        ),
        time_series(
            "Submissions a day",
            "Feedback submitted in the last 24 hours: annotations, comparisons, and quick feedback from applications. "
            "Zero on a working day: ask the annotators, and look for refusals in the log.",
            Query(f"sum by (kind) (increase(fg_feedback_submissions_total{{{SERVICE}}}[1d]))", "{{kind}}"),
            unit="short",
            width=10,
            stacked=True,
            nothing=_NO_STORE,
        ),
        bars(
            "Skips by reason",
            "Answers and pairs that people skipped. Many with broken passages or a senseless question: look at what "
            "the application sends. Many that cannot be judged: explain the task, or choose people who know the field.",
            Query(latest("fg_feedback_skips", "kind, reason", SERVICE), "{{kind}}: {{reason}}"),
            unit="short",
            width=10,
            height=8,
        ),
        label_table(
            "Thumbs and comparisons by version",
            "The latest thumb of each caller on each answer, and the latest choice of each person on each pair. Win "
            "rate: the share of comparisons that the version won, a tie counting half; with fewer than about 30 it "
            "says little. A version that people like less than the one before: read its answers, then roll back.",
            ["profile", "policy"],
            Column("Thumbs up", _thumbs("up"), "short"),
            Column("Thumbs down", _thumbs("down"), "short"),
            Column("Comparisons", _compared("win", "loss", "tie"), "short"),
            Column("Win rate", WIN_RATE, "percentunit"),
            width=16,
            height=8,
            nothing="nobody has given a thumb or compared answers",
        ),
        time_series(
            "Lost before the feedback store",
            "Answers and scores in the last hour that never reached the store, by reason. It should be zero. "
            "`queue_full`: the store fails or is too slow; `failed`: read the log; `stopped`: the service ended before "
            "it wrote them. See the runbook.",
            Query(hourly("fg_feedback_lost_total", "kind, reason", SERVICE), "{{kind}}, {{reason}}"),
            unit="short",
            nothing="no feedback store",
        ),
    ],
)
