"""How well a toxicity scorer agrees with Perspective and with people, and what it makes of the probes."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rewards.segmentation import sentences
from rewards.toxicity.data import TOXIC, RatedText, SpanText, ToxicityPrompt
from rewards.toxicity.probes import TOXIC_KINDS, probes

Matrix = NDArray[np.float64]

_BINS = 10
_RESAMPLES = 1000


class TextScorer(Protocol):
    """Either scorer."""

    def score(self, texts: Sequence[str]) -> list[float]:
        """A score in [0, 1] for each text."""


def agreement(rows: Sequence[ToxicityPrompt], scorer: TextScorer) -> dict[str, Any]:
    """Agreement with Perspective on prompts, on continuations and on both (`against_scores`)."""
    parts = {"prompts": [r.prompt for r in rows], "continuations": [r.continuation for r in rows]}
    parts["all"] = parts["prompts"] + parts["continuations"]
    return {name: _rated(texts, scorer) for name, texts in parts.items()}


def _rated(texts: Sequence[RatedText], scorer: TextScorer) -> dict[str, Any]:
    rated = [text for text in texts if text.toxicity is not None]
    scores = np.array([text.toxicity for text in rated], dtype=np.float64)
    return against_scores(np.array(scorer.score([text.text for text in rated])), scores)


def against_scores(own: Matrix, scores: Matrix) -> dict[str, Any]:
    """Figures of a scorer's scores [N] beside Perspective's [N].

    `spearman`; `auc` of telling toxic texts (from TOXIC on) from others, both with 95 % bootstrap intervals;
    `calibration_error`, the mean distance of mean score and mean Perspective score in ten bins of the scorer's scores;
    `mean_error`, the mean absolute difference. None where there is nothing to tell apart.
    """
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(own), len(own)) for _ in range(_RESAMPLES)] if len(own) else []
    figures: dict[str, Any] = {"n": len(own)}
    for name, measure in (("spearman", _spearman), ("auc", auc)):
        figures[name] = measure(own, scores)
        resampled = [value for rows in drawn if (value := measure(own[rows], scores[rows])) is not None]
        figures[f"{name}_interval"] = np.quantile(resampled, [0.025, 0.975]).tolist() if resampled else None
    return figures | {
        "calibration_error": calibration_error(own, scores),
        "mean_error": float(np.abs(own - scores).mean()) if len(own) else None,
    }


def _spearman(own: Matrix, scores: Matrix) -> float | None:
    from scipy.stats import rankdata

    a, b = rankdata(own), rankdata(scores)
    return float(np.corrcoef(a, b)[0, 1]) if len(own) > 1 and a.std() > 0 and b.std() > 0 else None


def auc(own: Matrix, scores: Matrix) -> float | None:
    """The chance that a toxic text gets a higher score than another one, ties counting half; None without both."""
    from scipy.stats import rankdata

    toxic = scores >= TOXIC
    positives, negatives = int(toxic.sum()), int((~toxic).sum())
    if not positives or not negatives:
        return None
    ranks = float(rankdata(own)[toxic].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def calibration_error(own: Matrix, scores: Matrix) -> float | None:
    """The mean over texts of |mean score - mean Perspective score| in bins of equal width of the scorer's scores."""
    if not len(own):
        return None
    bins = np.minimum((own * _BINS).astype(int), _BINS - 1)
    gaps = [(bins == b).sum() * abs(own[bins == b].mean() - scores[bins == b].mean()) for b in np.unique(bins)]
    return float(sum(gaps) / len(own))


def against_spans(comments: Sequence[SpanText], scorer: TextScorer) -> dict[str, Any]:
    """How well a scorer tells sentences in which people marked a toxic span from those in which they did not.

    `auc` over the sentences of all comments that have sentences of both kinds; `worst_marked`, the share of these
    comments whose sentence of the highest score was marked.
    """
    scored: list[float] = []
    labels: list[bool] = []
    worst: list[bool] = []
    for comment in comments:
        spans = sentences(comment.text)
        marked = [any(a <= offset < b for offset in comment.marked) for a, b in spans]
        if all(marked) or not any(marked):
            continue
        own = scorer.score([comment.text[a:b] for a, b in spans])
        scored, labels = scored + own, labels + marked
        worst.append(marked[int(np.argmax(own))])
    return {
        "comments": len(worst),
        "sentences": len(labels),
        "auc": auc(np.array(scored), np.array(labels, dtype=np.float64)),
        "worst_marked": float(np.mean(worst)) if worst else None,
    }


def on_probes(scorer: TextScorer) -> dict[str, dict[str, Any]]:
    """By kind of probe: how many there are, whether they are toxic, and the share and mean score of what counts so."""
    rows = {}
    for kind, texts in probes().items():
        own = np.array(scorer.score(texts))
        rows[kind] = {
            "n": len(texts), "toxic": kind in TOXIC_KINDS,
            "counted_toxic": float((own >= TOXIC).mean()), "mean": float(own.mean()),
        }  # fmt: skip
    return rows


def milliseconds(texts: Sequence[str], scorer: TextScorer, clock: Callable[[], float] = time.process_time) -> float:
    """What a text costs, scored in one batch, in milliseconds of processor time."""
    scorer.score(texts[:1])
    begin = clock()
    scorer.score(texts)
    return 1000 * (clock() - begin) / max(1, len(texts))
