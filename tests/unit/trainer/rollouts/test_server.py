"""Rollouts by servers, against servers that speak vLLM's protocol and answer by adapter, prompt and seed."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from policies.store import ADAPTER
from rewards.errors import FgctlError
from trainer.processes import Processes
from trainer.recipe import load_recipe
from trainer.rollouts import server
from trainer.rollouts.server import ServerSampler


class Server(ThreadingHTTPServer):
    """A vLLM server with runtime LoRA updating, as far as a trainer can tell."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.adapters = {}
        self.asked = []
        self.loads = []
        self.failures = []
        """What the next requests come to instead: a status, or None for a closed connection."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, path, body):
        if path == "/v1/load_lora_adapter":
            return self._load(body)
        if path == "/v1/unload_lora_adapter":
            known = self.adapters.pop(body["lora_name"], None)
            return (404, {"error": {"message": "cannot be found"}}) if known is None else (200, "Success")
        if body["model"] not in self.adapters:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        if len(body["prompt"]) > 100:
            return 400, {"error": {"message": "the prompt is longer than the model's context"}}
        self.asked.append(body)
        return 200, {"choices": [self._choice(body, i) for i in reversed(range(body.get("n", 1)))]}

    def _load(self, body):
        file = Path(body["lora_path"], ADAPTER)
        if not file.is_file():
            return 404, {"error": {"message": f"no adapter in {body['lora_path']}"}}
        self.loads.append(body)
        if body["lora_name"] in self.adapters:
            return 400, {"error": {"message": "has already been loaded"}}
        self.adapters[body["lora_name"]] = file.read_text()
        return 200, "Success"

    def _choice(self, body, i):
        token_ids = [len(self.adapters[body["model"]]), sum(body["prompt"]), body.get("seed", 0) + i]
        scored = [None, *({str(token): {"logprob": -token / token_ids[0]}} for token in body["prompt"][1:])]
        logprobs = {"token_logprobs": [-0.5, -1.0, -2.0]}
        return {"index": i, "token_ids": token_ids, "logprobs": logprobs, "prompt_logprobs": scored}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        failure = self.server.failures.pop(0) if self.server.failures else 200
        if failure is None:
            self.close_connection = True
            return
        status, reply = self.server.answer(self.path, body) if failure == 200 else (failure, "busy")
        content = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        content = json.dumps({"data": [{"id": name} for name in self.server.adapters]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


class Adapter:
    """What the sampler needs of a model."""

    temperature = 0.7

    def __init__(self, content):
        self.content = content

    def save_adapter(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ADAPTER).write_text(self.content)
        (directory / "adapter_config.json").write_text("{}")


@pytest.fixture
def servers(monkeypatch):
    monkeypatch.setattr(server, "_PAUSES", (0.01,) * 3)
    started = [Server(), Server()]
    yield started
    for fake in started:
        fake.shutdown()
        fake.server_close()


@pytest.fixture
def sampler(servers, tmp_path):
    return ServerSampler([f"{fake.url}/" for fake in servers], tmp_path / "rollouts", Adapter(""), Processes())


def versions(tmp_path):
    return sorted(path.name for path in (tmp_path / "rollouts").iterdir())


def test_every_version_is_loaded_everywhere_and_the_one_before_forgotten(sampler, servers, tmp_path):
    sampler.synchronise(Adapter("one"), 3)
    (first,) = versions(tmp_path)
    assert first.startswith("step-000003-")
    sampler.synchronise(Adapter("another"), 4)
    (second,) = versions(tmp_path)
    assert second.startswith("step-000004-")
    for fake in servers:
        assert fake.adapters == {second: "another"}
    sampler.close()
    assert [fake.adapters for fake in servers] == [{}, {}]
    assert not (tmp_path / "rollouts").exists()


def test_a_name_never_means_two_adapters(sampler, servers, tmp_path):
    names = []
    for content in ("one", "other", "one"):
        sampler.synchronise(Adapter(content), 5)
        names += versions(tmp_path)
        assert [set(fake.adapters.values()) for fake in servers] == [{content}] * 2
    assert names[0] == names[2] != names[1]


def test_no_load_is_in_place_and_what_a_server_holds_already_counts_as_loaded(sampler, servers):
    sampler.synchronise(Adapter("one"), 5)
    sampler.synchronise(Adapter("one"), 5)
    assert [set(fake.adapters.values()) for fake in servers] == [{"one"}] * 2
    assert all(set(load) == {"lora_name", "lora_path"} for fake in servers for load in fake.loads)


def test_what_a_killed_run_left_is_cleared(sampler, servers, tmp_path):
    left = tmp_path / "rollouts" / "step-000001-0123456789ab"
    Adapter("left").save_adapter(left)
    Adapter("half written").save_adapter(left.with_name("next"))
    servers[1].adapters[left.name] = "left"
    sampler.synchronise(Adapter("new"), 2)
    assert [set(fake.adapters.values()) for fake in servers] == [{"new"}] * 2
    assert len(versions(tmp_path)) == 1


def test_prompts_are_spread_and_seeded_by_their_place(sampler, servers):
    sampler.synchronise(Adapter("adapter"))
    prompts = [[1, 2], [3], [4, 5]]
    whole = sampler.sample(prompts, 2, 16, 7)
    assert [[s.token_ids for s in samples] for samples in whole] == [
        [[7, 3, 70_000], [7, 3, 70_001]],
        [[7, 3, 70_002], [7, 3, 70_003]],
        [[7, 9, 70_004], [7, 9, 70_005]],
    ]
    assert whole[0][0].logprobs == [-0.5, -1.0, -2.0]
    assert sorted(len(fake.asked) for fake in servers) == [1, 2]
    assert sampler.sample([prompts[2], prompts[0]], 2, 16, 7, places=[2, 0]) == [whole[2], whole[0]]
    assert sampler.sample([], 2, 16, 7) == []
    (request,) = servers[1].asked
    asked = {"n": 2, "max_tokens": 16, "temperature": 0.7, "top_p": 1.0, "top_k": 0, "logprobs": 0}
    assert asked.items() <= request.items()


def test_greedy_answers_ask_for_no_generator_and_no_log_probabilities(sampler, servers):
    sampler.synchronise(Adapter("adapter"))
    ((answer,),) = sampler.sample([[1, 2]], 1, 16, 7, temperature=0)
    assert (answer.token_ids, answer.logprobs) == ([7, 3, 0], [])
    (request,) = servers[0].asked
    assert (request["temperature"], {"seed", "logprobs"} & request.keys()) == (0, set())


def test_the_probe_tells_versions_apart(sampler):
    sampler.synchronise(Adapter("four"))
    assert sampler.logprobs([8, 2, 4]) == [-0.5, -1.0]
    sampler.synchronise(Adapter("eight..."))
    assert sampler.logprobs([8, 2, 4]) == [-0.25, -0.5]


def test_a_busy_or_broken_connection_is_tried_again(sampler, servers):
    sampler.synchronise(Adapter("adapter"))
    servers[0].failures += [None, 503, None]
    assert len(sampler.sample([[1]], 1, 4, 0)[0]) == 1
    servers[0].failures += [None] * 4
    with pytest.raises(FgctlError, match=rf"{servers[0].url} did not answer.*4 times"):
        sampler.sample([[1]], 1, 4, 0)


def test_a_server_that_was_restarted_gets_the_version_again(sampler, servers):
    sampler.synchronise(Adapter("adapter"))
    servers[0].adapters.clear()
    assert sampler.sample([[1]], 1, 4, 0)[0][0].token_ids == [7, 1, 0]
    assert list(servers[0].adapters.values()) == ["adapter"]


def test_what_a_server_refuses_is_said(sampler, servers):
    sampler.synchronise(Adapter("adapter"))
    with pytest.raises(FgctlError, match="answered 400: the prompt is longer"):
        sampler.sample([[1] * 101], 1, 4, 0)

    class Nothing(Adapter):
        def save_adapter(self, directory):
            super().save_adapter(directory)
            servers[1].answer = lambda path, body: (500, {"error": {"message": "rank 16 is greater than 8"}})

    with pytest.raises(FgctlError, match=r"cannot load .*rank 16 is greater than 8.*--max-lora-rank"):
        sampler.synchronise(Nothing("new"))


def test_a_recipe_for_servers_names_them():
    with pytest.raises(FgctlError, match=r"needs ppo\.rollout_servers"):
        load_recipe("smoke", ["ppo.rollouts=server"])
    recipe = load_recipe("smoke", ["ppo.rollouts=server", 'ppo.rollout_servers=["http://a:8000"]'])
    assert recipe.ppo.rollout_servers == ("http://a:8000",)


def test_shares_must_be_even_and_a_spread_base_needs_servers():
    from trainer.ppo_run import check_shares

    recipe = load_recipe("smoke").ppo
    check_shares(recipe, SimpleNamespace(count=2, sharded=False))
    with pytest.raises(FgctlError, match="a multiple of 3"):
        check_shares(recipe, SimpleNamespace(count=3, sharded=False))
    with pytest.raises(FgctlError, match=r"ppo\.rollouts=server"):
        check_shares(recipe, SimpleNamespace(count=2, sharded=True))
