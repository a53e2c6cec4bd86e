"""An application whose engine and scoring process are stand-ins: they answer from tables, in this process."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import pytest

from policies.manifest import PolicyManifest
from policies.store import Decoding, PolicyStore
from policies.weights import Weights
from rewards.errors import FgctlError
from rewards.scores import CategoryScores, ScoredResponse, Segment
from rewards.traits.response_traits import response_traits
from service.app import create_app
from service.domain.answer import LikelyToken, Piece, TokenLogprob
from service.domain.policy import ServedPolicy
from service.domain.roster import Roster
from service.domain.scored import ScoredCompletion
from service.engine.engine import EngineGone, ServiceStopping
from service.errors import EngineFull
from service.metrics.policies import PolicyMetrics
from service.parts import wire
from service.served.mixture_cache import MixtureCache
from service.served.resolver import Resolver
from service.settings import Settings

WEIGHTS = {"short": "0.4,0.5,0.3", "medium": "0.3,0.5,0.3", "long": "0.2,0.5,0.3"}


class FakeEngine:
    """Says what each profile says, word by word, and in every further completion once more "again"."""

    def __init__(self):
        self.asked = []
        self.gone = False
        self.closed = 0
        self.restarts = 0
        self.stopping = False
        self.loaded = []
        self.broken = set()
        self.not_loadable = {}
        self.room = 100
        self.echoes = {}
        self.ending = "."
        self.finish_reason = "stop"
        self.cached_tokens = 0
        self.hold: asyncio.Event | None = None

    @property
    def alive(self):
        return not self.gone

    async def generate(self, prompt, params, policy, request_id) -> AsyncIterator[Piece]:
        self.asked.append((prompt, params, policy, request_id))
        try:
            for word in ("The", " answer", f" of {policy.profile}"):
                for index in range(params.n):
                    if self.gone:
                        raise EngineGone
                    yield Piece(word, 1, None, index, self._logprobs(word, params), self.cached_tokens)
                if self.hold:
                    await self.hold.wait()
                if self.stopping:
                    raise ServiceStopping
            for index in range(params.n):
                end = " again" * index + self.ending
                yield Piece(end, 1, self.finish_reason, index, self._logprobs(end, params))
        finally:
            self.closed += 1

    @staticmethod
    def _logprobs(word, params):
        """The word is the second likeliest of three."""
        if params.logprobs is None:
            return ()
        likely = (LikelyToken(" Else", -0.5), LikelyToken(word, -1.5), LikelyToken(" None", float("-inf")))
        return (TokenLogprob(likely[1], likely[: params.logprobs]),)

    def stop(self):
        pass

    def restart(self):
        self.restarts += 1
        self.gone = False

    async def abort_all(self):
        self.stopping = True
        if self.hold:
            self.hold.set()

    max_rank = 8

    def why_not_loadable(self, policy):
        return self.not_loadable.get(policy.adapter_name)

    async def load(self, policy):
        if self.gone:
            raise EngineGone
        if policy.adapter_name in self.broken:
            raise Exception("shapes do not match")
        if len(self.loaded) >= self.room:
            raise EngineFull(len(self.loaded))
        self.loaded.append(policy.adapter_name)

    async def unload(self, policy):
        if policy.adapter_name in self.loaded:  # those of the fixture's roster never were
            self.loaded.remove(policy.adapter_name)

    ranks = 1
    sequences = 32

    async def probe(self, policy, rank=0):
        """Log-probabilities that are the adapter's own, unless it says what another says."""
        name = policy.adapter_name if policy else "base"
        return [-float(zlib.crc32(self.echoes.get(name, name).encode()) % 1000)]


class FakeWorker:
    """Scores every response as one segment, which is an error."""

    def __init__(self):
        self.batches = []
        self.raises = []
        self.rewards = {}
        self.label = None
        self.cancelled = 0
        self.hold: asyncio.Event | None = None

    async def score(self, requests):
        self.batches.append([request.response for request in requests])
        if self.raises and (error := self.raises.pop(0)):
            raise error
        if self.hold:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return [ScoredCompletion(self._scores(request.response), response_traits(request)) for request in requests]

    def stop(self):
        pass

    def _scores(self, text):
        """`rewards` has the relevance and factuality of some texts."""
        segment = (Segment(0, len(text), 0.75, True, self.label),)
        rewards = self.rewards.get(text, {})
        return ScoredResponse(
            {
                category: CategoryScores(
                    segment, (rewards.get(category, -0.5),), 0.25 if category == "completeness" else None
                )
                for category in ("relevance", "factuality", "completeness")
            }
        )


class FakeFormatter:
    """Keeps the conversations that it was given."""

    max_tokens = 8

    def __init__(self):
        self.chats = []
        self.earlier = []

    def format(self, question, passages, earlier=()):
        self.earlier.append([dict(turn) for turn in earlier])
        return self._prompt(question, passages, 1 + len(earlier))

    @staticmethod
    def _prompt(question, passages=(), messages=1):
        from policies.prompt import Prompt, PromptTooLong

        if len(question.split()) > 20:
            raise PromptTooLong("The question needs more tokens than the budget; shorten it.")
        if not question.strip():
            raise FgctlError("The question is empty; ask something.")
        return Prompt(question, (1, 2, 3), tuple(passages), passages_cut=len(passages) > 2, messages=messages)

    def raw(self, text):
        return self._prompt(text)

    def tokens(self, ids):
        from policies.prompt import Prompt

        return Prompt("", tuple(ids))

    def token_texts(self, ids):
        return [f"<{token}>" for token in ids]

    def chat(self, messages, *, cut=False):
        self.chats.append([dict(message) for message in messages])
        return self._prompt(messages[-1]["content"], messages=len(messages))


def served(profile, tmp_path, number, scores=None):
    manifest = PolicyManifest.model_validate(
        {
            "profile": profile,
            "version": f"{number:012x}",
            "weights": Weights.parse(WEIGHTS[profile]),
            "base": {"name": "base", "digest": "b"},
            "parent": None,
            "recipe": {},
            "data": [],
            "rewards": None,
            "steps": 1,
            "episodes": 1,
            "scores": scores or {},
            "created": "2026-01-01T00:00:00Z",
            "fgctl": "0.1.0",
        }
    )
    return ServedPolicy(profile, manifest.version, manifest.weights, Decoding(), tmp_path, manifest, number)


class Service:
    """The application, its stand-ins, and a client."""

    def __init__(self, tmp_path, tracing=None, engine=None, worker=None, base=None, **settings):
        small = {
            "max_body_bytes": 4096, "max_tokens": 64, "recent_responses": 3, "max_best_of": 8, "max_prompts": 3,
            "scoring_queue": 2, "scoring_batch": 2, "best_of_timeout": 0.05,
        }  # fmt: skip
        self.app = create_app(Settings(**small | settings), tracing=tracing)
        self.backend = self.app.state.backend
        # Clients that run the application's lifespan must not start the real engine.
        self.backend.start = self._nothing_to_start
        self.engine = engine or FakeEngine()
        self.formatter = FakeFormatter()
        self.worker = worker or FakeWorker()
        self.store = PolicyStore(tmp_path / "policies")
        self.resolver = Resolver(
            self.engine,
            self.store,
            base or SimpleNamespace(name="base", digest="b" * 64),
            MixtureCache(tmp_path / "mixtures", 4),
            PolicyMetrics(self.backend.metrics, self.backend.categories),
            resident_adapters=2,
            grid=20,
        )
        self.resolver.roster = Roster(
            {
                name: served(name, tmp_path, i, {"error_ratio": {"factuality": 0.2}, "per_question": {"words": [9]}})
                for i, name in enumerate(WEIGHTS, 1)
            }
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test")

    def core(self):
        """What answers requests: the stand-ins, wired as the real parts are."""
        front = self.backend.front
        front.metrics.announce(self.resolver.roster.served.values(), front.categories)
        return wire(front, self.engine, self.resolver, self.worker, self.formatter, self.store)

    def start(self):
        """Answer requests, without the tasks that run beside them."""
        self.backend.use(self.core())

    @staticmethod
    async def _nothing_to_start():
        pass

    @property
    def scoring(self):
        return self.backend.core.scoring

    def break_profile(self, name, reason):
        """Serve a profile no more."""
        del self.backend.roster.served[name]
        self.backend.roster.broken[name] = reason

    async def score_all(self):
        """Run scoring until its queue is empty."""
        running = asyncio.create_task(self.scoring.run())
        for _ in range(50):
            await asyncio.sleep(0)
        running.cancel()

    async def ask(self, body=None, **query):
        body = {"question": "Where?", "passages": [{"title": "T", "text": "Here."}]} if body is None else body
        return await self.client.post("/generate", json=body, params=query)

    def metric(self, name, **labels):
        return self.backend.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def service(tmp_path):
    started = Service(tmp_path)
    started.start()
    return started


@pytest.fixture
def serve(tmp_path):
    """Makes a started service of other settings."""

    def make(**settings):
        made = Service(tmp_path, **settings)
        made.start()
        return made

    return make


@pytest.fixture
def starting(tmp_path):
    return Service(tmp_path)


@pytest.fixture
def anyio_backend():
    return "asyncio"
