"""One evaluation on the validation questions, and the reference answers' figures on the same questions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict


class Evaluation(BaseModel):
    """Greedy answers to the validation questions after some steps of training."""

    model_config = ConfigDict(frozen=True)

    step: int
    """Steps taken before it."""
    episodes: int
    """Responses sampled in these steps."""
    reward: float
    """Mean weighted reward of an answer, without KL and missing-end penalty."""
    judge: float
    """The same by the judge's verdicts (trainer.evaluation.report.judged)."""
    copied: float
    """Mean share of an answer's words in copied 8-grams."""
    longest: float
    """Mean words of an answer's longest copied run."""
    words: float
    tokens: float
    truncated: float
    """Share of answers that did not end."""
    repetition: float
    clean_rate: dict[str, float]
    completeness: float
    kl: float = 0.0
    """Nats a response from the parent, in the responses sampled for training since the evaluation before."""
    training_reward: float | None = None
    """Mean reward of those responses; None before the first step."""
    rewards: tuple[float, ...] = ()
    """The weighted reward by question."""
    judges: tuple[float, ...] = ()
    """The judge's reward by question."""
    violations: dict[str, str] = {}
    """The guards that it violates, and how, as clauses (trainer.validation.guards)."""

    def figures(self) -> dict[str, Any]:
        """Everything but the values by question."""
        return self.model_dump(exclude={"rewards", "judges"})


class ReferenceFigures(BaseModel):
    """The reference answers to the validation questions, scored like a policy's."""

    model_config = ConfigDict(frozen=True)

    reward: float
    judge: float
    copied: float
    longest: float
    words: float


def reference_figures(figures: Mapping[str, Any]) -> ReferenceFigures:
    """From the figures of trainer.evaluation.report.References."""
    return ReferenceFigures(
        reward=figures["weighted_reward"],
        judge=figures["judge"]["weighted_reward"],
        copied=figures["copied"]["share"],
        longest=figures["copied"]["longest"],
        words=figures["length"]["words"],
    )


def evaluation(
    report: Mapping[str, Any], tokens: Sequence[Sequence[int]], eos: int, step: int, episodes: int
) -> Evaluation:
    """From a report on greedy answers (trainer.evaluation.report.report_on) and the answers' tokens."""
    per_question, weights = report["per_question"], report["weights"]
    judged = [weights.get(name, 0.0) * np.asarray(values) for name, values in per_question["judge"]["reward"].items()]
    return Evaluation(
        step=step,
        episodes=episodes,
        reward=report["weighted_reward"],
        judge=report["judge"]["weighted_reward"],
        copied=report["copied"]["share"],
        longest=report["copied"]["longest"],
        words=report["length"]["words"],
        tokens=float(np.mean([len(answer) for answer in tokens])),
        truncated=float(np.mean([eos not in answer for answer in tokens])),
        repetition=report["repetition"],
        clean_rate=report["clean_rate"],
        completeness=report["completeness"],
        rewards=tuple(per_question["weighted_reward"]),
        judges=tuple(np.sum(judged, axis=0).round(4).tolist()),
    )
