"""Rules, alerts and configuration as Prometheus' and Alertmanager's own tools see them."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.monitoring.files import rule_files
from deploy.monitoring.scenarios import FILES
from deploy.monitoring.windows import Timing

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"


@pytest.fixture(scope="session")
def run(program):
    """Runs a tool, which must succeed, and gives what it said."""

    def ran(name, *arguments):
        done = subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        return said

    return ran


@pytest.mark.parametrize("name", FILES)
def test_rules_do_what_the_scenarios_expect(run, name):
    said = run("promtool", "test", "rules", PROMETHEUS / f"tests/{name}.yml")
    assert "SUCCESS" in said
    assert "FAILED" not in said


def test_an_expectation_that_is_wrong_fails(program, tmp_path):
    # promtool compares what we think it compares: without the alert that is expected, the same file fails.
    content = yaml.safe_load((PROMETHEUS / "tests/canary.yml").read_text())
    content["rule_files"] = [str(PROMETHEUS / name) for name in ("rules.yml", "alerts.yml")]
    firing = next(one for one in content["tests"][0]["promql_expr_test"] if one["exp_samples"])
    assert firing["expr"] == 'ALERTS{alertstate="firing"}'
    firing["exp_samples"] = []
    file = tmp_path / "wrong.yml"
    file.write_text(yaml.safe_dump(content))
    done = subprocess.run([program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FgctlCanaryWorse" in done.stdout + done.stderr


def test_prometheus_accepts_its_configuration(run):
    assert "SUCCESS" in run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


def test_rules_on_another_time_scale_are_rules(run, tmp_path):
    for name, text in rule_files(Timing(scale=1 / 120, counts=0.1, scrape=0.5)).items():
        (tmp_path / name).write_text(text)
        assert "SUCCESS" in run("promtool", "check", "rules", tmp_path / name)


def test_the_queries_of_the_runbook_are_queries(run, tmp_path):
    blocks = re.findall(r"```promql\n(.*?)```", (ROOT / "docs/runbook.md").read_text(), re.DOTALL)
    queries = [line.strip() for block in blocks for line in block.splitlines()]
    assert len(queries) > 10
    rules = [{"record": f"query:{place}", "expr": query} for place, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"{len(queries)} rules found" in run("promtool", "check", "rules", file)


def test_alertmanager_accepts_its_configuration(run):
    assert "SUCCESS" in run("amtool", "check-config", ALERTMANAGER)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=FgctlEngineDown", "severity=page"], "page"),
        (["alertname=FgctlErrorBudgetBurnFast", "severity=page", "profile=short"], "page"),
        (["alertname=FgctlErrorBudgetBurnSlow", "severity=ticket", "profile=short"], "ticket"),
        (["alertname=SomethingElse"], "ticket"),
    ],
)
def test_alerts_are_routed_by_their_severity(run, labels, receiver):
    assert run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels).strip() == receiver
