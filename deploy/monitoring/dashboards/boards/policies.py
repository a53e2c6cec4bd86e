"""Policies: which versions are served to whom, and whether a canary may replace its incumbent."""

from deploy.monitoring.alerts.distribution_shift import LARGE_SHIFT
from deploy.monitoring.budgets import BUDGETS
from deploy.monitoring.dashboards.boards.quality_change_rows import NOTABLE_SHIFT
from deploy.monitoring.dashboards.kit.board import Board, Row
from deploy.monitoring.dashboards.kit.panel_options import Query, lower_is_better
from deploy.monitoring.dashboards.kit.promql import CANARY, PROFILE, SERVICE, VERSION, hourly, in_range, latest, rate
from deploy.monitoring.dashboards.kit.series_panels import bars, number, time_series
from deploy.monitoring.dashboards.kit.table_panels import Column, grouped_bars, label_table
from policies.promotion.sequential import MARGIN, MIN_RESPONSES

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
    "Which versions are served?",
    [
        number(
            "Refused",
            "Profiles whose newest version, or canary, cannot be served, so an older version is. `GET /profiles` says "
            "why, `fgctl policies verify` which files are damaged.",
            Query(latest("fg_policy_refused", "profile", PROFILE), "{{profile}}"),
            unit="short",
            width=8,
            thresholds=((None, "green"), (1, "red")),
            value_names={"0": ("served", "green"), "1": ("refused", "red")},
        ),
        number(
            "Requests for weights",
            "Requests in the time range for weights instead of a profile, by what answered them: a policy trained for "
            "these weights, a mixture that the engine held, or one that was loaded first. Many mixtures: 'Weights "
            "served', below, says which weights deserve a trained policy.",
            Query(in_range("fg_weights_requests_total", "result", SERVICE), "{{result}}"),
            unit="short",
            width=12,
            decimals=0,
        ),
        number(
            "Mixtures built",
            "Mixtures computed and stored in the time range. Many at all times, not only after promotions: raise "
            "FGCTL_STORED_MIXTURES, or set a coarser FGCTL_WEIGHTS_GRID.",
            Query(in_range("fg_mixtures_built_total", where=SERVICE)),
            unit="short",
            decimals=0,
        ),
        label_table(
            "Versions",
            "Served versions: when each was promoted, its share of its profile's answers in the last hour, and the "
            "share of callers that a canary gets (0 for other versions). A version that you do not expect: "
            "`fgctl policies show`, then `rollback`.",
            ["profile", "policy"],
            Column("Promoted", f"{_PROMOTED} * 1000", "dateTimeAsIso"),
            Column("Share of answers", _SHARE, "percentunit"),
            Column("Canary share", f"{latest('fg_canary_share', _PAIR)} or 0 * {_PROMOTED}", "percentunit"),
            width=12,
        ),
        time_series(
            "Answers by version",
            "Answers per second. Blue marks are promotions: the new version takes over within seconds, and the old one "
            "only finishes what it has begun. Two versions of one profile at a time: a canary and its incumbent.",
            Query(rate("fg_requests_total", _PAIR, f'{VERSION}, outcome="ok"'), "{{profile}} {{policy}}"),
            unit="reqps",
            width=12,
            height=9,
            stacked=True,
        ),
        grouped_bars(
            "Weights of served versions",
            "The weights that each version was trained for; they sum to one. Profiles with similar weights give "
            "similar answers.",
            latest("fg_policy_weight", _JUDGED),
            row="profile",
            column="category",
            unit="percentunit",
            width=12,
            stacked=True,
        ),
        bars(
            "Weights served",
            "Requests in the time range, by the category that has over half of the served weight, or balanced. A "
            "region with many requests and no policy of its own deserves one: train an anchor there.",
            Query(in_range("fg_weights_region_total", "region", SERVICE), "{{region}}"),
            unit="short",
            width=12,
            height=8,
        ),
    ],
)


def _difference(category: str) -> tuple[Query, Query, Query]:
    where = f'{CANARY}, category="{category}"'
    difference, radius = f"fg:canary_difference{{{where}}}", f"fg:canary_radius{{{where}}}"
    name = "{{profile}} {{canary}}"
    return (
        Query(difference, name),
        Query(f"{difference} - {radius}", f"{name} at least", True),
        Query(f"{difference} + {radius}", f"{name} at most", True),
    )


_CANARIES = Row(
    "May the canary replace its incumbent?",
    [
        label_table(
            "Verdict",
            "The test's result so far; you may look at it as often as you like. Worse: end the canary "
            "(`fgctl policies canary PROFILE --end`). No worse: in every category the canary is worse by less than "
            f"{MARGIN:g}, if at all, so it may be promoted. Undecided: wait.",
            ["profile", "canary", "verdict"],
            Column("holds", f"max by (profile, canary, verdict) (fg:canary_verdict{{{CANARY}}}) == 1", "short"),
            width=12,
            height=7,
            value_names=_VERDICTS,
            nothing=_NO_CANARY,
        ),
        time_series(
            "Responses compared",
            f"Scored responses of the canary and of its incumbent since the canary began. Before both have "
            f"{MIN_RESPONSES} there is no verdict. If the canary's number does not grow, no caller gets it: check its "
            "share.",
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
                "95 % confidence sequence, which hold at all times together. Both bounds above 0: the canary is worse. "
                f"The upper bound below {MARGIN:g} in all categories: it is no worse. The bounds narrow as responses "
                "arrive.",
                *_difference(category),
                unit="percentunit",
                thresholds=((None, "transparent"), (0, "text"), (MARGIN, "red")),
                minimum=None,
                nothing=_NO_CANARY,
            )
            for category in BUDGETS
        ),
    ],
)

_EVALUATED = Row(
    "How were they evaluated?",
    [
        label_table(
            "Offline baselines",
            "The results of `fgctl evaluate --sampled --record` for each served version, and the last hour. A version "
            "without a row was never evaluated, so its drift and shifts are unknown and their alerts cannot fire. Few "
            "responses: the baseline itself is uncertain.",
            ["profile", "policy", "category"],
            Column("Offline error ratio", _BASELINE, "percentunit"),
            Column("Responses", _RESPONSES, "short"),
            Column("Segments", f"fg:baseline_segments{{{VERSION}}}", "short"),
            Column("Online error ratio", f"fg:error_ratio:1h{{{VERSION}}}", "percentunit"),
            Column(
                "Score shift",
                f"fg:score_shift_psi:6h{{{VERSION}}}",
                "short",
                lower_is_better(NOTABLE_SHIFT, LARGE_SHIFT),
            ),
        ),
    ],
)

BOARD = Board(
    "fgctl-policies",
    "fgctl: Policies",
    "Which versions are served, to whom and since when; canaries; and how each version was evaluated.",
    [_SERVED, _CANARIES, _EVALUATED],
)
