"""Load on a server of OpenAI's interface, and what a client sees of it.

The client and the definitions are those of `vllm bench serve` (vllm/benchmarks): its function sends the requests and
takes the times.

- time to first token: from sending a request to its first piece,
- inter-token latency: between two pieces of a stream that follow each other; pieces of all streams count alike,
- latency: from sending a request to its last piece,
- requests and tokens a second: those of all requests, divided by the time from the first one's start to the last one's
  end; tokens are the written ones, as the server's usage counts them.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from policies.prompt import Prompt, PromptFormatter
from rewards.dataset import Example, Passage
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from prometheus_client.samples import Sample
    from vllm.benchmarks.lib.endpoint_request_func import RequestFuncInput, RequestFuncOutput

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Asked:
    """A question to a profile, and its prompt as the service formats it."""

    profile: str
    question: str
    passages: tuple[Passage, ...]
    prompt: Prompt


Body = Callable[[Asked], dict[str, Any]]
"""The fields of a request to POST /v1/completions that say what is to be answered."""


def whole_prompt(asked: Asked) -> dict[str, Any]:
    """For vLLM's own server: the prompt as it is."""
    return {"prompt": asked.prompt.text, "add_special_tokens": False}


def question_and_passages(asked: Asked) -> dict[str, Any]:
    """For this service, which formats the same prompt itself and scores the answer."""
    passages = [{"title": passage.title, "text": passage.text} for passage in asked.passages]
    return {"prompt": asked.question, "passages": passages}


@dataclass(frozen=True)
class Times:
    """What a client saw of some requests, in seconds."""

    seconds: float
    """From the first request's start to the last one's end."""
    tokens: int
    """Written, in all answers."""
    first_token: tuple[float, ...]
    """One a request."""
    between_tokens: tuple[float, ...]
    """One for each two pieces that follow each other in a stream."""
    latency: tuple[float, ...]
    """One a request."""

    @property
    def requests_per_second(self) -> float:
        """Throughput in requests."""
        return len(self.latency) / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Throughput in written tokens."""
        return self.tokens / self.seconds


def questions(
    examples: Sequence[Example], profiles: Sequence[str], formatter: PromptFormatter, count: int, first: int = 0
) -> list[Asked]:
    """`count` questions for profiles in turns, from the `first` of an endless row in which no prompt comes twice.

    Raises FgctlError without examples.
    """
    if not examples:
        raise FgctlError("The data holds no questions; name a file that does by --data.")
    asked = []
    for number in range(first, first + count):
        example = examples[number % len(examples)]
        # A number in the first title, so that nothing after it comes from a server's prefix cache.
        passages = list(example.passages) or [Passage(title="", text="")]
        passages[0] = Passage(title=f"{passages[0].title} ({number})".strip(), text=passages[0].text)
        prompt = formatter.format(example.question, passages)
        asked.append(Asked(profiles[number % len(profiles)], example.question, tuple(passages), prompt))
    return asked


async def drive(
    name: str, url: str, asked: Sequence[Asked], body: Body, *, concurrency: int, tokens: int, stagger: float = 0.0
) -> Times:
    """Ask, `concurrency` requests at a time, each for exactly `tokens` tokens.

    The first requests start `stagger` seconds after each other, the others when one ends. Raises FgctlError, naming
    the server, when a request fails.
    """
    waiting = iter(asked)
    client = _Client(name, url, body, tokens)

    async def stream(session: aiohttp.ClientSession, number: int) -> None:
        await asyncio.sleep(number * stagger)
        for one in waiting:
            await client.ask(one, session)

    async with _session(concurrency) as session:
        began = time.perf_counter()
        await asyncio.gather(*(stream(session, number) for number in range(concurrency)))
        return client.times(time.perf_counter() - began)


async def arrive(name: str, url: str, asked: Sequence[Asked], body: Body, *, rate: float, tokens: int) -> Times:
    """Ask, `rate` requests a second however many are still being answered, each for exactly `tokens` tokens.

    Raises FgctlError, naming the server, when a request fails.
    """
    client = _Client(name, url, body, tokens)

    async def one_of(session: aiohttp.ClientSession, number: int) -> None:
        await asyncio.sleep(number / rate)
        await client.ask(asked[number], session)

    async with _session(0) as session:
        began = time.perf_counter()
        await asyncio.gather(*(one_of(session, number) for number in range(len(asked))))
        return client.times(time.perf_counter() - began)


class _Client:
    """What has been asked of a server, and what was seen."""

    def __init__(self, name: str, url: str, body: Body, tokens: int) -> None:
        self._name = name
        self._url = url
        self._body = body
        self._tokens = tokens
        self._outputs: list[RequestFuncOutput] = []

    async def ask(self, one: Asked, session: aiohttp.ClientSession) -> None:
        from vllm.benchmarks.lib.endpoint_request_func import async_request_openai_completions

        request = _request(self._url, one, self._body, self._tokens)
        self._outputs.append(await async_request_openai_completions(request, session))

    def times(self, seconds: float) -> Times:
        for output in self._outputs:
            if not output.success:
                raise FgctlError(f"{self._name} failed on a request: {_last_line(output.error)}")
            if output.output_tokens != self._tokens:
                raise FgctlError(f"{self._name} wrote {output.output_tokens} tokens instead of {self._tokens}.")
        return Times(
            seconds,
            sum(output.output_tokens for output in self._outputs),
            tuple(output.ttft for output in self._outputs),
            tuple(gap for output in self._outputs for gap in output.itl),
            tuple(output.latency for output in self._outputs),
        )


def _session(limit: int) -> aiohttp.ClientSession:
    """Connections without a time-out, at most `limit` at once; any number for 0."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit), timeout=aiohttp.ClientTimeout(total=None))


def samples(url: str) -> list["Sample"]:
    """Every sample of a service's metrics."""
    text = httpx.get(f"{url}/metrics", timeout=60).text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """The percentiles of times, in milliseconds."""
    found = np.percentile(np.fromiter(values, float), PERCENTILES) * 1000
    return {f"p{percent}": float(value) for percent, value in zip(PERCENTILES, found, strict=True)}


def _request(url: str, asked: Asked, body: Body, tokens: int) -> "RequestFuncInput":
    from vllm.benchmarks.lib.endpoint_request_func import RequestFuncInput

    fields = body(asked)
    return RequestFuncInput(
        prompt=fields.pop("prompt"),
        api_url=f"{url}/v1/completions",
        prompt_len=len(asked.prompt.token_ids),
        output_len=tokens,
        model=asked.profile,
        ignore_eos=True,
        extra_body={"temperature": 0, **fields},
    )


def _last_line(error: str) -> str:
    lines = [line for line in error.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason."
