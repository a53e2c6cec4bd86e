"""Every alert has a runbook entry and a scenario in which it fires, and Alertmanager knows only alerts that exist."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.monitoring.alerts.alert_groups import all_alerts
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.rule_groups import DOCUMENTATION
from deploy.monitoring.scenarios.test_files import FILES

ROOT = Path(__file__).parents[5]
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
ALERTMANAGER = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text())
ALERTS = all_alerts(Timing())
NAMES = {alert.name for alert in ALERTS}
SCENARIOS = [scenario for scenarios in FILES.values() for scenario in scenarios]
NOTIFIED = {expected.alertname: expected.labels for scenario in SCENARIOS for expected in scenario.notifications}


def test_every_alert_has_an_entry_in_the_runbook():
    entries = re.findall(r"^### (Fgctl\w+)$", RUNBOOK, re.MULTILINE)
    assert len(entries) == len(set(entries))
    assert NAMES - set(entries) == set(), "describe them in docs/runbook.md"
    assert set(entries) - NAMES == set(), "docs/runbook.md has entries of alerts that do not exist"


def test_entries_begin_with_their_severity():
    documented = dict(re.findall(r"^### (Fgctl\w+)\n\*\*(page|ticket)\*\*", RUNBOOK, re.MULTILINE))
    highest = {name: min(alert.severity for alert in ALERTS if alert.name == name) for name in NAMES}
    assert documented == highest


def test_links_within_the_runbook_lead_somewhere():
    anchors = {line.lstrip("# ").lower().replace(" ", "-") for line in RUNBOOK.splitlines() if line.startswith("#")}
    links = re.findall(r"\]\(#([^)]+)\)", RUNBOOK)
    assert links
    assert set(links) <= anchors


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alerts_say_what_is_wrong_and_where_to_look(alert):
    rule = alert.as_yaml(Timing())
    annotations = rule["annotations"]
    assert annotations["runbook_url"] == f"{DOCUMENTATION}/runbook.md#{alert.name.lower()}"
    service = "?var-namespace={{ $labels.namespace }}&var-job={{ $labels.job }}"
    assert re.match(rf"/d/fgctl-(quality|policies|serving|scoring){re.escape(service)}", annotations["dashboard"])
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert annotations["description"].endswith(".")
    assert len(annotations["summary"]) > 10


def test_every_alert_fires_in_some_scenario_which_checks_its_text():
    fired = {labels["alertname"] for scenario in SCENARIOS for alerts in scenario.firing.values() for labels in alerts}
    assert NAMES - fired == set(), "add a scenario in which they fire to deploy/monitoring/scenarios"
    assert NAMES - NOTIFIED.keys() == set(), "add a Notification to their scenario"
    assert fired | NOTIFIED.keys() <= NAMES


def test_every_scenario_says_which_alerts_fire_and_when():
    assert all(scenario.firing for scenario in SCENARIOS)
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))


def test_alertmanager_names_alerts_and_components_that_exist():
    for rule in ALERTMANAGER["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            assert _matching(rule[side])
    mentioned = set(re.findall(r"Fgctl\w+", str(ALERTMANAGER)))
    assert mentioned <= NAMES


def test_silencing_and_silenced_alerts_have_the_labels_that_must_be_equal():
    # Alertmanager treats a label that both lack as equal: one profile would silence all others.
    for rule in ALERTMANAGER["inhibit_rules"]:
        for label in rule.get("equal", []):
            for side in ("source_matchers", "target_matchers"):
                assert all(label in NOTIFIED[name] for name in _matching(rule[side])), (label, rule[side])


def test_alerts_of_one_service_silence_none_of_another():
    for rule in ALERTMANAGER["inhibit_rules"]:
        needed = {"job"} if "FgctlTargetAbsent" in _matching(rule["source_matchers"]) else {"namespace", "job"}
        assert needed <= set(rule["equal"])


def test_no_alert_silences_itself():
    for rule in ALERTMANAGER["inhibit_rules"]:
        assert not _matching(rule["source_matchers"]) & _matching(rule["target_matchers"])


def test_pages_and_tickets_go_to_receivers_of_their_own():
    route = ALERTMANAGER["route"]
    assert route["receiver"] == "ticket"
    assert [(child["matchers"], child["receiver"]) for child in route["routes"]] == [(['severity="page"'], "page")]
    assert route["group_by"] == ["alertname", "namespace", "job", "profile"]
    assert {receiver["name"] for receiver in ALERTMANAGER["receivers"]} == {"page", "ticket"}


def _matching(matchers):
    """The names of the alerts that all matchers match."""
    matching = set(NAMES)
    for matcher in matchers:
        label, operator, value = re.fullmatch(r'(\w+)(=~|=)"(.*)"', matcher).groups()
        values = {name: name if label == "alertname" else NOTIFIED[name][label] for name in NAMES}
        pattern = value if operator == "=~" else re.escape(value)
        matching &= {name for name, text in values.items() if re.fullmatch(pattern, text)}
    return matching
