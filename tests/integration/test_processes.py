"""Several processes train as one does: the same prompts, losses, gradients, updates and metrics."""

import json
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from policies.store import SFT, PolicyStore
from rewards.dataset import SAMPLE
from trainer.processes import Processes

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("shared_steps.py")
ALONE = ("seconds/", "episodes_per_minute")
"""Metrics of the clock."""


@pytest.fixture(scope="module")
def parent(tiny, making, tmp_path_factory):
    return making.adapter(tiny, tmp_path_factory.mktemp("parent"), 0, 0.05, top_layers=2)


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.fixture
def double(environment, free_port):
    """Environments of two processes on this machine."""
    everywhere = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port, "OMP_NUM_THREADS": "1"}
    here = environment | everywhere | {"PYTHONPATH": str(ROOT)}
    return [here | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]


def check_alike(single, other):
    """The same but for the order in which floats were added up."""
    assert single["metrics"][0].keys() == other["metrics"][0].keys()
    for step, metrics in enumerate(single["metrics"]):
        for name, value in metrics.items():
            if not name.startswith(ALONE):
                assert other["metrics"][step][name] == pytest.approx(value, rel=1e-4, abs=1e-5), (step, name)
    # Adam's moments are averages of the summed, clipped gradients and of their squares.
    torch.testing.assert_close(other["state"], single["state"], rtol=1e-3, atol=1e-6, check_stride=False)


def test_two_processes_do_what_one_does(tiny, parent, double, tmp_path):
    command = [sys.executable, SCRIPT, tiny.path, parent, tmp_path]
    children = [subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) for environment in double]
    single = runpy.run_path(str(SCRIPT))["run"](tiny.path, parent, Processes())
    for child in children:
        _, err = child.communicate(timeout=600)
        assert child.returncode == 0, err.decode()
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(2)]
    assert single["gae"]["metrics"][1]["policy/skipped"] == 0 < single["gae"]["metrics"][1]["policy/grad_norm"]
    for spread in ("whole", "sharded"):
        for way, alone in single.items():
            first, second = (rank[spread][way] for rank in ranks)
            torch.testing.assert_close(first["state"], second["state"], rtol=0, atol=0)
            check_alike(alone, first)
            check_alike(alone, second)
            assert sorted(first["judged"] + second["judged"]) == sorted(alone["judged"])
            assert len(first["judged"]) == len(second["judged"])
            assert first["held"] == second["held"] == (1 if spread == "whole" else 0.5)
    check_messages(*(rank["messages"] for rank in ranks))


def check_messages(main, other):
    assert (main["main"], other["main"]) == (True, False)
    assert main["failure"] == other["failure"] == "the disk is full"
    assert main["told"] == other["told"] == main["pid"] != other["pid"]
    for told in (main, other):  # what one process cannot use, none does
        assert told["gradient"][0] == 1
        assert told["gradient"].isnan().tolist() == [False, True]


def test_the_documented_command_goes_on_with_any_number_of_processes(
    tiny, parent, making, environment, free_port, tmp_path
):
    store = PolicyStore(tmp_path / "policies")
    store.promote(SFT, making.policy(store, tiny, SFT, parent, None).version)
    environment = environment | {"FGCTL_POLICIES": str(store.root), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", free_port, "-m"]

    def train(run, steps, *launcher):
        arguments = ["--weights", "1,1,1", "--profile", "medium", "--data", SAMPLE / "train.json", "--base", tiny.path]
        settings = ["ppo.rollouts=transformers", "lora.top_layers=2", "ppo.max_new_tokens=8", f"ppo.steps={steps}"]
        command = [sys.executable, "-m", *launcher, "cli", "train", *arguments, "--recipe", "smoke"]
        command += [part for setting in settings for part in ("--set", setting)]
        return subprocess.Popen(
            list(map(str, [*command, "--run", tmp_path / run, "--json"])),
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(process, steps):
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        assert json.loads(out)["steps"] == steps  # printed once

    alone = train("alone", 3)
    for steps, prefix in ((1, launcher), (2, ()), (3, launcher)):
        finish(train("changing", steps, *prefix), steps)
    finish(alone, 3)
    logs = {
        run: [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").open()] for run in ("alone", "changing")
    }
    assert [line["step"] for line in logs["changing"]] == [0, 1, 2]
    assert len(list((tmp_path / "changing" / "tensorboard").iterdir())) == 3  # by the main process of each
    for single, other in zip(logs["alone"], logs["changing"], strict=True):
        for name, value in single.items():
            if not name.startswith(ALONE):
                # Rows are packed otherwise, and bf16 rounds otherwise.
                assert other[name] == pytest.approx(value, rel=0.02, abs=2e-3), name
