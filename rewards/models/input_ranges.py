"""Whether an input is like the training data of the reward models; the scores of any other input are extrapolation.

A few statistics of question, passages and response are compared with their ranges in the feedback, and many of them
together with the feedback as a whole. They catch kinds of input that nobody annotated (no passages, another language,
markup, loops, extreme lengths, other kinds of questions, answers from elsewhere), but not wrong scores.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from rewards.features.words import STOP_WORDS, tokens_of
from rewards.models.typical_inputs import MARKUP, TypicalInputs, fit_typical_inputs, statistics_of
from rewards.scores import ScoreRequest
from rewards.segmentation import sentences

_QUANTILES = (0.01, 0.99)
"""The range of a statistic: these quantiles of the feedback, without its outliers."""
_COUNT_MARGIN = 2.0
"""Counts may exceed the range by this factor."""
_SHARE_MARGIN = 0.05
"""Shares may exceed the range by this much."""


def _letters(text: str) -> list[str]:
    return [c for c in text if c.isalpha()]


def _function_words(text: str) -> float:
    tokens = tokens_of(text)
    return sum(t in STOP_WORDS for t in tokens) / len(tokens) if tokens else 1.0


def _latin(text: str) -> float:
    letters = _letters(text)
    return sum(ord(c) < 0x250 for c in letters) / len(letters) if letters else 1.0


def _markup(text: str) -> float:
    return sum(c in MARKUP for c in text) / len(text) if text else 0.0


def _repeated(text: str) -> float:
    texts = [text[a:b].lower() for a, b in sentences(text)]
    return 1 - len(set(texts)) / len(texts) if texts else 0.0


COUNTS: dict[str, Callable[[ScoreRequest], float]] = {
    "words in the response": lambda r: len(r.response.split()),
    "letters in the longest word": lambda r: max(map(len, r.response.split()), default=0),
    "words in the question": lambda r: len(r.question.split()),
    "words in the passages": lambda r: sum(len(p.text.split()) for p in r.passages),
}
SHARES: dict[str, Callable[[ScoreRequest], float]] = {
    "share of English function words": lambda r: _function_words(r.response),
    "share of Latin letters": lambda r: _latin(r.response),
    "share of markup": lambda r: _markup(r.response),
    "share of repeated sentences": lambda r: _repeated(r.response),
}
STATISTICS: Mapping[str, Callable[[ScoreRequest], float]] = COUNTS | SHARES


class InputRanges(BaseModel):
    """For each statistic, the lowest and highest value of nearly all of the feedback."""

    model_config = ConfigDict(frozen=True)

    ranges: dict[str, tuple[float, float]] = {}
    typical: TypicalInputs | None = None
    """The feedback as a whole; None where there was too little of it, and in files from before it was fitted."""

    def notes(self, request: ScoreRequest) -> tuple[str, ...]:
        """A sentence for each statistic outside its range and margin, and for an input that is unlike as a whole.

        None for an input like the training data.
        """
        if not request.response.strip():
            return ("The response is empty.",)
        notes = []
        for name, (low, high) in self.ranges.items():
            value = STATISTICS[name](request)
            if name in COUNTS and not low / _COUNT_MARGIN <= value <= high * _COUNT_MARGIN:
                notes.append(f"{value:.0f} {name}; the fitted feedback has {low:.0f} to {high:.0f}.")
            elif name in SHARES and not low - _SHARE_MARGIN <= value <= high + _SHARE_MARGIN:
                notes.append(f"The {name} is {value:.2f}; in the fitted feedback it is {low:.2f} to {high:.2f}.")
        if self.typical is not None and (note := self.typical.note(request)):
            notes.append(note)
        return tuple(notes)


def fit_input_ranges(requests: Sequence[ScoreRequest]) -> InputRanges:
    """What some requests are like, each statistic by itself and all together; empty responses are left out."""
    requests = [request for request in requests if request.response.strip()]
    if not requests:
        return InputRanges()
    statistics = np.stack([statistics_of(request) for request in requests])
    typical = fit_typical_inputs(statistics, [request.question for request in requests])
    return fit_ranges(requests).model_copy(update={"typical": typical})


def fit_ranges(requests: Sequence[ScoreRequest]) -> InputRanges:
    """The range of each statistic by itself, over at least one request."""
    ranges = {}
    for name, statistic in STATISTICS.items():
        low, high = np.quantile([statistic(request) for request in requests], _QUANTILES)
        ranges[name] = (round(float(low), 4), round(float(high), 4))
    return InputRanges(ranges=ranges)
