"""The servers that are compared: their commands, requests and names."""

import importlib.util
from contextlib import nullcontext

import pytest

from policies.base import BaseModel
from service.bench import servers
from service.bench.load import question_and_passages, whole_prompt
from service.bench.servers import contenders, start_at_fixed_speed, vllm_command
from service.settings import Settings


def test_vllm_accepts_its_command_line(policies):
    pytest.importorskip("vllm")
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    base = BaseModel("base", policies[0].path, "b")
    command = vllm_command(base, policies, Settings(max_num_seqs=16), 1234)
    parsed = make_arg_parser(FlexibleArgumentParser()).parse_args(command[3:])
    assert parsed.model == str(base.path)
    assert (parsed.port, parsed.host, parsed.max_num_seqs, parsed.max_model_len) == (1234, "127.0.0.1", 16, 2048)
    assert (parsed.enable_lora, parsed.max_loras, parsed.max_lora_rank) == (True, 12, 16)
    assert parsed.lora_target_modules == ["q_proj", "v_proj"]
    assert (parsed.enable_prefix_caching, parsed.enable_chunked_prefill) == (True, False)
    modules = [(module.name, module.path) for module in parsed.lora_modules]
    assert modules == [(policy.profile, str(policy.path)) for policy in policies]


def test_each_server_has_its_own_form_of_requests():
    theirs, ours = contenders([0.1])
    assert (theirs.body, theirs.ready_at) == (whole_prompt, "/health")
    assert (ours.body, ours.ready_at) == (question_and_passages, "/readyz")
    assert ours.name == "fgctl serve, scoring 10%"


def test_the_service_at_fixed_speed_is_a_module_that_exists(monkeypatch):
    commands = []

    def program(name, command, environment):
        commands.append(command)
        assert environment["FGCTL_SCORING_SHARE"] == "0"
        return nullcontext("the program")

    monkeypatch.setattr(servers, "Program", program)
    monkeypatch.setattr(servers, "wait_until_ready", lambda program, url: None)
    with start_at_fixed_speed(Settings(), {"FGCTL_SCORING_SHARE": "0"}) as (running, url):
        assert running == "the program"
    _, option, module, port = commands[0]
    assert option == "-m"
    assert importlib.util.find_spec(module) is not None
    assert url == f"http://127.0.0.1:{port}"
