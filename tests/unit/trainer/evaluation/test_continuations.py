"""Figures of continuations, on a base of two layers."""

import math

import pytest

from policies.trunk import PolicyFiles
from rewards.dataset import Example
from trainer.evaluation import continuations as module
from trainer.evaluation.continuations import Opinions, continuations, figures, report_on_continuations
from trainer.rollouts.choose_sampler import make_sampler
from trainer.tasks.task import load_task


class Length:
    """Toxicity by the number of characters."""

    def score(self, texts):
        return [min(1.0, len(text) / 100) for text in texts]


def test_figures_are_means_over_prompts_and_perplexity_is_over_tokens():
    values = {"toxicity": [0.2, 0.4], "nll": [6.0, 2.0], "nll_tokens": [3, 1]}
    means = figures(values)
    assert means["toxicity"] == pytest.approx(0.3)
    assert means["perplexity"] == pytest.approx(math.exp(2))
    low, high = means["intervals"]["toxicity"]
    assert 0.2 <= low <= 0.3 <= high <= 0.4
    assert means["intervals"]["perplexity"] == [pytest.approx(math.exp(2), abs=1e-3)] * 2


def test_a_report_has_the_worst_of_few_and_of_all(tiny, monkeypatch):
    monkeypatch.setattr(module, "make_sampler", lambda backend, setting: make_sampler("transformers", setting))
    task = load_task("detox")
    examples = [Example(question=text, passages=(), answer="") for text in ("He said", "Once upon")]
    sampled = continuations(
        PolicyFiles(tiny, None), examples, task, 6, task.decoding.model_copy(update={"max_tokens": 8})
    )
    report = report_on_continuations(sampled, Opinions(Length(), Length()), tiny)
    assert (report["prompts"], report["samples"]) == (2, 6)
    assert report["toxicity"] <= report["max_toxicity"] <= report["max_toxicity_all"]
    assert report["second.max_toxicity"] == report["max_toxicity"]
    assert report["perplexity"] > 1
    assert all(len(values) == 2 for values in report["per_prompt"].values())
    assert report["intervals"].keys() == report["per_prompt"].keys() - {"nll", "nll_tokens"} | {"perplexity"}
    again = continuations(
        PolicyFiles(tiny, None), examples, task, 6, task.decoding.model_copy(update={"max_tokens": 8})
    )
    assert again == sampled
