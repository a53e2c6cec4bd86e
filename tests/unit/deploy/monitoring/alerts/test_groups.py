"""Alerts, their runbook entries, what silences what, and that each has a case in which it fires."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.monitoring.alerts.groups import alerts
from deploy.monitoring.lookback_windows import Timing
from deploy.monitoring.rule_groups import DOCUMENTATION
from deploy.monitoring.scenarios import FILES

ROOT = Path(__file__).parents[5]
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
ALERTMANAGER = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text())
ALERTS = alerts(Timing())
NAMES = {alert.name for alert in ALERTS}
SCENARIOS = [scenario for scenarios in FILES.values() for scenario in scenarios]
TOLD = {told.alertname: told.labels for scenario in SCENARIOS for told in scenario.told}


def test_every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert():
    entries = re.findall(r"^### (Fgctl\w+)$", RUNBOOK, re.MULTILINE)
    assert len(entries) == len(set(entries))
    assert set(entries) == NAMES


def test_entries_begin_with_their_severity():
    said = dict(re.findall(r"^### (Fgctl\w+)\n\*\*(page|ticket)\*\*", RUNBOOK, re.MULTILINE))
    worst = {name: min(alert.severity for alert in ALERTS if alert.name == name) for name in NAMES}
    assert said == worst


def test_links_within_the_runbook_lead_somewhere():
    anchors = {line.lstrip("# ").lower().replace(" ", "-") for line in RUNBOOK.splitlines() if line.startswith("#")}
    links = re.findall(r"\]\(#([^)]+)\)", RUNBOOK)
    assert links
    assert set(links) <= anchors


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alerts_say_what_is_the_matter_and_where_to_look(alert):
    written = alert.as_yaml(Timing())
    said = written["annotations"]
    assert said["runbook_url"] == f"{DOCUMENTATION}/runbook.md#{alert.name.lower()}"
    assert re.match(r"/d/fgctl-(quality|policies|serving|scoring)($|\?var-)", said["dashboard"])
    assert written["labels"]["severity"] in {"page", "ticket"}
    assert said["description"].endswith(".")
    assert len(said["summary"]) > 10


def test_every_alert_fires_in_some_scenario_and_its_words_are_checked_there():
    fired = {one["alertname"] for scenario in SCENARIOS for firing in scenario.firing.values() for one in firing}
    assert fired == NAMES
    assert TOLD.keys() == NAMES


def test_every_scenario_says_when_nothing_fires_or_what_does():
    assert all(scenario.firing for scenario in SCENARIOS)
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))


def test_alertmanager_names_alerts_and_components_that_exist():
    for rule in ALERTMANAGER["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            assert _matching(rule[side])
    named = set(re.findall(r"Fgctl\w+", str(ALERTMANAGER)))
    assert named <= NAMES


def test_what_silences_and_what_is_silenced_carry_the_labels_that_must_be_equal():
    # A label that both lack counts as equal: one profile would silence all others.
    for rule in ALERTMANAGER["inhibit_rules"]:
        for label in rule.get("equal", []):
            for side in ("source_matchers", "target_matchers"):
                assert all(label in TOLD[name] for name in _matching(rule[side])), (label, rule[side])


def test_nothing_silences_itself():
    for rule in ALERTMANAGER["inhibit_rules"]:
        assert not _matching(rule["source_matchers"]) & _matching(rule["target_matchers"])


def test_pages_and_tickets_go_to_receivers_of_their_own():
    route = ALERTMANAGER["route"]
    assert route["receiver"] == "ticket"
    assert [(one["matchers"], one["receiver"]) for one in route["routes"]] == [(['severity="page"'], "page")]
    assert route["group_by"] == ["alertname", "profile"]
    assert {one["name"] for one in ALERTMANAGER["receivers"]} == {"page", "ticket"}


def _matching(matchers):
    """The alerts that all matchers match, by name."""
    chosen = set(NAMES)
    for matcher in matchers:
        label, operator, value = re.fullmatch(r'(\w+)(=~|=)"(.*)"', matcher).groups()
        given = {name: name if label == "alertname" else TOLD[name][label] for name in NAMES}
        pattern = value if operator == "=~" else re.escape(value)
        chosen &= {name for name, text in given.items() if re.fullmatch(pattern, text)}
    return chosen
