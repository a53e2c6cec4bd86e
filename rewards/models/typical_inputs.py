"""How far an input is from the training data as a whole, with a limit that few inputs like the training data exceed.

Each statistic by itself may be within its range while their combination is unlike anything in the feedback: a short
question without a question word, and a response of which half stands in no passage. The distance is that of Mahalanobis
(1936), with the covariance shrunk as by Ledoit & Wolf (2004, "A well-conditioned estimator for large-dimensional
covariance matrices"). The limit is a quantile of distances that are measured on questions held out in turn, so the
share of false alarms is known (conformal prediction, Vovk, Gammerman & Shafer 2005).
"""

from collections.abc import Sequence
from math import log1p

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from rewards.features.words import STOP_WORDS, content_words, share, tokens_of
from rewards.scores import ScoreRequest
from rewards.segmentation import sentences

Matrix = NDArray[np.float64]

FALSE_ALARMS = 0.05
"""Share of inputs like the training data that exceed the limit."""
MIN_REQUESTS = 100
"""Requests below which a distance would say little."""
_FOLDS = 5
_QUESTION_WORDS = frozenset(
    "who whom whose what which when where why how is are was were do does did can could should would".split()
)
MARKUP = frozenset("#*|`<>[]{}_~=\\^")
_PUNCTUATION = frozenset(",;:()\"'-")
_LEAST_SPREAD = {"log": 0.1, "share": 0.02}
"""Statistics that hardly vary in the feedback count as varying by this much."""

STATISTICS = (
    "log words in the response", "log sentences", "log words in a sentence", "log letters in the longest word",
    "log words in the question", "share of questions with a question word first", "share of function words",
    "share of markup", "share of digits", "share of capitals", "share of punctuation inside sentences",
    "share of the response's words in the passages", "share of the response's words in the question",
    "share of the question's words in the passages",
)  # fmt: skip


def statistics_of(request: ScoreRequest) -> Matrix:
    """The statistics of a request: float64 [STATISTICS]. Counts are log(1 + n)."""
    text, words, question = request.response, request.response.split(), request.question.split()
    parts, tokens = sentences(text), tokens_of(text)
    passages = {word for passage in request.passages for word in content_words(passage.text)}
    answered, asked = content_words(text), content_words(request.question)
    return np.array(
        [
            log1p(len(words)),
            log1p(len(parts)),
            log1p(share(len(words), len(parts))),
            log1p(max(map(len, words), default=0)),
            log1p(len(question)),
            float(bool(question) and question[0].lower() in _QUESTION_WORDS),
            share(sum(token in STOP_WORDS for token in tokens), len(tokens)),
            share(sum(character in MARKUP for character in text), len(text)),
            share(sum(character.isdigit() for character in text), len(text)),
            share(sum(character.isupper() for character in text), len(text)),
            share(sum(character in _PUNCTUATION for character in text), len(text)),
            share(len(answered & passages), len(answered)),
            share(len(answered & asked), len(answered)),
            share(len(asked & passages), len(asked)),
        ],
        dtype=np.float64,
    )


class TypicalInputs(BaseModel):
    """The centre and spread of the training data, and how far from it nearly all of it lies."""

    model_config = ConfigDict(frozen=True)

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    """The spread of each statistic by itself."""
    precision: tuple[tuple[float, ...], ...]
    """The inverse of the correlations."""
    limit: float
    false_alarm_rate: float
    """The share of held-out requests beyond the limit."""

    def distances(self, statistics: Matrix) -> Matrix:
        """Squared distances: float64 [N, STATISTICS] to [N]."""
        z = self._standardised(statistics)
        return np.asarray(np.einsum("ij,jk,ik->i", z, np.asarray(self.precision), z))

    def note(self, request: ScoreRequest) -> str | None:
        """A sentence about a request that is unlike the training data; None for one that is like it."""
        statistics = statistics_of(request)
        distance = float(self.distances(statistics[None])[0])
        if distance <= self.limit:
            return None
        z = self._standardised(statistics)
        name = STATISTICS[int(np.argmax(z * (np.asarray(self.precision) @ z)))].removeprefix("log ")
        return (
            f"As a whole it is unlike the fitted feedback (distance {distance:.0f}; {1 - FALSE_ALARMS:.0%} of the "
            f"feedback is within {self.limit:.0f}), most of all in the {name}."
        )

    def _standardised(self, statistics: Matrix) -> Matrix:
        return np.asarray((statistics - np.asarray(self.mean)) / np.asarray(self.scale))


def fit_typical_inputs(statistics: Matrix, questions: Sequence[str]) -> TypicalInputs | None:
    """The training data as a whole, from the statistics of its requests: float64 [N, STATISTICS]. None for too few.

    `questions` are those of the requests; all requests with the same question are held out together.
    """
    if len(questions) < MIN_REQUESTS:
        return None
    held_out = np.zeros(len(questions))
    for fold in folds_of(questions):
        mean, scale, precision = _fit(statistics[~fold])
        z = (statistics[fold] - mean) / scale
        held_out[fold] = np.einsum("ij,jk,ik->i", z, precision, z)
    limit = float(np.quantile(held_out, 1 - FALSE_ALARMS, method="higher"))
    mean, scale, precision = _fit(statistics)
    return TypicalInputs(
        mean=_rounded(mean),
        scale=_rounded(scale),
        precision=tuple(map(_rounded, precision)),
        limit=round(limit, 4),
        false_alarm_rate=round(float((held_out > limit).mean()), 4),
    )


def folds_of(questions: Sequence[str]) -> list[NDArray[np.bool_]]:
    """The requests that are held out in turn, all of a question together: bool [N] each."""
    numbers = np.unique(questions, return_inverse=True)[1]
    fold_of = np.random.default_rng(0).permutation(int(numbers.max()) + 1) % _FOLDS
    return [fold_of[numbers] == fold for fold in range(_FOLDS) if (fold_of[numbers] == fold).any()]


def _fit(statistics: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    from sklearn.covariance import LedoitWolf

    least = [_LEAST_SPREAD["log" if name.startswith("log") else "share"] for name in STATISTICS]
    mean, scale = statistics.mean(0), np.maximum(statistics.std(0), least)
    return mean, scale, np.asarray(LedoitWolf().fit((statistics - mean) / scale).precision_)


def _rounded(values: Matrix) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)
