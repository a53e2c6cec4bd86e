"""Training by the real commands, on the project's own sample, with the engine that is installed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rewards.dataset import SAMPLE, Example, Passage, load_answers, load_examples
from rewards.scorer import Scorer
from trainer.packing import Group, pack
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe, load_recipe
from trainer.rollouts.transformers import TransformersSampler

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def fgctl(store, environment):
    environment = environment | {"FGCTL_POLICIES": str(store.root), "FGCTL_DATA": "", "COLUMNS": "200"}

    def start(*arguments):
        command = [sys.executable, "-m", "cli", *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


def train(fgctl, run, *, steps, profile="medium"):
    arguments = ["--data", SAMPLE / "train.json", "--recipe", "smoke", "--steps", steps, "--run", run, "--json"]
    return fgctl("train", "--weights", "0.3,0.5,0.2", "--profile", profile, *arguments)


def finished(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)


def test_a_killed_run_goes_on_and_ends_like_an_uninterrupted_one(fgctl, store, tmp_path):
    whole = finished(train(fgctl, tmp_path / "whole", steps=3))
    killed = train(fgctl, tmp_path / "killed", steps=3)
    log = tmp_path / "killed" / "metrics.jsonl"
    while not (log.is_file() and log.read_text().count("\n") >= 2):
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    resumed = finished(train(fgctl, tmp_path / "killed", steps=3))
    assert resumed["version"] == whole["version"]
    logs = [[json.loads(line) for line in (tmp_path / run / "metrics.jsonl").open()] for run in ("whole", "killed")]
    assert [[m["step"], m["reward/weighted"], m["kl/response"]] for m in logs[0]] == [
        [m["step"], m["reward/weighted"], m["kl/response"]] for m in logs[1]
    ]
    assert list((tmp_path / "whole" / "tensorboard").iterdir())
    check_policy(store, whole)


def check_policy(store, manifest):
    directory = store.verify("medium", manifest["version"])
    assert manifest["weights"] == pytest.approx({"relevance": 0.3, "factuality": 0.5, "completeness": 0.2})
    assert manifest["parent"]["version"] == store.profile("sft").version
    assert manifest["rewards"]["version"] == Scorer.load().version
    seen = Scorer.load().feedback.fitted
    assert {one["name"]: one["digest"] for one in manifest["rewards"]["feedback"]["data"]} == seen.data
    assert manifest["steps"] == 3
    assert (directory / "adapter_model.safetensors").stat().st_size < 4 << 20


def test_a_run_directory_of_other_settings_is_refused(fgctl, tmp_path):
    (tmp_path / "settings.json").write_text("{}")
    out, err = train(fgctl, tmp_path, steps=1).communicate()
    assert (out, err.count("\n")) == ("", 1)
    assert "other settings" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weights", "1,2", "--profile", "medium"], "three numbers"),
        (["--weights", "1,1,1", "--profile", "../up"], "not a name"),
        (["--weights", "1,1,1", "--profile", "sft"], "reserved"),
        (["--weights", "1,1,1", "--profile", "a", "--recipe", "none"], "choose cpu, gpu, paper, smoke"),
        (["--weights", "1,1,1", "--profile", "a", "--set", "ppo.lr=1"], "ppo.lr"),
        (["--weights", "1,1,1", "--profile", "a", "--data", "none.json"], "none.json"),
        (["--weights", "1,1,1", "--profile", "a", "--base", "/nowhere"], "--base"),
    ],
)
def test_errors_are_one_sentence(fgctl, arguments, said):
    process = fgctl("train", *arguments)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert err.startswith("fgctl: ")
    assert err.count("\n") == 1
    assert said in err


def test_sft_trains_and_resumes(fgctl, store, tmp_path):
    arguments = ["--data", SAMPLE / "train.json", "--recipe", "smoke", "--run", tmp_path, "--json"]
    first = finished(fgctl("sft", *arguments))
    assert first["profile"] == "sft"
    assert first["weights"] is None
    assert finished(fgctl("sft", *arguments))["version"] == first["version"]


def test_an_experiment_compares_its_arms_and_is_not_done_twice(fgctl, tmp_path):
    rows = json.loads((SAMPLE / "train.json").read_text())
    (tmp_path / "held_out.json").write_text(json.dumps(rows[:2]))
    out = tmp_path / "experiment"
    arguments = ["--budget", 8, "--recipe", "smoke", "--set", "ppo.rollouts=transformers"]
    data = ["--data", SAMPLE / "train.json", "--held-out", tmp_path / "held_out.json", "--out", out, "--json"]
    found = finished(fgctl("experiment", "holistic", *arguments, *data))
    assert [(arm["arm"], arm["episodes"]) for arm in found["arms"]] == [("fine-grained", 8), ("holistic", 8)]
    assert found["ahead"]["steps"] == 1
    results = json.loads((out / "results.json").read_text())
    assert [step["episodes"] for step in results["runs"][1]["curve"]] == [4, 8]
    assert results["runs"][0]["curve"][0] == results["runs"][1]["curve"][0]  # both begin as the parent
    assert "<svg" in (out / "curves.svg").read_text()
    written = {path: path.stat().st_mtime_ns for path in out.glob("*/metrics.jsonl")} | {
        path: path.stat().st_mtime_ns for path in out.glob("evaluations/*")
    }
    assert finished(fgctl("experiment", "holistic", *arguments, *data)) == found
    assert {path: path.stat().st_mtime_ns for path in written} == written
    out, err = fgctl("experiment", "holistic", "--set", "ppo.lr=1", *data).communicate(timeout=60)
    assert (out, err.count("\n")) == ("", 1)
    assert "ppo.lr" in err


def test_answers_are_sampled_and_an_interrupted_file_goes_on(fgctl, tmp_path):
    out = tmp_path / "answers.jsonl"
    asked = [json.dumps({"question": e.question, "response": "Kept."}) for e in load_examples(SAMPLE / "train.json")]
    out.write_text("\n".join(asked[:20]) + "\n" + asked[20][:30])
    process = fgctl("sample", "--data", SAMPLE / "train.json", "--out", out, "--samples", 1, "--max-tokens", 8)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    answers = load_answers(out)
    assert len(answers) == len(asked)
    assert [texts == ["Kept."] for texts in answers.values()] == [True] * 20 + [False] * 4
    assert {len(texts) for texts in answers.values()} == {1}
    assert "24 of 24 questions answered" in err


def test_a_policy_that_does_nothing_evaluates_like_the_base(fgctl, tmp_path):
    data = tmp_path / "questions.json"
    data.write_text(json.dumps(json.loads((SAMPLE / "dev.json").read_text())[:3]))
    names = [argument for name in ("base", "first", "idle") for argument in ("--profile", name)]
    base, first, idle = finished(fgctl("evaluate", *names, "--data", data, "--no-judge", "--json"))
    base_nll, first_nll, idle_nll = (one["per_question"]["nll"] for one in (base, first, idle))
    assert idle_nll == base_nll != first_nll
    (with_base, _) = idle["pairs"]
    assert all(one["difference"] == one["low"] == one["high"] == 0 for one in with_base["differences"].values())


@pytest.fixture(scope="module")
def model(base, store):
    torch.manual_seed(0)
    return PolicyModel(base, LoraRecipe(), store.path("sft", store.profile("sft").version), temperature=0.7)


@pytest.fixture(scope="module")
def logprobs(base):
    """Log-probabilities of packed responses under the base in float32, where nothing hides in rounding."""
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32).eval()

    def of(groups):
        packed = pack(groups)
        with torch.inference_mode():
            logits = model(
                input_ids=packed.input_ids,
                position_ids=packed.position_ids,
                attention_mask=packed.mask,
                logits_to_keep=packed.predicted_at,
            ).logits[0]
        return logits.log_softmax(-1).gather(-1, packed.targets[:, None])[:, 0]

    return of


def test_packed_responses_have_the_log_probabilities_they_have_alone(base, logprobs):
    encode = AutoTokenizer.from_pretrained(base.path)
    prompts = [encode(text)["input_ids"] for text in ("Where is the tower? It is", "Who wrote the book? It was")]
    responses = [encode(text)["input_ids"] for text in (" by the sea", " on a hill in the north", " a woman")]
    groups = [Group(prompts[0], responses[:2]), Group(prompts[1], [[], responses[2]])]
    alone = [logprobs([Group(g.prompt, [r])]) for g in groups for r in g.responses if r]
    torch.testing.assert_close(logprobs(groups), torch.cat(alone), rtol=1e-3, atol=1e-3)


def test_policy_and_reference_start_alike_and_the_ratio_is_one(model):
    group = pack([Group([1, 2, 3], [[4, 5, 6]])])
    reference = model.evaluate(group, "reference").logprobs
    policy = model.evaluate(group, "policy").logprobs
    with_gradient = model.evaluate(group, "policy", grad=True).logprobs
    assert torch.equal(reference, policy)
    assert torch.equal(policy, with_gradient.detach())
    with_gradient.sum().backward()
    gradients = {name: p.grad for name, p in model.policy_parameters().items()}
    assert all(g is not None for g in gradients.values())
    assert all(p.grad is None for name, p in model.peft.named_parameters() if ".policy." not in name)
    model.peft.zero_grad()


def test_a_pass_from_the_first_adapted_layer_on_is_a_whole_pass(base, store):
    model = PolicyModel(base, LoraRecipe(), store.path("sft", store.profile("sft").version))
    parameters = model.policy_parameters()
    with torch.no_grad():  # else policy and reference are one
        for p in parameters.values():
            p.add_(0.02 * torch.randn_like(p))
    row = pack([Group([1, 2, 3], [[4, 5, 6], [7]]), Group([8, 9], [[10, 11]])])
    below = model.evaluate(row, "reference").below
    assert below.shape == (1, row.input_ids.shape[1], model.hidden_size)

    def gradients(start):
        logprobs = model.evaluate(row, grad=True, below=start).logprobs
        logprobs.sum().backward()
        found = [p.grad.clone() for p in parameters.values()]
        model.peft.zero_grad()
        return logprobs.detach(), found

    whole, wanted = gradients(None)
    midway, found = gradients(below)
    assert torch.equal(whole, midway)
    assert not torch.equal(whole, model.evaluate(row, "reference", below=below).logprobs)
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(one, other)


def test_a_base_that_cannot_begin_midway_runs_whole(base, store, monkeypatch):
    monkeypatch.setattr(PolicyModel, "_begins_midway", lambda self: False)
    model = PolicyModel(base, LoraRecipe(), store.path("sft", store.profile("sft").version))
    assert model.evaluate(pack([Group([1, 2, 3], [[4, 5, 6]])]), "reference").below is None


def test_the_transformers_sampler_reports_the_trainers_log_probabilities(model):
    sampler = TransformersSampler(model)
    prompt = model.tokenizer("Where is the tower?")["input_ids"]
    (samples,) = sampler.sample([prompt], 2, 12, seed=1)
    again = sampler.sample([prompt], 2, 12, seed=1)[0]
    assert [s.token_ids for s in samples] == [s.token_ids for s in again]
    packed = model.evaluate(pack([Group(prompt, [s.token_ids for s in samples])])).logprobs
    assert (packed - torch.tensor([lp for s in samples for lp in s.logprobs])).abs().mean() < 0.1


@pytest.fixture
def trainer(base, store):
    from policies.weights import Weights
    from trainer.ppo import PpoTrainer

    recipe = load_recipe("smoke")
    parent = store.path("sft", store.profile("sft").version)
    return PpoTrainer(
        PolicyModel(base, recipe.lora, parent, 0.7), Scorer.load(), Weights.parse("1,1,1"), recipe,
        load_examples(SAMPLE / "train.json"),
    )  # fmt: skip


def test_responses_are_judged_by_the_passages_the_policy_was_shown(trainer, monkeypatch):
    long = Passage(title="Ostra", text="Ostra lies on the river Lind. " * 100)
    trainer.examples = [Example(question=f"Where is Ostra, {i}?", passages=(long,), answer="") for i in range(4)]
    judged, score = [], trainer.scorer.score
    monkeypatch.setattr(trainer.scorer, "score", lambda requests: judged.extend(requests) or score(requests))
    trainer.step(0, TransformersSampler(trainer.model))
    assert len(judged) == 4
    for request in judged:
        (shown,) = request.passages
        assert long.text.startswith(shown.text)
        assert 0 < len(trainer.model.tokenizer(shown.text)["input_ids"]) < 160


def test_a_sampler_that_does_not_take_over_the_weights_is_caught(trainer):
    from rewards.errors import FgctlError

    class Stale(TransformersSampler):
        def logprobs(self, tokens):
            return [-1.0]

    sampler = Stale(trainer.model)
    before = {name: p.detach().clone() for name, p in trainer.model.policy_parameters().items()}
    metrics = trainer.step(0, sampler)
    assert metrics["kl/response"] == 0
    assert metrics["policy/skipped"] == 0
    assert any(not torch.equal(before[name], p) for name, p in trainer.model.policy_parameters().items())
    with pytest.raises(FgctlError, match="still has the old weights"):
        trainer.step(1, sampler)
