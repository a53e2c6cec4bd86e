"""promtool parses the queries of the dashboards, and Grafana's own types check their JSON."""

import copy
import json
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from deploy.monitoring.dashboards.dashboard_files import dashboard_files
from deploy.monitoring.dashboards.panel_queries import panel_queries

SCHEMA = Path(__file__).parent / "grafana_schema" / "dashboard.schema.json"
DASHBOARDS = {path.stem: json.loads(content) for path, content in dashboard_files().items()}


def check_rules(program, file, expressions):
    """The result of promtool on a rules file with a rule for each expression."""
    rules = [
        {"record": "dashboards:query", "expr": expression, "labels": {"query": str(i)}}
        for i, expression in enumerate(expressions)
    ]
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    return subprocess.run([program("promtool"), "check", "rules", file], capture_output=True, text=True, check=False)


def test_every_query_parses(program, tmp_path):
    expressions = [query.expression for query in panel_queries()]
    checked = check_rules(program, tmp_path / "rules.yml", expressions)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(expressions)} rules found" in checked.stdout + checked.stderr


def test_a_query_that_does_not_parse_is_found(program, tmp_path):
    expressions = [query.expression for query in panel_queries()]
    assert check_rules(program, tmp_path / "rules.yml", [*expressions, expressions[0] + ")"]).returncode != 0


@pytest.fixture(scope="module")
def validator():
    if not SCHEMA.exists():
        if shutil.which("npm") is None:
            pytest.skip("without npm there is no schema")
        pytest.fail("run `make grafana-schema`")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_dashboards_have_grafanas_types(validator, uid):
    error = jsonschema.exceptions.best_match(validator.iter_errors(DASHBOARDS[uid]))
    assert error is None, f"{error.json_path}: {error.message}"


def _first(dashboard, kind):
    return next(panel for panel in dashboard["panels"] if panel["type"] == kind)


BROKEN = {
    "title": lambda d: d.update(title=7),
    "tooltip": lambda d: d.update(graphTooltip="crosshair"),
    "unknown field": lambda d: d.update(titel="fgctl"),
    "time": lambda d: d["time"].update({"from": 6}),
    "variable's kind": lambda d: d["templating"]["list"][1].update(type="quarry"),
    "variable's refresh": lambda d: d["templating"]["list"][1].update(refresh="often"),
    "annotation's expression": lambda d: d["annotations"]["list"][0].update(expr=None),
    "link": lambda d: d["links"][0].update(keepTime="yes"),
    "place": lambda d: d["panels"][1]["gridPos"].update(w="wide"),
    "kind of panel": lambda d: d["panels"][1].update(type="graph"),
    "query": lambda d: _first(d, "timeseries")["targets"][0].update(exemplar="all"),
    "query's format": lambda d: _first(d, "table")["targets"][0].update(format="list"),
    "unit": lambda d: _first(d, "stat")["fieldConfig"]["defaults"].update(unit=1),
    "thresholds": lambda d: _first(d, "stat")["fieldConfig"]["defaults"]["thresholds"].update(mode="relative"),
    "line width": lambda d: _first(d, "timeseries")["fieldConfig"]["defaults"]["custom"].update(lineWidth="2"),
    "draw style": lambda d: _first(d, "timeseries")["fieldConfig"]["defaults"]["custom"].update(drawStyle="dots"),
    "legend": lambda d: _first(d, "timeseries")["options"]["legend"].update(placement="left"),
    "orientation": lambda d: _first(d, "bargauge")["options"].update(orientation="sideways"),
    "heatmap's option": lambda d: _first(d, "heatmap")["options"].update(calculate="no"),
    "axis of points": lambda d: _first(d, "xychart")["options"]["series"][0].update(x="relevance"),
    "stacking of bars": lambda d: _first(d, "barchart")["options"].update(stacking="high"),
    "transformation": lambda d: _first(d, "table")["transformations"][0].pop("id"),
    "mapping": lambda d: _first(d, "stat")["fieldConfig"]["defaults"]["mappings"][0].update(type="word"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_value_of_the_wrong_type_is_found(validator, case):
    dashboard = copy.deepcopy(DASHBOARDS["fgctl-quality"])
    assert validator.is_valid(dashboard)
    BROKEN[case](dashboard)
    assert not validator.is_valid(dashboard)
