"""A whole arena between references and endpoints, to be continued, and its report."""

import json
from contextlib import closing

import pytest

from policies.store import Decoding
from policies.weights import Weights
from rewards.dataset import Example, Passage
from rewards.errors import FgctlError
from rewards.models.judge import Judgement
from trainer.arena import contestants
from trainer.arena.arena import Arena, answer_all, judge_all, results_of, write_results
from trainer.arena.chat_endpoint import Address
from trainer.arena.contestants import Contestant, contestant, distinct
from trainer.arena.question_sets import Question, load_questions
from trainer.arena.report import write_report
from trainer.evaluation import evaluate
from trainer.evaluation.answers import silent
from trainer.evaluation.evaluate import PolicyEngine
from trainer.rollouts.transformers import TransformersSampler

WEIGHTS = Weights.parse("1,1,1")


def question(i, question_set="mine"):
    passage = Passage(title="Ostra", text=f"It has {i} gates.")
    return Question(question_set, Example(question=f"Where is gate {i}?", passages=(passage,), answer="By the river."))


class Endpoint:
    """Answers by its model's name, and counts what it is asked."""

    asked = 0

    def __init__(self, address):
        self.model = address.model

    def ask(self, messages, *, temperature, seed, max_tokens):
        Endpoint.asked += 1
        return "By the river." if self.model == "same" else f"{self.model} {seed}: {messages[1]['content'][-9:]}"

    def close(self):
        pass


class Judge:
    """Finds long texts complete."""

    judged = 0

    def judge(self, requests):
        Judge.judged += len(requests)
        return [
            Judgement({"relevance": (False,), "factuality": (False,)}, len(request.response) - 15.0)
            for request in requests
        ]


@pytest.fixture
def make(monkeypatch, tmp_path):
    monkeypatch.setattr(contestants, "ChatEndpoint", Endpoint)
    Endpoint.asked = Judge.judged = 0

    def make(models=("wordy", "same"), questions=None, seeds=1):
        endpoints = [Contestant(m, "endpoint", f"http://h/v1#{m}", address=Address("http://h/v1", m)) for m in models]
        some = questions or [question(i, "mine" if i < 4 else "other") for i in range(6)]
        return Arena([Contestant("references", "references"), *endpoints], some, seeds, WEIGHTS, tmp_path / "arena")

    return make


def run(arena):
    answered = answer_all(arena, None, silent)
    return answered, judge_all(arena, answered, ["judge"], Judge, silent)


def test_contestants_are_compared_on_every_question_and_equal_texts_are_ties(make):
    arena = make()
    answered, verdicts = run(arena)
    assert len(answered.matches) == 18
    assert len(answered.different) == 12
    results = results_of(arena, answered, verdicts)
    assert results["same_texts"] == 6
    assert results["questions"] == {"mine": 4, "other": 2}
    summary = results["judges"]["judge"]
    assert summary["matches"] == 18
    wins = {(pair["a"], pair["b"]): pair["win_rate"]["share"] for pair in summary["pairs"]}
    assert wins == {("references", "wordy"): 0, ("references", "same"): 0.5, ("wordy", "same"): 1}
    assert summary["contestants"][0]["name"] == "wordy"
    assert summary["sets"]["other"]["matches"] == 6


def test_nothing_is_asked_twice(make):
    arena = make()
    first = run(arena)
    asked, judged = Endpoint.asked, Judge.judged
    assert (asked, judged) == (12, 24)
    path = arena.directory / "verdicts/judge.jsonl"
    assert run(arena) == first
    assert (Endpoint.asked, Judge.judged) == (asked, judged)
    path.write_text(path.read_text()[:-20])  # as a kill would leave it
    _, again = run(arena)
    assert Judge.judged == judged + 2
    assert sorted(v.match for v in again["judge"]) == sorted(v.match for v in first[1]["judge"])


def test_an_endpoint_is_not_asked_again_for_the_answers_that_it_gave_before_it_failed(make, monkeypatch):
    monkeypatch.setattr(contestants, "AT_ONCE", 1)
    arena, ask = make(("wordy",)), Endpoint.ask

    def fail(self, messages, **how):
        if Endpoint.asked == 4:
            raise FgctlError("It answered 503.")
        return ask(self, messages, **how)

    with monkeypatch.context() as patched:
        patched.setattr(Endpoint, "ask", fail)
        with pytest.raises(FgctlError, match="503"):
            answer_all(arena, None, silent)
    kept = arena.directory / "answers" / "wordy.jsonl"
    kept.write_text(kept.read_text()[:-3])  # as a kill would leave it
    answered = answer_all(arena, None, silent)
    assert Endpoint.asked == 4 + 3
    assert [len(set(texts)) for texts in answered.texts["wordy"]] == [1] * 6
    assert len({texts[0] for texts in answered.texts["wordy"]}) == 6
    assert not kept.exists()


def test_a_directory_belongs_to_one_arena(make):
    run(make())
    with pytest.raises(FgctlError, match="holds a run with other settings"):
        run(make(seeds=2))


def test_several_seeds_give_several_matches_a_question(make):
    answered, _ = run(make(("wordy",), [question(0)], seeds=3))
    assert [match.seed for match in sorted(answered.matches, key=lambda m: m.seed)] == [0, 1, 2]
    assert answered.texts["references"] == [["By the river."] * 3]


def test_questions_without_a_reference_leave_the_references_out(make):
    blank = Question("mine", Example(question="Who?", passages=(), answer=" "))
    with pytest.raises(FgctlError, match="1 of 1 questions have no reference answer; leave out references"):
        run(make(questions=[blank]))


def test_the_report_is_a_plot_a_page_and_metrics(make):
    arena = make()
    results = results_of(arena, *run(arena))
    results["contestants"][1]["name"] = results["judges"]["judge"]["contestants"][0]["name"] = "<wordy>"
    written = write_results(arena, results)
    assert json.loads(written.read_text()) == results
    plot, page, metrics = write_report(results, arena.directory)
    assert "<svg" in plot.read_text()
    assert "&lt;wordy&gt;" in page.read_text()
    assert "<wordy>" not in page.read_text()
    lines = metrics.read_text().splitlines()
    assert 'fg_arena_matches{judge="judge"} 18.0' in lines
    assert any(line.startswith('fg_arena_rating{contestant="references",judge="judge",version=""} ') for line in lines)
    assert not any(line.startswith("fg_arena_first_shown_ratio{") for line in lines)


def test_contestants_are_policies_references_or_endpoints(trunk_store, tiny):
    named = contestant("mine=http://h/v1#large", trunk_store, tiny, WEIGHTS)
    assert (named.name, named.version) == ("mine", "http://h/v1#large")
    assert contestant("references", trunk_store, tiny, WEIGHTS).kind == "references"
    assert contestant("base", trunk_store, tiny, WEIGHTS).policy.files.adapter is None
    with pytest.raises(FgctlError, match="There is no profile 'none'"):
        contestant("none", trunk_store, tiny, WEIGHTS)
    with pytest.raises(FgctlError, match="needs two contestants"):
        distinct([named])
    with pytest.raises(FgctlError, match="mine takes part twice"):
        distinct([named, named])


def test_a_policy_answers_greedily_once_and_is_sampled_for_several_seeds(trunk_store, tiny, monkeypatch):
    monkeypatch.setattr(evaluate, "make_sampler", lambda backend, setting: TransformersSampler(setting.model))
    monkeypatch.setattr(contestants, "GREEDY", Decoding(temperature=0, top_p=1, max_tokens=12))
    policy = contestant("base", trunk_store, tiny, WEIGHTS)
    examples = [question(i).example for i in range(2)]
    with closing(PolicyEngine(tiny, 1224)) as engine:
        greedy = contestants.answers_of(policy, examples, 1, engine, silent)
        assert greedy == contestants.answers_of(policy, examples, 1, engine, silent)
        sampled = contestants.answers_of(policy, examples, 2, engine, silent)
    assert [len(texts) for texts in greedy] == [1, 1]
    assert [len(set(texts)) for texts in sampled] == [2, 2]


def test_question_sets_are_of_several_domains(monkeypatch, tmp_path):
    factuality = tmp_path / "factuality"
    factuality.mkdir()
    claim = {
        "label": "supported", "claim": "Ostra lies by the Lind.", "meta": {"claim_title": "Ostra"},
        "evidence": ["Ostra lies by the Lind.", "It is old."],
    }  # fmt: skip
    (factuality / "wice_claims_dev.jsonl").write_text(json.dumps(claim) + "\n")
    monkeypatch.setenv("FGCTL_DATA", str(tmp_path))
    (asked,) = load_questions("wice")
    assert asked.example.question == "What do the passages say about Ostra?"
    assert asked.example.answer == "Ostra lies by the Lind."
    (tmp_path / "own.json").write_text(
        json.dumps([{"question": q, "passages": [], "answer": "Yes."} for q in ("A?", "a?", "B?", "C?")])
    )
    own = load_questions(str(tmp_path / "own.json"))
    assert sorted(q.example.question for q in own) == ["A?", "B?", "C?"]
    assert load_questions(str(tmp_path / "own.json"), most=2) == own[:2]
    with pytest.raises(FgctlError, match="question set store is empty"):
        load_questions("store")
