"""Bins of error probabilities and of inputs, and how far a distribution over them has moved: pure functions.

A bin is named by its lower edge; the last one is open, and what lies below the first edge counts as the first bin. Bins
are labels of the service's metrics and keys of a policy's recorded baseline (`scores.served`), so that changing them
makes recorded baselines useless: evaluate again.
"""

from bisect import bisect_right
from collections.abc import Mapping
from math import log

SCORE_BINS: tuple[str, ...] = tuple(f"{i / 10:.1f}" for i in range(10))
"""Bins of error probabilities, by their lower edges."""

_EDGES: Mapping[str, tuple[int, ...]] = {
    "question_words": (1, 8, 9, 10, 12, 16, 32),
    "passages": (1, 2, 3, 4, 6),
    "passage_words": (1, 150, 300, 400, 500, 600, 700),
}
"""Edges near the quantiles of QA-Feedback's questions and passages, and beyond them, where only other traffic falls."""
ENGLISH, OTHER, UNKNOWN = "en", "other", "unknown"
"""Bins of `language`; unknown: too short to tell, or of no language."""
INPUTS: Mapping[str, tuple[str, ...]] = {
    **{name: tuple(map(str, edges)) for name, edges in _EDGES.items()},
    "language": (ENGLISH, OTHER, UNKNOWN),
}
"""What is watched of an input, and the bins of each, in order: `question_words`, `passages` (their number),
`passage_words` (of all passages together, as far as the policy was shown them) and the question's `language`."""

SMOOTHING = 0.5
"""Added to every bin's count, online and offline, so that an empty bin is no infinite shift (Jeffreys' prior)."""


def score_bin(probability: float) -> str:
    """The bin of an error probability. Raises ValueError outside [0, 1]."""
    if not 0 <= probability <= 1:
        raise ValueError(f"{probability} is no probability")
    return SCORE_BINS[min(int(probability * 10), 9)]


def number_bin(name: str, value: int) -> str:
    """The bin of a counted input: `question_words`, `passages` or `passage_words`."""
    return INPUTS[name][max(0, bisect_right(_EDGES[name], value) - 1)]


def shares(bins: tuple[str, ...], counts: Mapping[str, int]) -> dict[str, float]:
    """The share of each bin, empty ones included; all 0 for no counts."""
    total = sum(counts.values())
    return {name: counts.get(name, 0) / total if total else 0.0 for name in bins}


def psi(counts: Mapping[str, float], baseline: Mapping[str, float], baseline_total: float) -> float:
    """Population stability index of online counts by bin against a baseline's shares by bin; 0 where they agree.

    `sum_i (p_i - q_i) ln(p_i / q_i)` over the B bins of the baseline, Jeffreys' divergence (Siddiqi 2006, "Credit Risk
    Scorecards"). Both distributions are smoothed by half a count a bin; with counts `c_i` that sum to `n`, shares `b_i`
    of a baseline of `m` observations (`baseline_total`), and B = the number of bins,

        p_i = (c_i + 0.5) / (n + 0.5 B)
        q_i = (b_i m + 0.5) / (m + 0.5 B)

    which is finite for any counts, none included. The monitoring rules compute the same. In PromQL, with `c` the
    increase of a bin counter, `b` the baseline's ratios and `m` its number of observations, where every bin has a
    series of each and L are the labels without `bin`:

        p = (c + 0.5) / on(L) group_left() (sum without(bin) (c) + 0.5 * count without(bin) (c))
        q = (b * on(L) group_left() m + 0.5) / on(L) group_left() (m + 0.5 * count without(bin) (b))
        sum without(bin) ((p - q) * ln(p / q))

    Customary reading: below 0.1 no shift, above 0.25 a large one; but see `psi_by_chance`. Raises ValueError for a bin
    that the baseline does not have.
    """
    if strange := counts.keys() - baseline.keys():
        raise ValueError(f"the baseline has no bin {sorted(strange)[0]!r}")
    added = SMOOTHING * len(baseline)
    total = sum(counts.values())
    shift = 0.0
    for name, share in baseline.items():
        p = (counts.get(name, 0) + SMOOTHING) / (total + added)
        q = (share * baseline_total + SMOOTHING) / (baseline_total + added)
        shift += (p - q) * log(p / q)
    return shift


def psi_by_chance(bins: int, online: float, baseline: float) -> float:
    """The index that is expected where nothing has moved: `(bins - 1) (1 / n + 1 / m)`.

    `online` and `baseline` are the numbers n and m of independent observations. Source: Yurdakul & Naranjo (2020),
    "Statistical properties of the population stability index", Journal of Risk Model Validation 14(4): divided by
    `1/n + 1/m`, the index is distributed as chi-squared with `bins - 1` degrees of freedom. With bins that are nearly
    empty the smoothed index stays below this. Segments of one answer resemble each other, and answers to one question
    do: counted as independent they make chance look smaller than it is. By two answers to each of 150 annotated
    questions, chance gives 1.2 to 1.3 times this for segments of different questions, 1.4 to 1.6 times where each
    question is answered twice, as in a recorded baseline. Infinite without observations.
    """
    if not online or not baseline:
        return float("inf")
    return (bins - 1) * (1 / online + 1 / baseline)
