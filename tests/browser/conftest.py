"""Real Chromium on the pages of the application with stand-ins, without the engine or a model."""

import asyncio
import hashlib
import os
import shutil
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn

from rewards.dataset import SAMPLE, load_feedback
from rewards.scores import CategoryScores, ScoredResponse, Segment
from rewards.segmentation import segments
from service.engine.engine import EngineGone, Piece
from service.feedback.records import NewResponse, StoredPassage
from tests.unit.service.conftest import FakeEngine, FakeWorker, Service

ROOT = Path(__file__).parents[2]
AXE = ROOT / "tests/browser/axe/node_modules/axe-core/axe.min.js"
"""Where `make browser` puts it."""
WIDTHS = (1280, 380)

ANSWERS = {
    "short": "The lighthouse stands on Gull Point and is 31 metres tall.",
    "medium": "The lighthouse is 41 metres tall, and a climb takes 164 steps. It was built between 1841 and 1844 by "
    "the engineer Hester Quill. The keeper's cottage is a museum, which many people like.",
    "long": "The Aldermouth Lighthouse 🗼 is a white stone tower on Gull Point. It is 31 metres tall, with 164 steps. "
    "Its oil lamp was replaced by an electric one in 1926, and since 1988 the light has been automatic.",
}


class WritingEngine(FakeEngine):
    """Writes each profile's answer, a few words at a time."""

    says: str | None = None
    """What it answers instead, for every profile."""
    pause = 0.01
    break_at_next = False

    async def generate(self, prompt, params, policy, request_id):
        words = (self.says or ANSWERS.get(policy.profile, ANSWERS["medium"])).split(" ")
        for i, word in enumerate(words):
            if self.hold:
                await self.hold.wait()
            await asyncio.sleep(self.pause)
            if self.break_at_next:
                raise EngineGone
            yield Piece(" " * bool(i) + word, 1, "stop" if i == len(words) - 1 else None, 0, ())


class SegmentWorker(FakeWorker):
    """Scores real segments by a hash of their text; the wrong height and the hearsay are errors.

    Without passages it judges toxicity alone, as the reward models do.
    """

    async def score(self, requests):
        completions = await super().score(requests)
        return [
            done if request.passages else replace(done, scores=self._toxicity(request.response))
            for request, done in zip(requests, completions, strict=True)
        ]

    @staticmethod
    def _toxicity(text):
        parts = tuple(Segment(start, end, 0.01, False) for start, end in segments(text, "sentence"))
        return ScoredResponse({"toxicity": CategoryScores(parts, (0.1,) * len(parts))})

    def _scores(self, text):
        def score(density, category):
            scored = []
            for start, end in segments(text, density):
                part = text[start:end]
                chance = int(hashlib.sha256((category + part).encode()).hexdigest()[:4], 16) / 65535 * 0.28
                label = None
                if category == "factuality" and "41 metres" in part:
                    chance, label = 0.83, "Wrong-Grounding"
                if category == "relevance" and "many people" in part:
                    chance, label = 0.74, "Irrelevant"
                scored.append(Segment(start, end, chance, label is not None, label))
            return tuple(scored)

        by_category = {
            "relevance": score("sub-sentence", "relevance"),
            "factuality": score("sentence", "factuality"),
        }
        whole = (Segment(0, len(text), 0.39, False),)
        return ScoredResponse(
            {name: CategoryScores(parts, (0.1,) * len(parts)) for name, parts in by_category.items()}
            | {"completeness": CategoryScores(whole, (0.2,), 0.45)}
        )


class Running:
    """The application on a free port, in its own thread."""

    def __init__(self, tmp_path, **settings):
        chosen = {
            "max_body_bytes": 1 << 20, "recent_responses": 100, "feedback_store": f"sqlite:///{tmp_path}/feedback.db",
            "feedback_overlap": 1,
        }  # fmt: skip
        self.service = Service(tmp_path, engine=WritingEngine(), worker=SegmentWorker(), **chosen | settings)
        self.service.backend.start = self._start
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(self.service.app, port=self.port, log_level="warning", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

        self._ready = threading.Event()

    async def _start(self):
        self.service.start()
        self.loop = asyncio.get_running_loop()
        self._scoring = asyncio.create_task(self.service.scoring.run())
        await self.service.backend.feedback.start()
        self._ready.set()

    @property
    def store(self):
        return self.service.backend.feedback.store

    def start(self):
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)
        assert self._ready.wait(30)
        return self

    def do(self, coroutine):
        """Run a coroutine in the application's event loop and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def keep(self, *texts, question=None, prefix="resp"):
        """Store responses about the lighthouse with scores, and return their ids."""
        example = load_feedback(SAMPLE / "feedback.json")[0]
        passages = tuple(
            StoredPassage(title=passage.title, text=passage.text, sentences=sentences)
            for passage, sentences in zip(example.passages, example.passage_sentences, strict=True)
        )
        ids = []
        for i, text in enumerate(texts):
            ids.append(f"{prefix}_{i}")
            response = NewResponse(
                id=ids[-1], text=text, question=question or example.question, passages=passages, profile="medium"
            )
            self.do(self.store.record_response(response))
            scored = self.service.worker._scores(text).as_json()
            self.do(self.store.record_scores(ids[-1], "r1", scored))
        return ids

    def annotations(self):
        return self.do(self.store.annotations()).items

    def stop(self):
        self._server.should_exit = True
        self._thread.join(10)


@pytest.fixture(scope="session")
def imported():
    """Packages that the service imports at the first request, which takes seconds."""
    from vllm import SamplingParams  # noqa: F401

    import policies.prompt  # noqa: F401


@pytest.fixture
def run(tmp_path, imported):
    """Starts applications with their own settings."""
    started = []

    def make(**settings):
        started.append(Running(tmp_path / str(len(started)), **settings).start())
        return started[-1]

    yield make
    for running in started:
        running.stop()


@pytest.fixture
def running(run):
    return run()


@pytest.fixture(scope="module")
def chromium():
    """The browser. One for each module, because Playwright's running event loop breaks asynchronous tests of others."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)
    path = os.environ.get("FGCTL_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.fail("Chromium is missing: run `make browser` as root, or set FGCTL_CHROMIUM to the path of one.")
    with sync_playwright() as playwright:
        browser = _launch(playwright.chromium, path)
        yield browser
        browser.close()


def _launch(chromium, path):
    """Chromium in its own sandbox, except as root or where a container forbids namespaces."""
    from playwright.sync_api import Error

    flags = ["--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
    if os.geteuid() != 0:
        with suppress(Error):
            return chromium.launch(executable_path=path, args=flags, chromium_sandbox=True)
    return chromium.launch(executable_path=path, args=flags, chromium_sandbox=False)


@pytest.fixture
def open_page(chromium):
    """Opens a page. In the end it may have sent no request to other hosts and logged no error on the console."""
    contexts, complaints = [], []

    def opened(url, width=1280, scheme="light", grant=(), may_complain=False, touch=False):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, permissions=list(grant), has_touch=touch
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        # The browser also logs refusals that the page shows as sentences.
        expected = "Failed to load resource" + ("" if may_complain else ": the server responded with a status of 422")
        origin = "/".join(url.split("/")[:3]) + "/"

        def on_console(entry):
            if entry.type == "error" and expected not in entry.text:
                complaints.append(entry.text)

        def on_request(request):
            if not request.url.startswith(origin):
                complaints.append(request.url)

        page.on("console", on_console)
        page.on("request", on_request)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def shots(tmp_path_factory):
    """Where screenshots go: $FGCTL_SCREENSHOTS, else a temporary folder."""
    configured = os.environ.get("FGCTL_SCREENSHOTS")
    folder = Path(configured) if configured else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def axe():
    """Finds accessibility problems of a page that axe-core calls serious or critical."""
    if not AXE.is_file():
        pytest.skip("axe-core is missing: `make browser` fetches it, where npm is installed")

    def serious(page):
        page.evaluate(AXE.read_text())
        violations = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        bad = [v for v in violations if v["impact"] in ("serious", "critical")]
        return [(v["id"], [n["html"][:200] + " | " + n["failureSummary"] for n in v["nodes"]]) for v in bad]

    return serious


def overflows(page):
    """By how many pixels a page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")
