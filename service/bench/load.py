"""Requests to a server with OpenAI's interface, and their times as a client sees them.

The client and the definitions are those of `vllm bench serve` (vllm/benchmarks), whose function sends the requests and
measures the times.

- Time to first token: from sending a request to its first piece.
- Inter-token latency: between successive pieces of a stream; the pieces of all streams count alike.
- Latency: from sending a request to its last piece.
- Requests and tokens per second: those of all requests, divided by the time from the start of the first request to the
  end of the last. Tokens are the written ones, as the server's usage counts them.
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
class Request:
    """A question to a profile, with its prompt as the service formats it."""

    profile: str
    question: str
    passages: tuple[Passage, ...]
    prompt: Prompt


MakeRequests = Callable[[int, int], list[Request]]
"""Gives a number of requests, from some number on: `make(8, 2)` gives requests 2 to 9 of an endless sequence."""
Progress = Callable[[str], None]
"""Is told what a benchmark does now."""
Body = Callable[[Request], dict[str, Any]]
"""Gives the fields of POST /v1/completions that hold the prompt."""


def whole_prompt(request: Request) -> dict[str, Any]:
    """The body for vLLM's own server: the formatted prompt."""
    return {"prompt": request.prompt.text, "add_special_tokens": False}


def question_and_passages(request: Request) -> dict[str, Any]:
    """The body for this service, which formats the same prompt itself and scores the answer."""
    passages = [{"title": passage.title, "text": passage.text} for passage in request.passages]
    return {"prompt": request.question, "passages": passages}


@dataclass(frozen=True)
class Times:
    """The times of some requests as their client saw them, in seconds."""

    seconds: float
    """From the start of the first request to the end of the last."""
    tokens: int
    """Tokens written in all answers."""
    first_token: tuple[float, ...]
    """Time to first token of each request."""
    between_tokens: tuple[float, ...]
    """Inter-token latency of each two successive pieces of a stream."""
    latency: tuple[float, ...]
    """Latency of each request."""

    @property
    def requests_per_second(self) -> float:
        """Throughput in requests per second."""
        return len(self.latency) / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Throughput in written tokens per second."""
        return self.tokens / self.seconds


def make_requests(
    examples: Sequence[Example], profiles: Sequence[str], formatter: PromptFormatter, count: int, first: int = 0
) -> list[Request]:
    """Requests `first` to `first + count - 1` of an endless sequence without repeated prompts; profiles alternate.

    Raises FgctlError without examples.
    """
    if not examples:
        raise FgctlError("The data holds no questions; name a file with questions by --data.")
    requests = []
    for number in range(first, first + count):
        example = examples[number % len(examples)]
        # The number in the first title keeps everything after it out of a server's prefix cache.
        passages = list(example.passages) or [Passage(title="", text="")]
        passages[0] = Passage(title=f"{passages[0].title} ({number})".strip(), text=passages[0].text)
        prompt = formatter.format(example.question, passages)
        requests.append(Request(profiles[number % len(profiles)], example.question, tuple(passages), prompt))
    return requests


async def run_closed_loop(
    name: str,
    url: str,
    requests: Sequence[Request],
    body: Body,
    *,
    concurrency: int,
    tokens: int,
    stagger: float = 0.0,
) -> Times:
    """Send the requests with `concurrency` open at a time, each for exactly `tokens` tokens.

    The first requests start `stagger` seconds apart, each other one when a request ends. Raises FgctlError, naming the
    server, when a request fails.
    """
    waiting = iter(requests)
    client = _Client(name, url, body, tokens)

    async def stream(session: aiohttp.ClientSession, number: int) -> None:
        await asyncio.sleep(number * stagger)
        for request in waiting:
            await client.send(request, session)

    async with _session(concurrency) as session:
        began = time.perf_counter()
        await asyncio.gather(*(stream(session, number) for number in range(concurrency)))
        return client.times(time.perf_counter() - began)


async def run_open_loop(
    name: str, url: str, requests: Sequence[Request], body: Body, *, rate: float, tokens: int
) -> Times:
    """Send `rate` requests per second however many are still open, each for exactly `tokens` tokens.

    Raises FgctlError, naming the server, when a request fails.
    """
    client = _Client(name, url, body, tokens)

    async def send_in_time(session: aiohttp.ClientSession, number: int) -> None:
        await asyncio.sleep(number / rate)
        await client.send(requests[number], session)

    async with _session(0) as session:
        began = time.perf_counter()
        await asyncio.gather(*(send_in_time(session, number) for number in range(len(requests))))
        return client.times(time.perf_counter() - began)


class _Client:
    """Sends requests to a server and collects their times."""

    def __init__(self, name: str, url: str, body: Body, tokens: int) -> None:
        self._name = name
        self._url = url
        self._body = body
        self._tokens = tokens
        self._outputs: list[RequestFuncOutput] = []

    async def send(self, request: Request, session: aiohttp.ClientSession) -> None:
        from vllm.benchmarks.lib.endpoint_request_func import async_request_openai_completions

        function_input = _function_input(self._url, request, self._body, self._tokens)
        self._outputs.append(await async_request_openai_completions(function_input, session))

    def times(self, seconds: float) -> Times:
        for output in self._outputs:
            if not output.success:
                raise FgctlError(f"{self._name} failed on a request: {_last_line(output.error)}")
            if output.output_tokens != self._tokens:
                raise FgctlError(
                    f"{self._name} wrote {output.output_tokens} tokens instead of {self._tokens}; its log may say why."
                )
        return Times(
            seconds,
            sum(output.output_tokens for output in self._outputs),
            tuple(output.ttft for output in self._outputs),
            tuple(gap for output in self._outputs for gap in output.itl),
            tuple(output.latency for output in self._outputs),
        )


def _session(limit: int) -> aiohttp.ClientSession:
    """A session without time-outs and with at most `limit` connections; 0 for any number."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit), timeout=aiohttp.ClientTimeout(total=None))


def samples(url: str) -> list["Sample"]:
    """All samples of a service's metrics."""
    text = httpx.get(f"{url}/metrics", timeout=60).text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """The percentiles of times, in milliseconds."""
    milliseconds = np.percentile(np.fromiter(values, float), PERCENTILES) * 1000
    return {f"p{percent}": float(value) for percent, value in zip(PERCENTILES, milliseconds, strict=True)}


def _function_input(url: str, request: Request, body: Body, tokens: int) -> "RequestFuncInput":
    from vllm.benchmarks.lib.endpoint_request_func import RequestFuncInput

    fields = body(request)
    return RequestFuncInput(
        prompt=fields.pop("prompt"),
        api_url=f"{url}/v1/completions",
        prompt_len=len(request.prompt.token_ids),
        output_len=tokens,
        model=request.profile,
        ignore_eos=True,
        extra_body={"temperature": 0, **fields},
    )


def _last_line(error: str) -> str:
    lines = [line for line in error.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason; see its log."
