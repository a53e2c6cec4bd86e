"""The benchmark of an evaluation: which questions each side gets, and its ratio, with an engine of fixed speed."""

import pytest

from policies.manifest import Named
from policies.store import Decoding, PolicyStore
from policies.weights import Weights
from rewards.dataset import Example, Passage
from rewards.errors import FgctlError
from rewards.scorer import Scorer
from trainer.bench import evaluate
from trainer.bench.evaluate import GOAL, Setting, measure, rounds_of
from trainer.evaluation import answers
from trainer.evaluation.candidates import candidate
from trainer.rollouts.transformers import TransformersSampler

EXAMPLES = [
    Example(question=f"Where is number {i}?", passages=(Passage(title="Ostra", text="By the Lind."),), answer="Here.")
    for i in range(5)
]


def test_no_question_is_in_two_rounds():
    assert rounds_of(EXAMPLES, 2, 2) == [EXAMPLES[:2], EXAMPLES[2:4]]
    with pytest.raises(FgctlError, match="3 rounds of 2 questions need 6, but the data has 5"):
        rounds_of(EXAMPLES, 2, 3)


def test_answers_are_timed_beside_the_engine_in_one_batch(tiny, tiny_model, tmp_path, monkeypatch):
    greedy = Decoding(temperature=0, top_p=1, max_tokens=6)
    monkeypatch.setattr(evaluate, "GREEDY", greedy)
    monkeypatch.setattr(answers.answer, "__defaults__", (greedy, 200, *answers.answer.__defaults__[2:]))
    monkeypatch.setattr(evaluate, "make_sampler", lambda backend, setting: TransformersSampler(setting.model))
    store = PolicyStore(tmp_path / "policies")
    tiny_model(0.5).save_adapter(tmp_path / "adapter")
    lineage = {"parent": None, "recipe": {}, "data": (), "rewards": None, "steps": 0, "episodes": 0, "scores": {}}
    own = {"base": Named(name=tiny.name, digest=tiny.digest), "weights": Weights.parse("1,1,1")}
    store.promote("medium", store.write("medium", tmp_path / "adapter", lineage | own).version)
    clock = iter(range(100))
    monkeypatch.setattr(evaluate.time, "perf_counter", lambda: float(next(clock)))  # every phase takes a second
    asked = []

    def engine(prompts, most):
        asked.append((len(prompts), most))
        return 2.0

    setting = Setting(candidate(store, "medium", Weights.parse("1,1,1"), tiny), rounds_of(EXAMPLES, 2, 2))
    report = measure(setting, Scorer.load(), None, engine)
    assert asked == [(1, 6), (2, 6), (2, 6)]
    assert report["ratio"] == {"ratio": 0.5, "min": 0.5, "max": 0.5, "goal": GOAL}
    assert report["seconds"]["engine"] == {"median": 2, "min": 2, "max": 2}
    assert report["phases"].keys() == {"loading", "answers", "scores", "perplexity"}
    assert (report["profile"], report["questions"], report["rounds"]) == ("medium", 2, 2)
