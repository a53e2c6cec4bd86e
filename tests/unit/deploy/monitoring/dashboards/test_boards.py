"""The dashboards' files, checked without a Grafana."""

import json
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from deploy.monitoring.alerts.alert_groups import all_alerts
from deploy.monitoring.budgets import BUDGETS, PROFILE_ERROR_RATIOS, budget_of
from deploy.monitoring.dashboards.dashboard_files import BOARDS, FOLDER, dashboard_files
from deploy.monitoring.dashboards.kit.board import TAG
from deploy.monitoring.lookback_windows import Timing

ROOT = Path(__file__).parents[5]
GRAFANA = ROOT / "deploy/grafana"
DASHBOARDS = {path.stem: json.loads(content) for path, content in dashboard_files().items()}
UIDS = ("fgctl-quality", "fgctl-policies", "fgctl-serving", "fgctl-scoring")


def panels(uid):
    return [panel for panel in DASHBOARDS[uid]["panels"] if panel["type"] != "row"]


def panel(uid, title):
    return next(panel for panel in panels(uid) if panel["title"] == title)


def thresholds_by_name(panel):
    return {
        override["matcher"]["options"]: [step["value"] for step in setting["value"]["steps"]]
        for override in panel["fieldConfig"]["overrides"]
        for setting in override["properties"]
        if setting["id"] == "thresholds"
    }


def datasources(node):
    if isinstance(node, dict):
        if "datasource" in node:
            yield node["datasource"]
        for value in node.values():
            yield from datasources(value)
    elif isinstance(node, list):
        for value in node:
            yield from datasources(value)


def test_committed_files_are_those_that_the_code_generates():
    assert {path: (ROOT / path).read_text(encoding="utf-8") for path in dashboard_files()} == dashboard_files()
    assert {path.relative_to(ROOT) for path in (ROOT / FOLDER).iterdir()} == set(dashboard_files())


def test_alerts_and_links_find_the_dashboards():
    assert tuple(DASHBOARDS) == UIDS
    assert [dashboard["uid"] for dashboard in DASHBOARDS.values()] == list(UIDS)
    assert len({board.title for board in BOARDS}) == len(BOARDS)
    for alert in all_alerts(Timing()):
        assert alert.dashboard in UIDS
        assert set(alert.dashboard_variables) <= {
            variable["name"] for variable in DASHBOARDS[alert.dashboard]["templating"]["list"]
        }


@pytest.mark.parametrize("uid", UIDS)
def test_panels_have_unique_ids_titles_and_query_names(uid):
    everything = DASHBOARDS[uid]["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)
    for panel in panels(uid):
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


@pytest.mark.parametrize("uid", UIDS)
def test_panels_do_not_overlap_on_the_grid(uid):
    cells = []
    for place in (panel["gridPos"] for panel in DASHBOARDS[uid]["panels"]):
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        cells.append(
            {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
        )
    assert not any(first & second for first, second in combinations(cells, 2))
    lines = {y for covered in cells for _, y in covered}
    assert lines == set(range(max(lines) + 1)), "there is a gap between rows"


@pytest.mark.parametrize("uid", UIDS)
def test_panels_have_a_description_and_a_unit(uid):
    descriptions = [panel["description"] for panel in panels(uid)]
    assert len(set(descriptions)) == len(descriptions)
    for panel in panels(uid):
        assert panel["description"].count(".") >= 2, f"{panel['title']}: what it shows, and what to do"
        assert panel["fieldConfig"]["defaults"]["unit"]
        for override in panel["fieldConfig"]["overrides"]:
            assert override["properties"]


@pytest.mark.parametrize("uid", UIDS)
def test_every_column_of_a_table_has_a_name_and_a_unit(uid):
    for panel in panels(uid):
        if panel["type"] == "table":
            organize = next(step["options"] for step in panel["transformations"] if step["id"] == "organize")
            with_unit = {
                override["matcher"]["options"]
                for override in panel["fieldConfig"]["overrides"]
                if any(setting["id"] == "unit" for setting in override["properties"])
            }
            assert len(organize["renameByName"]) == len(panel["targets"])
            assert set(organize["renameByName"].values()) == with_unit


@pytest.mark.parametrize("uid", UIDS)
def test_every_data_source_is_the_selected_one(uid):
    sources = list(datasources(DASHBOARDS[uid]))
    assert len(sources) > 2 * len(panels(uid))
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


@pytest.mark.parametrize("uid", UIDS)
def test_variables_are_for_the_data_source_profiles_and_their_versions(uid):
    source, namespace, job, profile, policy = DASHBOARDS[uid]["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    for variable in (profile, policy):
        assert variable["multi"]
        assert variable["includeAll"]
        assert variable["allValue"] == ".*"
    for variable in (namespace, job):  # one service at a time: two would be averaged
        assert not variable.get("multi")
        assert not variable.get("includeAll")
    assert (namespace["name"], job["name"]) == ("namespace", "job")
    assert '{namespace="$namespace"}' in job["query"]["query"]
    assert 'namespace="$namespace", job="$job"' in profile["query"]["query"]
    assert profile["name"] == "profile"
    assert policy["name"] == "policy"
    assert "$profile" in policy["query"]["query"]


@pytest.mark.parametrize("uid", UIDS)
def test_dashboards_link_to_each_other_and_to_the_runbook(uid):
    others, runbook, metrics = DASHBOARDS[uid]["links"]
    assert (others["type"], others["tags"]) == ("dashboards", [TAG])
    assert others["includeVars"]
    assert others["keepTime"]
    assert DASHBOARDS[uid]["tags"] == [TAG]
    for link in (runbook, metrics):
        assert (ROOT / "docs" / link["url"].rsplit("/", 1)[1]).exists()


@pytest.mark.parametrize("uid", UIDS)
def test_promotions_are_marked_at_the_right_time(uid):
    (promotions,) = DASHBOARDS[uid]["annotations"]["list"]
    assert promotions["useValueForTime"]
    assert promotions["expr"].endswith("* 1000"), "Grafana takes milliseconds"


def test_thresholds_are_the_budgets():
    for category in BUDGETS:
        thresholds = thresholds_by_name(panel("fgctl-quality", f"Error ratio of the last hour: {category}"))
        assert thresholds.keys() == PROFILE_ERROR_RATIOS.keys()
        for profile, steps in thresholds.items():
            budget = budget_of(profile, category)
            assert steps == [None, budget.error_ratio, budget.threshold(budget.slow)]


def test_exemplars_lead_to_the_response():
    worst = panel("fgctl-quality", "Worst recent segments")
    (target,) = worst["targets"]
    assert target["exemplar"]
    assert target["range"]
    assert target["expr"].count("fg_score_bin_total") == target["expr"].count('bin="0.9"') == 1, "exemplars of this bin"

    provisioned = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    (source,) = provisioned["datasources"]
    (destination,) = source["jsonData"]["exemplarTraceIdDestinations"]
    assert destination["name"] == "response"
    assert destination["url"] == "${FGCTL_URL}/responses/$${__value.raw}", "$$ stands for a $ that is no variable"


@pytest.mark.parametrize("uid", UIDS)
def test_single_numbers_are_those_of_now_even_if_the_service_is_gone(uid):
    for shown in panels(uid):
        if shown["type"] == "stat":
            assert all(target.get("instant") and not target.get("range") for target in shown["targets"]), shown["title"]
        if shown["type"] == "timeseries":
            assert "lastNotNull" not in shown["options"]["legend"]["calcs"], shown["title"]


def test_there_is_a_row_on_feedback():
    titles = {panel["title"] for panel in panels("fgctl-scoring")}
    assert titles >= {
        "Left to annotate", "Submissions a day", "Skips by reason", "Thumbs and comparisons by version",
        "Lost before the feedback store",
    }  # fmt: skip


def test_only_marked_panels_ask_for_exemplars():
    asking = [
        panel["title"] for uid in UIDS for panel in panels(uid) if any(t.get("exemplar") for t in panel["targets"])
    ]
    assert asking == ["Worst recent segments"]
