"""Compares recipes: how well each recipe's heads agree with people, and what attacks on them are paid.

The figures of each candidate are logged in a file of its own. The model card's table of candidates is made from these.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rewards.dataset import PACKAGE, FeedbackExample
from rewards.evaluation.attacks import attacks_that_pay, score_attacks
from rewards.evaluation.evaluate import cross_validate
from rewards.features.extractor import Extractor, ResponseFeatures
from rewards.fitting.feedback_table import FeedbackTable
from rewards.fitting.fit_heads import fit_heads
from rewards.fitting.folds import FOLDS
from rewards.heads.stored_json import write_in_one_step
from rewards.held_out import to_evaluate, without_held_out
from rewards.models.feedback_rewards import FeedbackRewards, assemble_rewards
from rewards.models.input_ranges import InputRanges
from rewards.models.recipe import FitRecipe
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest

LOGS = PACKAGE / "candidates"
"""The directory of the candidates' logs."""


class CachingExtractor(Extractor):
    """Extracts each request only once: all candidates read the same features, and all face the same attacks."""

    def __init__(self) -> None:
        """Use the shipped reader."""
        super().__init__()
        self._cache: dict[ScoreRequest, ResponseFeatures] = {}

    def extract(self, requests: Sequence[ScoreRequest]) -> list[ResponseFeatures]:
        """The features of each response, cached ones included."""
        new = list(dict.fromkeys(r for r in requests if r not in self._cache))
        self._cache.update(zip(new, super().extract(new), strict=True))
        return [self._cache[request] for request in requests]


def evaluate_recipe(
    examples: Sequence[FeedbackExample], table: FeedbackTable, recipe: FitRecipe, extractor: Extractor
) -> dict[str, Any]:
    """A recipe's cross-validated agreement on all examples, and the attacks on the held-out ones.

    The attacked heads are fitted on the examples that are not held out, or on all if these are fewer than the folds.
    Without held-out examples all are attacked.
    """
    may_fit = {e.question for e in without_held_out(examples)}
    fitting = np.array([i for i, e in enumerate(examples) if e.question in may_fit])
    if len(fitting) < FOLDS:
        fitting = np.arange(len(examples))
    fitted = assemble_rewards(fit_heads(table, fitting, recipe), InputRanges(), recipe=recipe)
    scorer = Scorer(FeedbackRewards(fitted, "", extractor))
    attacks = score_attacks(to_evaluate(examples), scorer)
    return {
        "recipe": recipe.name,
        "description": recipe.description,
        "agreement": cross_validate(table, recipe),
        "attacks": attacks,
        "holes": attacks_that_pay(attacks),
    }


def write_log(figures: dict[str, Any], directory: Path) -> Path:
    """Write a candidate's log in one step; returns its path."""
    path = directory / f"{figures['recipe']}.json"
    write_in_one_step(path, json.dumps(figures, indent=1) + "\n")
    return path


def read_logs(directory: Path = LOGS) -> list[dict[str, Any]]:
    """All logs by name: recipes first, then candidates that were tried once (`once`), which have fewer figures."""
    logs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.json"))]
    return sorted(logs, key=lambda log: bool(log.get("once")))
