"""Rollouts by vLLM servers, which load the policy adapter from a directory of its own for every version.

A version is named by its step and its content: servers key their prefix caches by an adapter's name, so a name must
never mean two adapters, whatever run or resumption wrote them.
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
from trainer.rollouts.sampler import Sampled

T = TypeVar("T")
R = TypeVar("R")

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds before each retry of a request that a server did not answer."""
_AT_ONCE = 256
"""Requests a process has under way; a server queues what it cannot batch."""
_TIMEOUT = httpx.Timeout(600.0, connect=10.0)
_SCRATCH = "next"


class ServerSampler:
    """Samples by the OpenAI completions API of servers with runtime LoRA updating."""

    def __init__(self, servers: Sequence[str], directory: Path, model: PolicyModel, processes: Processes) -> None:
        """`directory` holds the versions, at the same path for trainer and servers."""
        self._servers = [server.rstrip("/") for server in servers]
        self._directory = directory.resolve()
        self._temperature = model.temperature
        self._processes = processes
        self._version = ""
        limits = httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE)
        self._http = httpx.Client(timeout=_TIMEOUT, limits=limits)

    def synchronise(self, model: PolicyModel, step: int = 0) -> None:
        """Write the adapter, load it on every server, then forget the one before.

        Raises FgctlError when a server does not answer or cannot load it.
        """
        self._version = self._processes.on_main(lambda: self._publish(model, step))

    def logprobs(self, tokens: Sequence[int]) -> list[float]:
        """See Sampler; of the first server."""
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
        """See Sampler. Prompts are spread over the servers by their place; each has a seed of its own."""

        def ask(place: int, prompt: Sequence[int]) -> list[Sampled]:
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
                "seed": seed * 10_000 + place * n,
                "logprobs": 0,
                "return_token_ids": True,
            }
            choices = self._complete(self._servers[place % len(self._servers)], body)
            return [Sampled(c["token_ids"], c["logprobs"]["token_logprobs"]) for c in choices]

        asked = list(zip(places or range(len(prompts)), prompts, strict=True))
        return _at_once(lambda one: ask(*one), asked)

    def close(self) -> None:
        """Unload the adapter where that is still possible."""
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
        _at_once(partial(self._load, version), self._servers)
        for old in self._directory.iterdir():
            if old.name != version:
                _at_once(partial(self._unload, old.name), self._servers)
                shutil.rmtree(old)
        return version

    def _load(self, version: str, server: str) -> None:
        body = {"lora_name": version, "lora_path": str(self._directory / version), "load_inplace": True}
        reply = self._post(server, "/v1/load_lora_adapter", body)
        if reply.status_code != 200:
            raise FgctlError(
                f"Rollout server {server} cannot load {self._directory / version} ({_reason(reply)}); start it with "
                f"--enable-lora, a --max-lora-rank as large as lora.rank, and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, "
                f"where it sees that directory."
            )

    def _unload(self, version: str, server: str) -> None:
        """Forget a version; a server that was restarted never knew it."""
        self._post(server, "/v1/unload_lora_adapter", {"lora_name": version})

    def _complete(self, server: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The choices of a completion by the current version, in order."""
        body = body | {"model": self._version}
        reply = self._post(server, "/v1/completions", body)
        if reply.status_code == 404:  # restarted since it loaded the version
            self._load(self._version, server)
            reply = self._post(server, "/v1/completions", body)
        if reply.status_code != 200:
            raise FgctlError(f"Rollout server {server} answered {reply.status_code}: {_reason(reply)}.")
        choices: list[dict[str, Any]] = reply.json()["choices"]
        return sorted(choices, key=lambda choice: int(choice["index"]))

    def _post(self, server: str, path: str, body: dict[str, Any]) -> httpx.Response:
        """What a server answers, asked again while it is not reachable or says that it is not ready."""
        for pause in (*_PAUSES, None):
            try:
                reply = self._http.post(server + path, json=body)
                if reply.status_code not in (502, 503, 504):
                    return reply
                happened = f"answered {reply.status_code}"
            except httpx.TransportError as error:
                happened = f"did not answer ({error or type(error).__name__})"
            if pause is not None:
                time.sleep(pause)
        raise FgctlError(f"Rollout server {server} {happened}, {len(_PAUSES) + 1} times; start it, and run again.")


def _at_once(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The function of each item, all at the same time. Raises what the first of them raises."""
    if not items:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(items))) as pool:
        return list(pool.map(function, items))


def _reason(reply: httpx.Response) -> str:
    """What a server says is wrong: vLLM's message where it is one."""
    try:
        return str(reply.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return reply.text[:200] or f"status {reply.status_code}"
