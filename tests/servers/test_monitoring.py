"""Rules, alerts and configuration, checked by Prometheus' and Alertmanager's own tools."""

import re
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import yaml

from deploy.monitoring.generated_files import rule_files
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.scenarios.test_files import FILES

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"


@pytest.fixture(scope="session")
def run(program):
    """Runs a tool, which must succeed, and returns its output."""

    def ran(name, *arguments):
        done = subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        return output

    return ran


@pytest.mark.parametrize("name", FILES)
def test_rules_do_what_the_scenarios_expect(run, name):
    output = run("promtool", "test", "rules", PROMETHEUS / f"tests/{name}.yml")
    assert "SUCCESS" in output
    assert "FAILED" not in output


def test_a_wrong_expectation_fails(program, tmp_path):
    # promtool really compares: without the expected alert, the same file fails.
    content = yaml.safe_load((PROMETHEUS / "tests/canary.yml").read_text())
    content["rule_files"] = [str(PROMETHEUS / name) for name in ("rules.yml", "alerts.yml")]
    firing = next(query for query in content["tests"][0]["promql_expr_test"] if query["exp_samples"])
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
    queries = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
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
    output = run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels)
    assert output.splitlines()[0] == receiver


@pytest.fixture(scope="module")
def alertmanager(program, tmp_path_factory):
    """The URL of a real Alertmanager, whose notifications nobody receives."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    storage = tmp_path_factory.mktemp("alertmanager")
    process = subprocess.Popen(
        [
            program("alertmanager"),
            f"--config.file={ALERTMANAGER}",
            f"--storage.path={storage}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        ],
        stdout=(storage / "log.txt").open("w"),
        stderr=subprocess.STDOUT,
    )
    try:
        _wait_for(f"http://{address}/-/ready", process, storage / "log.txt")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(url, process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())


V1, V2 = {"profile": "short", "policy": "v1"}, {"profile": "short", "policy": "v2"}
FACTS = {"category": "factuality"}
DEGRADED = [
    {"alertname": "FgctlErrorBudgetBurnFast", "severity": "page", "component": "quality", **V1, **FACTS},
    {"alertname": "FgctlErrorBudgetBurnSlow", "severity": "ticket", "component": "quality", **V1, **FACTS},
    {"alertname": "FgctlErrorsAboveBaseline", "severity": "ticket", "component": "quality", **V1, **FACTS},
    {"alertname": "FgctlScoreShift", "severity": "ticket", "component": "quality", **V1, **FACTS},
]
OTHER_PROFILE = DEGRADED[1] | {"profile": "long"}
CANARY = {"alertname": "FgctlCanaryWorse", "severity": "page", "component": "policies", **V2, "canary": "v2"}
DOWN = {"alertname": "FgctlEngineDown", "severity": "page", "component": "engine", "job": "fgctl", "instance": "a"}
SILENT = {
    "alertname": "FgctlScoringSilent",
    "severity": "page",
    "component": "scoring",
    "job": "fgctl",
    "instance": "b",
}
SILENT_TOO = SILENT | {"instance": "a"}
ABSENT = {"alertname": "FgctlTargetAbsent", "severity": "page", "component": "engine", "job": "fgctl"}
FULL = SILENT | {"alertname": "FgctlScoringQueueSaturated", "severity": "ticket"}
LOSES = {
    "alertname": "FgctlScoringLosesAnswers",
    "severity": "ticket",
    "component": "scoring",
    "job": "fgctl",
    "profile": "short",
}
LOST = {"alertname": "FgctlFeedbackLost", "severity": "ticket", "component": "feedback", "job": "fgctl"}
REFUSED = {"alertname": "FgctlRequestsRefused", "severity": "page", "component": "serving", "job": "fgctl"}


@pytest.mark.parametrize(
    ("case", "alerts", "notified"),
    [
        ("a version degrades, another burns slowly", [*DEGRADED, OTHER_PROFILE], [DEGRADED[0], OTHER_PROFILE]),
        ("only the baseline is left behind", DEGRADED[2:], DEGRADED[2:3]),
        ("a canary", [CANARY, *[labels | V2 for labels in DEGRADED[1:]], DEGRADED[0]], [CANARY, DEGRADED[0]]),
        ("a canary pages twice", [CANARY, DEGRADED[0] | V2], [CANARY, DEGRADED[0] | V2]),
        ("the engine", [DOWN, SILENT_TOO, REFUSED, DEGRADED[0]], [DOWN, REFUSED, DEGRADED[0]]),
        ("another engine", [DOWN, SILENT, FULL], [DOWN, SILENT]),
        ("nothing is scraped", [ABSENT, SILENT, LOSES, LOST, REFUSED, DEGRADED[0]], [ABSENT, DEGRADED[0]]),
        ("the scorer", [SILENT, FULL, LOSES, REFUSED], [SILENT, REFUSED]),
        ("another scorer", [SILENT_TOO, FULL], [SILENT_TOO, FULL]),
        ("the queue", [FULL, LOSES, LOST], [FULL, LOST]),
    ],
)
def test_an_alert_silences_those_that_it_explains(alertmanager, case, alerts, notified):
    # `case` keeps the cases apart: nothing of one may silence anything of another.
    posted = [{"labels": labels | {"case": case}, "endsAt": _in(60)} for labels in alerts]
    httpx.post(f"{alertmanager}/api/v2/alerts", json=posted).raise_for_status()
    shown = httpx.get(f"{alertmanager}/api/v2/alerts", params={"inhibited": "false"}).raise_for_status().json()
    httpx.post(
        f"{alertmanager}/api/v2/alerts", json=[alert | {"startsAt": _in(-2), "endsAt": _in(-1)} for alert in posted]
    ).raise_for_status()
    active = [alert["labels"] for alert in shown if alert["labels"]["case"] == case]
    expected = [labels | {"case": case} for labels in notified]
    assert {frozenset(labels.items()) for labels in active} == {frozenset(labels.items()) for labels in expected}


def _in(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
