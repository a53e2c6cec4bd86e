"""Rollouts by vLLM servers, which load the policy's adapter before every step from a new directory.

An adapter is named by step and content. Servers key their prefix caches by an adapter's name, so a name must never
mean two adapters, not even in another run or after a resumption.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from policies.store import ADAPTER
from rewards.dataset import file_digest
from rewards.errors import FgctlError
from trainer.policy_model import PolicyModel
from trainer.processes import Processes
from trainer.rollouts.choose_sampler import Setting
from trainer.rollouts.sampler import Sampled

T = TypeVar("T")
R = TypeVar("R")

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds before each retry of a request that a server does not answer."""
_OPEN_REQUESTS = 256
"""Requests that a process has open at a time; a server queues what it cannot batch."""
_TIMEOUT = httpx.Timeout(600.0, connect=10.0)
_SCRATCH = "next"


class ServerSampler:
    """Samples through the OpenAI completions API of servers with runtime LoRA updating."""

    def __init__(self, servers: Sequence[str], directory: Path, model: PolicyModel, processes: Processes) -> None:
        """`directory` holds the adapters; trainer and servers see it at the same path."""
        self._servers = [server.rstrip("/") for server in servers]
        self._directory = directory.resolve()
        self._temperature = model.temperature
        self._processes = processes
        self._version = ""
        limits = httpx.Limits(max_connections=_OPEN_REQUESTS, max_keepalive_connections=_OPEN_REQUESTS)
        self._http = httpx.Client(timeout=_TIMEOUT, limits=limits)

    def synchronise(self, model: PolicyModel, step: int = 0) -> None:
        """Write the adapter, load it on every server, then unload and remove the previous one.

        Raises FgctlError when a server does not answer or cannot load it.
        """
        self._version = self._processes.on_main(lambda: self._publish(model, step))

    def logprobs(self, tokens: Sequence[int]) -> list[float]:
        """See Sampler; asks the first server."""
        body = {"prompt": list(tokens), "max_tokens": 1, "prompt_logprobs": 0, "temperature": self._temperature}
        (choice,) = self._complete(self._servers[0], body)
        pairs = zip(tokens[1:], choice["prompt_logprobs"][1:], strict=True)
        return [entry[str(token)]["logprob"] for token, entry in pairs]

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        max_new_tokens: int,
        seed: int,
        *,
        top_p: float = 1.0,
        temperature: float | None = None,
        places: Sequence[int] | None = None,
    ) -> list[list[Sampled]]:
        """See Sampler. A prompt's place determines its server and its seed."""

        def ask(place: int, prompt: Sequence[int]) -> list[Sampled]:
            greedy = temperature == 0
            body = {
                "prompt": list(prompt),
                "n": n,
                "max_tokens": max_new_tokens,
                "temperature": self._temperature if temperature is None else temperature,
                "top_p": top_p,
                # A server's own defaults may come from the base's generation_config.json.
                "top_k": 0,
                "min_p": 0.0,
                "repetition_penalty": 1.0,
                "return_token_ids": True,
            } | ({} if greedy else {"seed": seed * 10_000 + place * n, "logprobs": 0})
            choices = self._complete(self._servers[place % len(self._servers)], body)
            return [Sampled(c["token_ids"], [] if greedy else c["logprobs"]["token_logprobs"]) for c in choices]

        placed = list(zip(places or range(len(prompts)), prompts, strict=True))
        return _in_parallel(lambda item: ask(*item), placed)

    def close(self) -> None:
        """Unload the adapter from the servers that still answer."""
        if self._processes.main:
            with suppress(httpx.HTTPError):
                for server in self._servers:
                    self._http.post(f"{server}/v1/unload_lora_adapter", json={"lora_name": self._version})
            shutil.rmtree(self._directory, ignore_errors=True)
        self._http.close()

    def _publish(self, model: PolicyModel, step: int) -> str:
        scratch = self._directory / _SCRATCH
        model.save_adapter(scratch)
        version = f"step-{step:06d}-{file_digest(scratch / ADAPTER)[:12]}"
        target = self._directory / version
        if target.is_dir():
            shutil.rmtree(scratch)
        else:
            scratch.rename(target)
        _in_parallel(partial(self._load, version), self._servers)
        for old in self._directory.iterdir():
            if old.name != version:
                _in_parallel(partial(self._unload, old.name), self._servers)
                shutil.rmtree(old)
        return version

    def _load(self, version: str, server: str) -> None:
        """Load a version, unless the server holds it: a name stands for one content.

        Without `load_inplace`, which vLLM keeps with the adapter, to read it from disk again at every step.
        """
        body = {"lora_name": version, "lora_path": str(self._directory / version)}
        reply = self._post(server, "/v1/load_lora_adapter", body)
        if reply.status_code != 200 and not self._holds(version, server):
            raise FgctlError(
                f"Rollout server {server} cannot load {self._directory / version} ({_reason(reply)}); start it with "
                f"--enable-lora, --max-lora-rank of at least lora.rank, and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, on a "
                f"machine that sees that directory."
            )

    def _holds(self, version: str, server: str) -> bool:
        reply = self._send(server, "GET", "/v1/models")
        return reply.status_code == 200 and any(model["id"] == version for model in reply.json()["data"])

    def _unload(self, version: str, server: str) -> None:
        """Unload a version; a server that was restarted does not have it, which is fine."""
        self._post(server, "/v1/unload_lora_adapter", {"lora_name": version})

    def _complete(self, server: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The choices of a completion by the current adapter, in order."""
        body = body | {"model": self._version}
        reply = self._post(server, "/v1/completions", body)
        if reply.status_code == 404:  # the server was restarted after it loaded the adapter
            self._load(self._version, server)
            reply = self._post(server, "/v1/completions", body)
        if reply.status_code != 200:
            raise FgctlError(f"Rollout server {server} answered {reply.status_code}: {_reason(reply)}.")
        choices: list[dict[str, Any]] = reply.json()["choices"]
        return sorted(choices, key=lambda choice: int(choice["index"]))

    def _post(self, server: str, path: str, body: dict[str, Any]) -> httpx.Response:
        return self._send(server, "POST", path, body)

    def _send(self, server: str, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """A server's reply; retried while the server is unreachable or not ready."""
        for pause in (*_PAUSES, None):
            try:
                reply = self._http.request(method, server + path, json=body)
                if reply.status_code not in (502, 503, 504):
                    return reply
                problem = f"answered {reply.status_code}"
            except httpx.TransportError as error:
                problem = f"did not answer ({error or type(error).__name__})"
            if pause is not None:
                time.sleep(pause)
        raise FgctlError(f"Rollout server {server} {problem}, {len(_PAUSES) + 1} times; start it, and run again.")


def _in_parallel(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Call the function on every item, in parallel. Raises the first exception."""
    if not items:
        return []
    with ThreadPoolExecutor(min(_OPEN_REQUESTS, len(items))) as pool:
        return list(pool.map(function, items))


def _reason(reply: httpx.Response) -> str:
    """The error in a server's reply: vLLM's message, if there is one."""
    try:
        return str(reply.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return reply.text[:200] or f"status {reply.status_code}"


def make(setting: Setting) -> ServerSampler:
    """The sampler of a run."""
    return ServerSampler(setting.servers, setting.directory, setting.model, setting.processes or Processes())
