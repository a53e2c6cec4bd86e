"""Candidates side by side: what each recipe's heads agree with people on, and what attacks pay with them.

Each candidate's figures are kept in a file of their own, the log that the card's table is made from.
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
from rewards.held_out import only_held_out, without_held_out
from rewards.models.feedback_rewards import FeedbackRewards, assemble_rewards
from rewards.models.input_ranges import InputRanges
from rewards.models.recipe import FitRecipe
from rewards.scorer import Scorer
from rewards.scores import ScoreRequest

LOGS = PACKAGE / "candidates"
"""Where the logs of the candidates are kept."""


class CachingExtractor(Extractor):
    """Extracts each request once: the candidates read the same features, and the attacks on all are the same."""

    def __init__(self) -> None:
        """With the shipped reader."""
        super().__init__()
        self._known: dict[ScoreRequest, ResponseFeatures] = {}

    def extract(self, requests: Sequence[ScoreRequest]) -> list[ResponseFeatures]:
        """The features of each response, from memory where it has them."""
        new = list(dict.fromkeys(r for r in requests if r not in self._known))
        self._known.update(zip(new, super().extract(new), strict=True))
        return [self._known[request] for request in requests]


def evaluate_recipe(
    examples: Sequence[FeedbackExample], table: FeedbackTable, recipe: FitRecipe, extractor: Extractor
) -> dict[str, Any]:
    """A candidate's cross-validated agreement on all examples, and the attacks on the held-out ones.

    The attacked heads were fitted on the other examples. With hardly any other, or none held out, all serve for both.
    """
    kept = {e.question for e in without_held_out(examples)}
    fitting = np.array([i for i, e in enumerate(examples) if e.question in kept])
    if len(fitting) < FOLDS:  # as good as nothing but held-out questions: all serve for both
        fitting = np.arange(len(examples))
    fitted = assemble_rewards(fit_heads(table, fitting, recipe), InputRanges(), recipe=recipe)
    scorer = Scorer(FeedbackRewards(fitted, "", extractor))
    attacks = score_attacks(only_held_out(examples) or examples, scorer)
    return {
        "recipe": recipe.name,
        "description": recipe.description,
        "agreement": cross_validate(table, recipe),
        "attacks": attacks,
        "holes": attacks_that_pay(attacks),
    }


def write_log(figures: dict[str, Any], directory: Path) -> Path:
    """Write a candidate's log in one step; where."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{figures['recipe']}.json"
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    scratch.replace(path)
    return path


def read_logs(directory: Path = LOGS) -> list[dict[str, Any]]:
    """The kept logs, by name: recipes first, then what was tried once (`once`), of which less is known."""
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.json"))]
    return sorted(kept, key=lambda log: bool(log.get("once")))
