"""Simulated people with known weights: what learning costs them and gains, compared with fixed profiles.

Answers are those of the stored evaluations: what the policies' answers to the same questions earned in each category.
A mixture answers like one of its policies, drawn by its share. People give feedback as `posterior.py` describes,
on one question after another. The regret of a round is the expected value, by the person's own weights, of the best
weights there are less that of the weights that answered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from policies.mixture_weights import barycentric
from policies.preferences.arms import REACH, Arms, weights_around
from policies.preferences.posterior import SENSITIVITY, Feedback, Posterior, posterior
from policies.store import PolicyStore
from policies.weights import Weights
from rewards.categories import BUILT_IN
from rewards.errors import FgctlError

Kind = Literal["thumbs", "comparisons"]
PEOPLE = (
    "0.27,0.46,0.27", "0.33,0.42,0.25", "0.2,0.5,0.3", "0.45,0.35,0.2", "0.6,0.2,0.2", "0.15,0.65,0.2",
    "0.1,0.6,0.3", "0.2,0.3,0.5", "0.2,0.2,0.6",
)  # fmt: skip
"""People who want the weights of the three profiles, and people who want others, as `Weights.parse` reads them."""


@dataclass(frozen=True)
class Measured:
    """What policies' answers earned."""

    profiles: tuple[str, ...]
    weights: np.ndarray
    """Each policy's, float [p, k], in the order of the built-in categories."""
    rewards: np.ndarray
    """By policy, question and category, in the categories' unit: float [p, q, k]."""

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """The policies' shares [p] in the mixture that is served for weights [k]."""
        return barycentric(self.weights, weights)


@dataclass(frozen=True)
class Regret:
    """The mean regret of a round for one person, by what answered them."""

    person: Weights
    fixed: Mapping[str, float]
    """By profile."""
    learned: float
    """Over all rounds."""
    last: float
    """Over the last quarter of the rounds."""
    bound: float
    """Of the best weights within the bounds, from the beginning."""


def measured(store: PolicyStore) -> Measured:
    """The rewards of the most stored policies that the same reward models have judged on the same questions.

    Of several versions of a profile the last one counts. Raises FgctlError without two policies.
    """
    groups: dict[tuple[str, str], dict[str, tuple[Weights, np.ndarray]]] = {}
    for name in store.profiles():
        for version in store.versions(name):
            manifest = store.manifest(name, version)
            scores = manifest.scores
            rewards = scores.get("per_question", {}).get("reward", {})
            if manifest.weights is not None and rewards.keys() >= BUILT_IN.keys():
                values = np.array([rewards[category] for category in BUILT_IN]).T
                group = groups.setdefault((scores.get("rewards", ""), scores.get("questions", "")), {})
                group[name] = (manifest.weights, values)
    largest = max(groups.values(), key=len, default={})
    if len(largest) < 2:
        raise FgctlError(
            "A simulation needs two policies that were evaluated by the same reward models on the same questions; "
            "evaluate them by `fgctl evaluate`."
        )
    weights = [[weights[category] for category in BUILT_IN] for weights, _ in largest.values()]
    return Measured(tuple(largest), np.array(weights), np.array([rewards for _, rewards in largest.values()]))


def simulate(
    answers: Measured,
    people: Sequence[Weights],
    *,
    kind: Kind = "thumbs",
    profile: str,
    rounds: int,
    repeats: int = 20,
    cells: int = 20,
    reach: float = REACH,
    sensitivity: float = SENSITIVITY,
    seed: int = 0,
    progress: Callable[[], object] = lambda: None,
) -> list[Regret]:
    """The regret for each person of every profile, and of learning around `profile` from `kind` of feedback.

    The learned figures are means over `repeats` runs of `rounds` rounds. `progress` is called after each run. Raises
    FgctlError for a profile without answers.
    """
    if profile not in answers.profiles:
        raise FgctlError(f"There are no answers of {profile!r}; choose one of {', '.join(answers.profiles)}.")
    weights = weights_around(answers.weights[answers.profiles.index(profile)], cells, reach)
    means = answers.rewards.mean(axis=1)
    shares = np.array([answers.shares(point) for point in weights])
    arms = Arms(weights, shares @ means)
    grid = np.vstack([answers.weights, weights_around(np.full(len(BUILT_IN), 1 / len(BUILT_IN)), cells, 1.0)])
    everywhere = np.array([answers.shares(point) for point in grid])
    regrets = []
    for number, person in enumerate(people):
        wanted = np.array([person[category] for category in BUILT_IN])
        best = float((everywhere @ means @ wanted).max())
        values = shares @ means @ wanted
        runs = []
        for repeat in range(repeats):
            run = _Run(answers, arms, shares, wanted, np.random.default_rng([seed, number, repeat]))
            runs.append(best - values[run.chosen(kind, rounds, reach, sensitivity)])
            progress()
        learned = np.array(runs)
        fixed = {name: best - float(means[i] @ wanted) for i, name in enumerate(answers.profiles)}
        last = float(learned[:, -max(1, rounds // 4) :].mean())
        regrets.append(Regret(person, fixed, float(learned.mean()), last, best - float(values.max())))
    return regrets


@dataclass
class _Run:
    """One person, who is answered one question after another."""

    answers: Measured
    arms: Arms
    shares: np.ndarray
    wanted: np.ndarray
    rng: np.random.Generator

    def chosen(self, kind: Kind, rounds: int, reach: float, sensitivity: float) -> np.ndarray:
        """The arm that answered in each round, int [rounds]."""
        thumbs: list[tuple[np.ndarray, bool]] = []
        choices: list[tuple[np.ndarray, np.ndarray]] = []
        usual = float((self.shares[0] @ self.answers.rewards.mean(axis=1)) @ self.wanted)
        chosen = []
        for _ in range(rounds):
            heard = Feedback.of(len(self.wanted), thumbs, choices)
            learned = posterior(self.arms.weights, heard, reach=reach, sensitivity=sensitivity)
            arm = self._drawn(learned) if len(heard) else 0
            chosen.append(arm)
            question = int(self.rng.integers(self.answers.rewards.shape[1]))
            answer = self._answer(arm, question)
            if kind == "thumbs":
                thumbs.append((answer, self._agrees(answer @ self.wanted - usual, sensitivity)))
                continue
            other = self._answer(self._drawn(learned), question)
            better = self._agrees((answer - other) @ self.wanted, sensitivity)
            choices.append((answer, other) if better else (other, answer))
        return np.array(chosen)

    def _drawn(self, learned: Posterior) -> int:
        """The best arm for weights drawn from what is learned."""
        return self.arms.best(self.arms.weights[self.rng.choice(len(self.shares), p=learned.probabilities)])

    def _answer(self, arm: int, question: int) -> np.ndarray:
        """The rewards [k] of an arm's answer: those of one of its policies, drawn by its share of the mixture."""
        policy = self.rng.choice(len(self.answers.profiles), p=self.shares[arm])
        return np.asarray(self.answers.rewards[policy, question])

    def _agrees(self, value: float, sensitivity: float) -> bool:
        return bool(self.rng.random() < 1 / (1 + np.exp(-sensitivity * value)))
