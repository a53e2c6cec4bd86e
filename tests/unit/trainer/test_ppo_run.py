"""Lineage of a policy, and runs from a parent to a stored version, on a base of three narrow layers."""

import json
import shutil

import pytest

from policies.base import BaseModel
from policies.manifest import Named
from policies.store import SFT, BrokenPolicy, PolicyStore
from policies.trunk import trunk_of
from policies.verification import problem
from policies.weights import Weights
from rewards.dataset import SAMPLE
from rewards.errors import FgctlError
from rewards.models.feedback_rewards import FITTED_REWARDS, FeedbackRewards
from rewards.scorer import Scorer
from trainer.ppo_run import PpoJob, train_policy
from trainer.recipe import load_recipe
from trainer.sft import SftJob, train_sft
from trainer.tasks.qa import TASK as QUESTION_ANSWERING

DATA = SAMPLE / "train.json"
SETTINGS = ("ppo.rollouts=transformers", "ppo.logprob_tolerance=1", "sft.lora.rank=8", "sft.learning_rate=0.05")


@pytest.fixture
def base(small, monkeypatch, tmp_path):
    monkeypatch.setenv("FGCTL_CACHE", str(tmp_path / "cache"))
    return small[0]


def trained(base, store, run, *overrides):
    """A parent that is promoted, and a policy trained from it for two steps; with the log of each step."""
    recipe = load_recipe("smoke", [*SETTINGS, *overrides])
    parent = train_sft(SftJob(base, DATA, "smoke", recipe, run / "sft"), store)
    store.promote(SFT, parent.version)
    job = PpoJob("medium", Weights.parse("1,1,1"), base, DATA, "smoke", recipe, run / "ppo")
    policy = train_policy(job, store, Scorer.load())
    return parent, policy, [json.loads(line) for line in (run / "ppo/metrics.jsonl").read_text().splitlines()]


def test_on_a_merged_parent_a_policy_is_a_new_adapter_of_the_trunk(base, tmp_path):
    store = PolicyStore(tmp_path / "policies")
    parent, policy, log = trained(base, store, tmp_path / "runs", "sft.merge=true", "lora.top_layers=2")
    assert (parent.merged, parent.base.digest, policy.merged) == (True, base.digest, False)
    assert (parent.recipe["lora"]["rank"], parent.recipe["lora"]["top_layers"]) == (8, None)
    trunk = trunk_of(base, store)
    assert trunk.digest != base.digest
    assert policy.base == Named(name=trunk.name, digest=trunk.digest)
    assert policy.parent.version == parent.version
    assert (log[0]["kl/response"], log[0]["kl/token_k3"]) == (0, 0)
    assert log[1]["kl/response"] != 0
    shape = json.loads((store.path("medium", policy.version) / "adapter_config.json").read_text())
    assert (set(shape["target_modules"]), shape["layers_to_transform"]) == (
        {"q_proj", "k_proj", "v_proj", "o_proj"}, [1, 2],
    )  # fmt: skip
    assert problem(store, "medium", policy.version) is None


def test_on_a_parent_that_is_not_merged_a_policy_continues_its_adapter(base, tmp_path):
    store = PolicyStore(tmp_path / "policies")
    parent, policy, log = trained(base, store, tmp_path / "runs")
    assert (parent.merged, policy.base.digest, policy.parent.version) == (False, base.digest, parent.version)
    assert trunk_of(base, store) is base
    assert log[0]["kl/response"] == 0
    shapes = [
        json.loads((store.path(m.profile, m.version) / "adapter_config.json").read_text()) for m in (parent, policy)
    ]
    assert shapes[0]["target_modules"] == shapes[1]["target_modules"]
    assert "down_proj" in shapes[1]["target_modules"]
    assert (policy.recipe["lora"]["rank"], policy.recipe["lora"]["top_layers"]) == (8, None)
    assert policy.recipe["lora"]["target_modules"] == shapes[1]["target_modules"]


def test_a_shape_that_is_not_the_parents_is_refused_before_training(base, tmp_path):
    with pytest.raises(
        FgctlError, match=r"lora.rank is 16, but the parent's adapter has 8, and policies start from it"
    ):
        trained(base, PolicyStore(tmp_path / "policies"), tmp_path / "runs", "lora.rank=16")
    assert not (tmp_path / "runs/ppo/checkpoint.pt").exists()


def test_a_policy_begins_as_another_and_is_still_kept_close_to_the_parent(base, tmp_path):
    store = PolicyStore(tmp_path / "policies")
    parent, first, _ = trained(base, store, tmp_path / "runs", "sft.merge=true", "lora.top_layers=2")
    recipe = load_recipe("smoke", [*SETTINGS, "lora.top_layers=2", "ppo.steps=1", "ppo.learning_rate=1e-12"])
    run = tmp_path / "second"
    job = PpoJob("long", Weights.parse("1,2,3"), base, DATA, "smoke", recipe, run, start_from=f"medium@{first.version}")
    second = train_policy(job, store, Scorer.load())
    (step,) = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert step["kl/token_k3"] > 0
    assert (second.parent.version, second.recipe["start_from"]) == (parent.version, f"medium@{first.version}")
    assert f"It began as medium@{first.version}." in (store.path("long", second.version) / "README.md").read_text()
    assert second.version == first.version  # next to nothing was learned
    other = PpoJob(**{**vars(job), "start_from": None})
    with pytest.raises(FgctlError, match="start_from"):
        train_policy(other, store, Scorer.load())


def test_what_a_policy_cannot_begin_as_is_refused_before_training(base, tmp_path):
    store = PolicyStore(tmp_path / "policies")
    former, policy, _ = trained(base, store, tmp_path / "runs", "sft.merge=true", "lora.top_layers=2")
    name = f"medium@{policy.version}"

    def refused(start_from, message, *overrides):
        recipe = load_recipe("smoke", [*SETTINGS, "lora.top_layers=2", *overrides])
        job = PpoJob("long", policy.weights, base, DATA, "smoke", recipe, tmp_path / "run", start_from=start_from)
        with pytest.raises(FgctlError, match=message):
            train_policy(job, store, Scorer.load())
        assert not (tmp_path / "run/checkpoint.pt").exists()
        shutil.rmtree(tmp_path / "run")  # the next one has other settings

    refused("sft", "A run starts from the parent without --start-from; sft is a parent")
    refused("medium@gone", "Policy medium@gone is not stored")
    refused(name, r"started from: .* has the shape \[8, 16\] instead of \[1, 16\]", "lora.rank=1")
    refused(name, "started from: .* is in only one of the two adapters", "lora.top_layers=1")
    recipe = load_recipe("smoke", [*SETTINGS, "sft.merge=true", "sft.seed=7"])
    parent = train_sft(SftJob(base, DATA, "smoke", recipe, tmp_path / "sft"), store)
    store.promote(SFT, parent.version, force=True)
    refused(name, f"was trained from sft@{former.version}, and this run's parent is sft@{parent.version}")


def test_a_parent_of_another_base_starts_no_policy(base, trunk_store, tmp_path):
    job = PpoJob(
        "medium", Weights.parse("1,1,1"), BaseModel("other", base.path, "0" * 64), DATA, "smoke",
        load_recipe("smoke"), tmp_path / "run",
    )  # fmt: skip
    with pytest.raises(BrokenPolicy, match=r"was trained on the base tiny .*, not on this other"):
        train_policy(job, trunk_store, Scorer.load())


def test_a_policy_names_its_reward_models_and_the_feedback_they_were_fitted_on(tmp_path):
    fitted = json.loads(FITTED_REWARDS.read_text())
    feedback = {"data": {"feedback.db": "d" * 64}, "questions": fitted["questions"][:2], "annotations": 3}
    (tmp_path / "rewards.json").write_text(json.dumps(fitted | feedback))
    scorer = Scorer(FeedbackRewards.load(tmp_path / "rewards.json"))
    used = QUESTION_ANSWERING.used_rewards(scorer)
    assert used.version == scorer.version == fitted["version"]
    assert used.digest == scorer.digest != Scorer(FeedbackRewards.load()).digest
    assert used.feedback.data == (Named(name="feedback.db", digest="d" * 64),)
    assert (used.feedback.questions, used.feedback.annotations) == (2, 3)
