"""How often the warning of unlike inputs is false at home, and how often it is right elsewhere. It needs no model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rewards.models.input_ranges import InputRanges, fit_ranges
from rewards.models.typical_inputs import fit_typical_inputs, folds_of, statistics_of
from rewards.scores import ScoreRequest
from rewards.segmentation import sentences
from rewards.statistics.agreement_with_people import rounded

Requests = Sequence[ScoreRequest]
HOME = "held-out feedback"


def _elsewhere(requests: Requests) -> list[ScoreRequest]:
    """The requests moved round by one, for an answer or passages that belong to another question."""
    return [*requests[1:], *requests[:1]]


def _bullets(text: str) -> str:
    return "\n".join(f"- **{text[start:end].strip()}**" for start, end in sentences(text))


MADE_UP: Mapping[str, Callable[[Requests], list[ScoreRequest]]] = {
    "passages of another question": lambda requests: [
        ScoreRequest(own.question, other.passages, own.response)
        for own, other in zip(requests, _elsewhere(requests), strict=True)
    ],
    "answers to another question": lambda requests: [
        ScoreRequest(own.question, own.passages, other.response)
        for own, other in zip(requests, _elsewhere(requests), strict=True)
    ],
    "answers as bullets in bold": lambda requests: [
        ScoreRequest(own.question, own.passages, _bullets(own.response)) for own in requests
    ],
    "questions as three keywords": lambda requests: [
        ScoreRequest(" ".join(own.question.rstrip("?").split()[-3:]), own.passages, own.response) for own in requests
    ],
    "answers in capitals": lambda requests: [
        ScoreRequest(own.question, own.passages, own.response.upper()) for own in requests
    ],
    "answers cut after 40 characters": lambda requests: [
        ScoreRequest(own.question, own.passages, own.response[:40]) for own in requests
    ],
}
"""By name, what makes requests of another domain out of those of the feedback."""


def study_shifts(home: Requests, elsewhere: Mapping[str, Requests]) -> dict[str, dict[str, Any]]:
    """By set, how many `answers`, and the share that is `warned` about and that is out of the single `ranges`.

    The feedback, and what is made up of it, is judged by what was fitted on the other folds of its questions;
    `elsewhere` by what was fitted on all of it.
    """
    home = [request for request in home if request.response.strip()]
    statistics = np.stack([statistics_of(request) for request in home])
    questions = [request.question for request in home]
    counts: dict[str, list[NDArray[np.bool_]]] = {}
    for fold in folds_of(questions):
        fitted = _fitted(home, statistics, ~fold)
        held_out = [home[i] for i in np.flatnonzero(fold)]
        counts.setdefault(HOME, []).append(_warned(fitted, held_out))
        for name, make in MADE_UP.items():
            counts.setdefault(name, []).append(_warned(fitted, make(held_out)))
    fitted = _fitted(home, statistics, np.ones(len(home), dtype=bool))
    counts |= {name: [_warned(fitted, requests)] for name, requests in elsewhere.items()}
    return {name: _shares(np.concatenate(parts)) for name, parts in counts.items()}


def _fitted(home: Requests, statistics: NDArray[np.float64], chosen: NDArray[np.bool_]) -> InputRanges:
    requests = [home[i] for i in np.flatnonzero(chosen)]
    typical = fit_typical_inputs(statistics[chosen], [request.question for request in requests])
    return fit_ranges(requests).model_copy(update={"typical": typical})


def _warned(fitted: InputRanges, requests: Requests) -> NDArray[np.bool_]:
    """Whether there is any note, and one on a single range: bool [N, 2]."""
    ranges = fitted.model_copy(update={"typical": None})
    return np.array([[bool(fitted.notes(request)), bool(ranges.notes(request))] for request in requests])


def _shares(warned: NDArray[np.bool_]) -> dict[str, Any]:
    return {"answers": len(warned), "warned": rounded(warned[:, 0].mean()), "ranges": rounded(warned[:, 1].mean())}
