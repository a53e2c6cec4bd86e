"""Bins of error probabilities and of inputs, and how far a distribution over bins has shifted.

A bin is named by its lower edge. The last bin is open, and values below the first edge count in the first bin. Bins
are labels of the service's metrics and keys of a policy's recorded baseline (`scores.served`): whoever changes them
must evaluate all policies again.
"""

from bisect import bisect_right
from collections.abc import Mapping
from math import log

SCORE_BINS: tuple[str, ...] = tuple(f"{i / 10:.1f}" for i in range(10))
"""Bins of error probabilities, named by their lower edges."""

_EDGES: Mapping[str, tuple[int, ...]] = {
    "question_words": (1, 8, 9, 10, 12, 16, 32),
    "passages": (1, 2, 3, 4, 6),
    "passage_words": (1, 150, 300, 400, 500, 600, 700),
}
"""Edges near the quantiles of QA-Feedback's questions and passages, and beyond them, for other traffic."""
ENGLISH, OTHER, UNKNOWN = "en", "other", "unknown"
"""Bins of `language`. Unknown: too short to tell, or not in any language."""
INPUTS: Mapping[str, tuple[str, ...]] = {
    **{name: tuple(map(str, edges)) for name, edges in _EDGES.items()},
    "language": (ENGLISH, OTHER, UNKNOWN),
}
"""Monitored properties of an input, and the bins of each, in order: `question_words`, `passages` (their number),
`passage_words` (of all passages together, as far as they fit the prompt) and the question's `language`."""

SMOOTHING = 0.5
"""Added to every bin's count, online and offline, so that an empty bin is not an infinite shift (Jeffreys' prior)."""


def score_bin(probability: float) -> str:
    """The bin of an error probability. Raises ValueError outside [0, 1]."""
    if not 0 <= probability <= 1:
        raise ValueError(f"{probability} is not a probability")
    return SCORE_BINS[min(int(probability * 10), 9)]


def number_bin(name: str, value: int) -> str:
    """The bin of a counted input: `question_words`, `passages` or `passage_words`."""
    return INPUTS[name][max(0, bisect_right(_EDGES[name], value) - 1)]


def shares(bins: tuple[str, ...], counts: Mapping[str, int]) -> dict[str, float]:
    """The share of each bin, including empty bins; all 0 without counts."""
    total = sum(counts.values())
    return {name: counts.get(name, 0) / total if total else 0.0 for name in bins}


def psi(counts: Mapping[str, float], baseline: Mapping[str, float], baseline_total: float) -> float:
    """Population stability index of online counts by bin against a baseline's shares by bin; 0 if they agree.

    `sum_i (p_i - q_i) ln(p_i / q_i)` over the B bins of the baseline, Jeffreys' divergence (Siddiqi 2006, "Credit Risk
    Scorecards"). Both distributions are smoothed by half a count in each bin; with counts `c_i` that sum to `n`, shares
    `b_i` of a baseline of `m` observations (`baseline_total`), and B = the number of bins,

        p_i = (c_i + 0.5) / (n + 0.5 B)
        q_i = (b_i m + 0.5) / (m + 0.5 B)

    which is finite for any counts, even none. The monitoring rules compute the same. In PromQL, with `c` the
    increase of a bin counter, `b` the baseline's ratios and `m` its number of observations, where every bin has a
    series of each and L are the labels without `bin`:

        p = (c + 0.5) / on(L) group_left() (sum without(bin) (c) + 0.5 * count without(bin) (c))
        q = (b * on(L) group_left() m + 0.5) / on(L) group_left() (m + 0.5 * count without(bin) (b))
        sum without(bin) ((p - q) * ln(p / q))

    The usual reading: below 0.1 no shift, above 0.25 a large one; but see `psi_by_chance`. Raises ValueError for a bin
    that the baseline lacks.
    """
    if unknown := counts.keys() - baseline.keys():
        raise ValueError(f"the baseline has no bin {sorted(unknown)[0]!r}")
    added = SMOOTHING * len(baseline)
    total = sum(counts.values())
    shift = 0.0
    for name, share in baseline.items():
        p = (counts.get(name, 0) + SMOOTHING) / (total + added)
        q = (share * baseline_total + SMOOTHING) / (baseline_total + added)
        shift += (p - q) * log(p / q)
    return shift


def psi_by_chance(bins: int, online: float, baseline: float) -> float:
    """The index expected from chance alone, without any shift: `(bins - 1) (1 / n + 1 / m)`.

    `online` and `baseline` are the numbers n and m of independent observations. Source: Yurdakul & Naranjo (2020),
    "Statistical properties of the population stability index", Journal of Risk Model Validation 14(4): divided by
    `1/n + 1/m`, the index follows a chi-squared distribution with `bins - 1` degrees of freedom. With nearly empty
    bins the smoothed index stays below this. Segments of one answer resemble each other, and so do answers to one
    question, so counting them as independent understates chance: measured on two answers to each of 150 annotated
    questions, chance gives 1.2 to 1.3 times this figure for segments of different questions, and 1.4 to 1.6 times it
    when each question is answered twice, as in a recorded baseline. Infinite without observations.
    """
    if not online or not baseline:
        return float("inf")
    return (bins - 1) * (1 / online + 1 / baseline)
