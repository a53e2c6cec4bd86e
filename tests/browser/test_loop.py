"""From annotations made in a browser to reward models fitted on them."""

import json
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean

import httpx
from playwright.sync_api import expect
from typer.testing import CliRunner

from cli.main import app
from rewards.dataset import SAMPLE, load_feedback
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.scores import ScoreRequest
from rewards.segmentation import sentences
from tests.browser.steps import begin, correct, press, read

FILE = SAMPLE / "feedback.json"
SERVED = 12
"""Questions that are asked and annotated; the others get no feedback."""


def fgctl(*arguments):
    """The JSON report of a command, run in a thread because Playwright keeps an event loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(CliRunner().invoke, app, [*map(str, arguments), "--json"]).result()
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def mean_errors(path, examples):
    """The mean error probability of the reference answers' segments, by category."""
    scored = FeedbackRewards.load(path).score([ScoreRequest(e.question, e.passages, e.gold) for e in examples])
    return {
        category: fmean(s.error_probability for response in scored for s in response[category].segments)
        for category in ("relevance", "factuality")
    }


def test_annotations_made_in_a_browser_change_the_scores_of_the_reward_models(run, open_page, tmp_path):
    """An annotator marks every sentence of well-supported answers as unverifiable; models fitted on that agree."""
    examples = load_feedback(FILE)
    asked, held_out = examples[:SERVED], examples[SERVED:]
    old = tmp_path / "old.json"
    old.write_text(json.dumps(json.loads(FILE.read_text())[:SERVED]))
    first = fgctl("rewards", "fit", "--data", old, "--out", tmp_path / "first.json")

    url = f"sqlite:///{tmp_path / 'loop.db'}"
    running = run(feedback_store=url, feedback_overlap=0)
    for example in asked:
        running.service.engine.says = example.gold
        body = {
            "question": f"{example.question} Tell me again.",
            "passages": [p.model_dump() for p in example.passages],
        }
        httpx.post(f"{running.url}/generate", json=body).raise_for_status()
    page = begin(open_page, running)
    for _ in asked:
        read(page)
        response, status = page.locator("#response"), page.locator("#status")
        shown = status.inner_text()
        for _ in sentences(response.inner_text()):
            press(page, "Shift+ArrowDown", "5", "ArrowRight")
        correct(page, "Not known.")
        expect(status).not_to_have_text(shown)
    expect(page.locator("#status")).to_contain_text("nothing left to annotate")

    fgctl("feedback", "import", old, "--format", "qa-feedback", "--store", url)
    second = fgctl("rewards", "fit", "--data", url, "--out", tmp_path / "second.json")
    assert second["data"] != first["data"]
    assert (second["questions"], second["annotations"]) == (2 * SERVED, 2 * SERVED)
    before, after = (mean_errors(tmp_path / f"{name}.json", held_out) for name in ("first", "second"))
    assert after["factuality"] > before["factuality"] + 0.2
    assert after["relevance"] < before["relevance"] + 0.1
