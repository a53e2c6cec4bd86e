"""From traffic of another domain to an error rate that can be trusted: served, labelled in a browser, watched.

What the service exports goes through promtool, which evaluates the rules and the dashboard's queries on it.
"""

import subprocess
from pathlib import Path

import httpx
import yaml
from playwright.sync_api import expect
from prometheus_client.parser import text_string_to_metric_families

from deploy.monitoring.dashboards.panel_queries import panel_queries
from deploy.monitoring.scenarios.scenario import PRODUCTION, counter, firing, gauge, series
from deploy.monitoring.scenarios.test_files import promtool_tests
from rewards.dataset import SAMPLE, load_feedback
from rewards.scores import CategoryScores, ScoredResponse, Segment
from rewards.segmentation import segments
from tests.browser.steps import begin, correct, press, read
from tests.servers.conftest import program  # noqa: F401

PROMETHEUS = Path(__file__).parents[2] / "deploy/prometheus"
ASKED, ERRORS, LABELLED, ANNOTATED = 30, 3, 14, 3
MINUTES = 420
"""Long enough for the slow alert's window of six hours."""
PANEL = "Error rates as people see them"
SHOWN = ("fg_error_rate_calibrated", "fg_error_rate_estimate", "fg_error_rate_low", "fg_error_rate_high")
POLICY = "000000000001"
WRONG = "floats"
FACTUALITY = {"profile": "short", "category": "factuality"}
BURNING = [
    firing(f"FgctlErrorBudgetBurn{speed}", severity, "quality", policy=POLICY, **FACTUALITY)
    for speed, severity in (("Fast", "page"), ("Slow", "ticket"))
]


def alarmed(text):
    """Scores of a model that takes every sentence of this domain for an error."""
    certain = tuple(Segment(start, end, 0.8, True) for start, end in segments(text, "sentence"))
    clean = tuple(Segment(start, end, 0.1, False) for start, end in segments(text, "sub-sentence"))
    whole = (Segment(0, len(text), 0.3, False),)
    by_category = {"relevance": clean, "factuality": certain, "completeness": whole}
    return ScoredResponse(
        {
            category: CategoryScores(parts, (0.0,) * len(parts), 0.0 if category == "completeness" else None)
            for category, parts in by_category.items()
        }
    )


def exported(running):
    """What /metrics has of error ratios and rates: (name, labels, value)."""
    text = httpx.get(f"{running.url}/metrics", timeout=60).raise_for_status().text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    wanted = ("fg_error_rate_", "fg_segments_scored_total", "fg_segment_errors_total")
    return [(s.name, s.labels, s.value) for s in samples if s.name.startswith(wanted)]


def values(samples):
    """The metrics of factuality, by name."""
    return {name: number for name, labels, number in samples if FACTUALITY.items() <= labels.items()}


def columns():
    """The queries of the dashboard's table of estimates, by the metric that each shows."""
    queries = [q.expression for q in panel_queries(**PRODUCTION) if q.panel == PANEL]
    return {name: query for query in queries for name in SHOWN if f"({name}{{" in query}


def evaluate(promtool, tmp_path, samples, alerts):
    """Evaluate rules and queries on hours of what a service exports, its counters growing as much every minute."""
    inputs = [
        {
            "series": series(name, **PRODUCTION, instance="a", **labels),
            "values": counter((MINUTES, number)) if name.endswith("_total") else gauge((MINUTES, number)),
        }
        for name, labels, number in samples
    ]
    expected = {
        'ALERTS{alertstate="firing", alertname=~"FgctlErrorBudgetBurn.*"}': [("ALERTS", labels, 1) for labels in alerts]
    }
    expected |= {
        query: [("", labels, number) for sample, labels, number in samples if sample == name]
        for name, query in columns().items()
    }
    content = promtool_tests()["error_budgets"]
    content["rule_files"] = [str(PROMETHEUS / name) for name in ("rules.yml", "alerts.yml")]
    content["tests"] = [
        {
            "interval": "1m",
            "input_series": inputs,
            "promql_expr_test": [
                {
                    "expr": query,
                    "eval_time": f"{MINUTES - 1}m",
                    "exp_samples": [{"labels": series(name, **labels), "value": n} for name, labels, n in results],
                }
                for query, results in expected.items()
            ],
        }
    ]
    file = tmp_path / "watched.yml"
    file.write_text(yaml.safe_dump(content))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def ask(running, number):
    """A question of another domain; every tenth answer is wrong."""
    example = load_feedback(SAMPLE / "feedback.json")[0]
    running.service.engine.says = f"The tower {WRONG if number % 10 == 0 else 'stands'} on point {number}."
    passages = [passage.model_dump() for passage in example.passages]
    body = {"question": f"{example.question} ({number})", "passages": passages}
    httpx.post(f"{running.url}/generate?profile=short", json=body, timeout=60).raise_for_status()


def judge(page):
    """Say whether the sentence of the answer that is shown is supported."""
    read(page)
    status = page.locator("#status")
    before = status.inner_text()
    press(page, "2" if WRONG in page.locator("#answer").inner_text() else "1")
    expect(status).not_to_have_text(before)


def annotate(page):
    """Annotate the answer that is shown."""
    read(page)
    status, response = page.locator("#status"), page.locator("#response").inner_text()
    before = status.inner_text()
    if WRONG in response:
        press(page, "Shift+ArrowDown", "5")
        correct(page, "Not known.")
    else:
        press(page, "Enter")
    expect(status).not_to_have_text(before)


async def scored_and_stored(running):
    await running.service.scoring.drained()
    await running.service.backend.feedback.settled()


def test_labels_made_in_a_browser_end_a_false_alarm(run, open_page, program, tmp_path):  # noqa: F811
    running = run(feedback_overlap=0, scoring_queue=100)
    running.service.worker._scores = alarmed
    running.service.engine.pause = 0
    for number in range(ASKED):
        ask(running, number)
    running.do(scored_and_stored(running))
    running.do(running.service.backend.feedback.update_error_rates())
    samples = exported(running)
    shown = values(samples)
    assert (shown["fg_error_rate_calibrated"], shown["fg_segment_errors_total"]) == (0, ASKED)
    evaluate(program("promtool"), tmp_path, samples, BURNING)

    page = open_page(f"{running.url}/annotate")
    page.get_by_label("Order").select_option("for the error rate")
    page.get_by_label("Your name").fill("ada")
    page.keyboard.press("Enter")
    for _ in range(ANNOTATED):
        annotate(page)
    page = begin(open_page, running, name="bob", path="/judge")
    for _ in range(LABELLED - ANNOTATED):
        judge(page)
    httpx.get(f"{running.url}/annotation/agreement", timeout=60).raise_for_status()  # has the error rates computed, too
    samples = exported(running)
    shown = values(samples)
    assert (shown["fg_error_rate_calibrated"], shown["fg_error_rate_labels"]) == (1, LABELLED)
    assert shown["fg_error_rate_low"] <= ERRORS / ASKED <= shown["fg_error_rate_high"]
    evaluate(program("promtool"), tmp_path, samples, [])
