"""Policies: what is served to whom, and whether a canary may replace its incumbent."""

from deploy.monitoring.alerts.quality import LARGE_SHIFT
from deploy.monitoring.dashboards.boards.quality_shift_rows import NOTABLE_SHIFT
from deploy.monitoring.dashboards.kit.board import Board, Row
from deploy.monitoring.dashboards.kit.expressions import CANARY, PROFILE, VERSION, hourly, in_range, latest, rate
from deploy.monitoring.dashboards.kit.panel_parts import Query, rising
from deploy.monitoring.dashboards.kit.series_panels import bars, number, time_series
from deploy.monitoring.dashboards.kit.table_panels import Column, matrix, rows_of
from policies.sequential import MARGIN, MIN_RESPONSES
from rewards.categories import BUILT_IN

_PAIR = "profile, policy"
_JUDGED = "profile, policy, category"
_NO_CANARY = "No canary is running"
_PROMOTED = latest("fg_policy_promoted_timestamp_seconds", _PAIR)
_ANSWERS = hourly("fg_requests_total", _PAIR, f'{VERSION}, outcome="ok"')
_OF_PROFILE = hourly("fg_requests_total", "profile", f'{VERSION}, outcome="ok"')
_SHARE = f"{_ANSWERS} / on (profile) group_left () {_OF_PROFILE}"
_BASELINE = f"fg:baseline_error_ratio{{{VERSION}}}"
_RESPONSES = f"0 * {_BASELINE} + on ({_PAIR}) group_left () fg:baseline_responses{{{VERSION}}}"
_VERDICTS = {"worse": ("worse", "red"), "no_worse": ("no worse", "green"), "undecided": ("undecided", "blue")}

_SERVED = Row(
    "What is served?",
    [
        number(
            "Refused",
            "1 while a profile's newest version, or its canary, cannot be served and an older one stands in. "
            "`GET /profiles` says why, `fgctl policies verify` what is broken.",
            Query(latest("fg_policy_refused", "profile", PROFILE), "{{profile}}"),
            unit="short",
            width=8,
            thresholds=((None, "green"), (1, "red")),
            words={"0": ("served", "green"), "1": ("refused", "red")},
        ),
        number(
            "Asked for by weights",
            "Requests in the time range that named weights rather than a profile, by what answered them: a policy "
            "trained for them, a mixture that the engine held, or one that was loaded first. Many for mixtures: their "
            "weights, below, say where a policy of their own would pay.",
            Query(in_range("fg_weights_requests_total", "result", ""), "{{result}}"),
            unit="short",
            width=12,
            decimals=0,
        ),
        number(
            "Mixtures built",
            "Mixtures computed and stored in the time range. Many, again and again, after no promotion: raise "
            "FGCTL_STORED_MIXTURES, or choose a coarser FGCTL_WEIGHTS_GRID.",
            Query(in_range("fg_mixtures_built_total", where="")),
            unit="short",
            decimals=0,
        ),
        rows_of(
            "Versions",
            "Served versions: when each was promoted, which part of its profile's answers of the last hour it gave, "
            "and the share of callers that a canary was given (0 for who is none). A version that you do not expect: "
            "`fgctl policies show`, then `rollback`.",
            ["profile", "policy"],
            Column("Promoted", f"{_PROMOTED} * 1000", "dateTimeAsIso"),
            Column("Share of answers", _SHARE, "percentunit"),
            Column("Canary share", f"{latest('fg_canary_share', _PAIR)} or 0 * {_PROMOTED}", "percentunit"),
            width=12,
        ),
        time_series(
            "Answers by version",
            "Answers per second. Blue marks are promotions: the new version takes over within seconds, and the old "
            "one only ends what it had begun. Two versions of a profile side by side are a canary and its incumbent.",
            Query(rate("fg_requests_total", _PAIR, f'{VERSION}, outcome="ok"'), "{{profile}} {{policy}}"),
            unit="reqps",
            width=12,
            height=9,
            stacked=True,
        ),
        matrix(
            "Weights of served versions",
            "What each version was trained for; they sum to one. Profiles whose weights lie close together answer "
            "alike.",
            latest("fg_policy_weight", _JUDGED),
            row="profile",
            column="category",
            unit="percentunit",
            width=12,
            stacked=True,
        ),
        bars(
            "Weights served",
            "Requests in the time range by the category that has over half of the weight served, else balanced. "
            "A region that is asked for often and has no policy of its own deserves one: train an anchor there.",
            Query(in_range("fg_weights_region_total", "region", ""), "{{region}}"),
            unit="short",
            width=12,
            height=8,
        ),
    ],
)


def _difference(category: str) -> tuple[Query, Query, Query]:
    where = f'{CANARY}, category="{category}"'
    difference, radius = f"fg:canary_difference{{{where}}}", f"fg:canary_radius{{{where}}}"
    named = "{{profile}} {{canary}}"
    return (
        Query(difference, named),
        Query(f"{difference} - {radius}", f"{named} at least", True),
        Query(f"{difference} + {radius}", f"{named} at most", True),
    )


_CANARIES = Row(
    "May the canary replace its incumbent?",
    [
        rows_of(
            "Verdict",
            "What may be concluded by now; it may be looked at as often as you like. Worse: end the canary "
            "(`fgctl policies canary PROFILE --end`). No worse: in every category by less than "
            f"{MARGIN:g} at most, so it may be promoted. Undecided: wait.",
            ["profile", "canary", "verdict"],
            Column("holds", f"max by (profile, canary, verdict) (fg:canary_verdict{{{CANARY}}}) == 1", "short"),
            width=12,
            height=7,
            words=_VERDICTS,
            nothing=_NO_CANARY,
        ),
        time_series(
            "Responses compared",
            f"Scored responses of the canary and of its incumbent since the canary began; under {MIN_RESPONSES} in "
            "one of them there is no verdict. When the canary's stand still, nobody is sent to it: look at its share.",
            Query(f"fg:canary_responses{{{CANARY}}}", "{{profile}} {{canary}}: {{arm}}"),
            unit="short",
            width=12,
            height=7,
            thresholds=((None, "transparent"), (MIN_RESPONSES, "green")),
            nothing=_NO_CANARY,
        ),
        *(
            time_series(
                f"Difference in {category}",
                f"Mean error probability of the canary for {category} less its incumbent's; dashed: the bounds of a "
                "95 % confidence sequence, which hold at all times at once. Both bounds above 0: the canary is "
                f"worse. The upper one under {MARGIN:g}, in all categories: it is no worse. The bounds close in as "
                "responses come.",
                *_difference(category),
                unit="percentunit",
                thresholds=((None, "transparent"), (0, "text"), (MARGIN, "red")),
                minimum=None,
                nothing=_NO_CANARY,
            )
            for category in BUILT_IN
        ),
    ],
)

_EVALUATED = Row(
    "What was expected of them?",
    [
        rows_of(
            "Offline baselines",
            "What `fgctl evaluate --sampled --record` found for each served version, and the last hour beside it. A "
            "version without a line was never evaluated: its shifts and its alerts have nothing to compare with. Few "
            "responses: its baseline is uncertain itself.",
            ["profile", "policy", "category"],
            Column("Offline error ratio", _BASELINE, "percentunit"),
            Column("Responses", _RESPONSES, "short"),
            Column("Segments", f"fg:baseline_segments{{{VERSION}}}", "short"),
            Column("Online error ratio", f"fg:error_ratio:1h{{{VERSION}}}", "percentunit"),
            Column("Score shift", f"fg:score_shift_psi:6h{{{VERSION}}}", "short", rising(NOTABLE_SHIFT, LARGE_SHIFT)),
        ),
    ],
)

BOARD = Board(
    "fgctl-policies",
    "fgctl: Policies",
    "Which versions are served, to whom and since when; canaries; and what was expected of each version.",
    [_SERVED, _CANARIES, _EVALUATED],
)
