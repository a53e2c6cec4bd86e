"""Runs that are watched on validation questions, on a tiny base: what is kept, and what a kill leaves."""

import json
import zlib

import pytest

from policies.manifest import Named
from policies.store import SFT, PolicyStore
from policies.weights import Weights
from rewards.dataset import SAMPLE
from rewards.errors import FgctlError
from rewards.models.judge import Judgement
from rewards.scorer import Scorer
from rewards.scores import CategoryScores, ScoredResponse, Segment
from rewards.segmentation import segments
from trainer import ppo_run
from trainer.ppo import PpoTrainer
from trainer.ppo_run import PpoJob, train_policy
from trainer.recipe import load_recipe
from trainer.tracking.checkpoint import load_checkpoint
from trainer.validation import validator
from trainer.validation.validator import BEST

RECIPE = (
    "ppo.steps=4", "ppo.rollouts=transformers", "ppo.validation.every=8", "ppo.learning_rate=0.05",
    "ppo.logprob_tolerance=1e9", "ppo.stop.kl=1e9", "ppo.stop.entropy=0", "ppo.max_new_tokens=8", "lora.top_layers=2",
)  # fmt: skip
"""Four episodes a step: evaluated after 0, 2 and 4 steps."""


def share(text):
    return zlib.crc32(text.encode()) / 2**32


class TextJudge:
    version = "text"

    def judge(self, requests):
        return [
            Judgement({"relevance": (share(r.response) < 0.5,), "factuality": ()}, share(r.response)) for r in requests
        ]


@pytest.fixture
def scorer(monkeypatch):
    """A reward that the text alone decides."""
    scorer = Scorer.load()

    def scores(name, text):
        density = scorer.categories[name].density
        pieces = [Segment(a, b, share(name + text[a:b]), False) for a, b in segments(text, density)]
        return CategoryScores(tuple(pieces), tuple(1 - 2 * piece.error_probability for piece in pieces), 0.0)

    monkeypatch.setattr(
        scorer,
        "score",
        lambda requests: [ScoredResponse({n: scores(n, r.response) for n in scorer.categories}) for r in requests],
    )
    return scorer


@pytest.fixture
def store(tiny, tiny_model, tmp_path):
    """A store with a supervised parent."""
    store = PolicyStore(tmp_path / "policies")
    tiny_model(0.2).save_adapter(tmp_path / "parent")
    manifest = {
        "weights": None, "base": Named(name=tiny.name, digest=tiny.digest), "parent": None, "recipe": {}, "data": (),
        "rewards": None, "steps": 0, "episodes": 0, "scores": {},
    }  # fmt: skip
    store.promote(SFT, store.write(SFT, tmp_path / "parent", manifest).version)
    return store


@pytest.fixture
def train(tiny, store, scorer, monkeypatch, tmp_path):
    """Trains in the run directory of that name; two of the sample's 24 questions are for validation."""
    monkeypatch.setattr(validator, "answer", short_answer)

    def run(name, *overrides, until_best=True, judged=True):
        recipe = load_recipe("smoke", [*RECIPE, *overrides])
        job = PpoJob(
            "mine", Weights.parse("1,1,1"), tiny, SAMPLE / "train.json", "smoke", recipe, tmp_path / name, until_best
        )
        return train_policy(job, store, scorer, load_judge=TextJudge if judged else None)

    return run


def short_answer(examples, model, sampler):
    from policies.store import Decoding
    from trainer.evaluation.answers import answer

    return answer(examples, model, sampler, Decoding(temperature=0, top_p=1, max_tokens=12), 200)


def lines(run):
    return [json.loads(line) for line in (run / "validation.jsonl").open()]


def curve(run):
    return json.loads((run / "overoptimisation.json").read_text())


def test_the_best_checkpoint_is_stored_and_everything_written_down(train, store, tmp_path):
    manifest = train("run")
    run = tmp_path / "run"
    evaluations = lines(run)
    assert [(e["step"], e["episodes"]) for e in evaluations] == [(0, 0), (2, 8), (4, 16)]
    assert [len(e["rewards"]) for e in evaluations] == [2, 2, 2]
    assert evaluations[0]["training_reward"] is None
    log = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    assert evaluations[1]["kl"] == pytest.approx((log[0]["kl/response"] + log[1]["kl/response"]) / 2, abs=1e-5)
    best = curve(run)["best"]
    assert (manifest.steps, manifest.episodes) == (best["step"], best["episodes"])
    assert manifest.recipe["until_best"]["evaluation"]["reward"] == next(
        e["reward"] for e in evaluations if e["step"] == best["step"]
    )
    assert load_checkpoint(run, BEST)["step"] == best["step"]
    assert {file.name for file in (run / "validation").iterdir()} == {"000000.md", "000008.md", "000016.md"}
    assert (store.path("mine", manifest.version) / "adapter_model.safetensors").is_file()
    assert train("run").version == manifest.version
    assert lines(run) == evaluations


def dies_in(monkeypatch, owner, name, at):
    """The call of that number ends the run, as a kill would."""
    whole, calls = getattr(owner, name), []

    def call(*arguments, **named):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return whole(*arguments, **named)

    monkeypatch.setattr(owner, name, call)


def test_a_killed_run_goes_on_and_ends_like_an_uninterrupted_one(train, tmp_path, monkeypatch):
    whole = train("whole", "ppo.checkpoint_every=3")
    for owner, name, at in (
        (PpoTrainer, "step", 2),
        (validator, "violations", 1),  # in the parent's evaluation
        (validator, "write_curve", 2),  # after the best checkpoint was written, before its line
        (ppo_run, "load_checkpoint", 2),  # before the best is stored
    ):
        with monkeypatch.context() as killed:
            dies_in(killed, owner, name, at)
            with pytest.raises(KeyboardInterrupt):
                train(name, "ppo.checkpoint_every=3")
        resumed = train(name, "ppo.checkpoint_every=3")
        assert resumed.version == whole.version
        assert lines(tmp_path / name) == lines(tmp_path / "whole")
        assert curve(tmp_path / name) == curve(tmp_path / "whole")


def test_a_run_that_only_games_its_rewards_says_so_and_ends(train, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(validator, "violations", lambda *_: {"ceiling": "it earns more than people"})
    manifest = train("run", "ppo.validation.patience=8", "ppo.steps=6")
    assert [e["step"] for e in lines(tmp_path / "run")] == [0, 2]
    assert manifest.steps == 2
    printed = capsys.readouterr().err
    assert "warning, guard 'ceiling': it earns more than people." in printed
    assert "on the validation questions nothing has improved since 0 episodes" in printed
    assert train("run", "ppo.validation.patience=8", "ppo.steps=6").version == manifest.version
    assert [e["step"] for e in lines(tmp_path / "run")] == [0, 2]


def test_a_guard_names_the_checkpoint_that_is_kept(train, monkeypatch, capsys):
    monkeypatch.setattr(validator, "violations", lambda now, *_: {"copied": "it copies"} if now.step == 4 else {})
    manifest = train("run")
    assert manifest.steps == 2
    assert "it copies; best.pt keeps the checkpoint after 8 episodes." in capsys.readouterr().err


def test_a_plain_run_is_watched_on_listed_questions_but_stores_its_last_checkpoint(train, monkeypatch, tmp_path):
    assert train("unlisted", until_best=False).steps == 4
    assert not (tmp_path / "unlisted" / "validation.jsonl").exists()
    from rewards.dataset import load_examples, question_key

    keys = frozenset(question_key(e.question) for e in load_examples(SAMPLE / "train.json")[:2])
    monkeypatch.setattr("rewards.held_out.validation_keys", lambda: keys)
    manifest = train("listed", until_best=False)
    assert [e["step"] for e in lines(tmp_path / "listed")] == [0, 2, 4]
    assert (manifest.steps, "until_best" in manifest.recipe) == (4, False)
    assert train("short", "ppo.validation.every=17", until_best=False).steps == 4
    assert not (tmp_path / "short" / "validation.jsonl").exists()


def test_a_run_that_diverges_keeps_its_best_checkpoint(train, monkeypatch, capsys):
    monkeypatch.setattr(ppo_run, "diverged", lambda history, stop: "it collapsed" if len(history) == 3 else None)
    assert train("run").steps == 2
    assert "Stopped at step 3: it collapsed" in capsys.readouterr().err
    monkeypatch.setattr(ppo_run, "diverged", lambda history, stop: "it collapsed")
    with pytest.raises(FgctlError, match="it collapsed"):
        train("other")


def test_until_best_needs_questions_to_set_aside(train, tmp_path, tiny, store, scorer):
    (tmp_path / "few.json").write_text(json.dumps(json.loads((SAMPLE / "train.json").read_text())[:9]))
    job = PpoJob(
        "mine", Weights.parse("1,1,1"), tiny, tmp_path / "few.json", "smoke", load_recipe("smoke"), tmp_path / "r", True
    )
    with pytest.raises(FgctlError, match="too few questions"):
        train_policy(job, store, scorer, load_judge=TextJudge)
