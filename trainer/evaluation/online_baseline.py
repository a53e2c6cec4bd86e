"""What to expect of a policy in service: its figures when sampled as it is served, in the form that is monitored."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from policies.store import Decoding
from rewards.scores import ScoredResponse, ScoreRequest
from rewards.statistics.distribution_shift import INPUTS, SCORE_BINS, score_bin, shares
from rewards.traits.response_traits import response_traits


def online_baseline(
    decoding: Decoding,
    rewards: str,
    requests: Sequence[ScoreRequest],
    scored: Sequence[ScoredResponse],
    truncated: Sequence[float],
) -> dict[str, Any] | None:
    """The content of `scores.served` in policy.json, with which the service compares its own counts.

    `rewards` is the version of the reward models; `truncated` is 1 for a response that did not end. Responses to
    questions without passages are left out, as the service does not score them. Returns None when none is left.

    - `responses`, `questions`: how many responses and different questions are behind the figures
    - `error_ratio`, `segments`: by category, the share of segments that are judged errors, and the number of segments
    - `score_ratio`: by category, the segments' shares by bin of error probability
    - `input_ratio`: the responses' shares by bin of each input (rewards.statistics.distribution_shift)
    - `words`, `repetition`, `copied` (the share of copied words): means; `truncated`, `declined`: shares
    """
    scorable = [i for i, request in enumerate(requests) if request.passages]
    if not scorable:
        return None
    traits = [response_traits(requests[i]) for i in scorable]
    segments = {
        category: [segment for i in scorable for segment in scored[i].categories[category].segments]
        for category in scored[scorable[0]].categories
    }
    return {
        "decoding": decoding.model_dump(),
        "rewards": rewards,
        "responses": len(scorable),
        "questions": len({(requests[i].question, requests[i].passages) for i in scorable}),
        "error_ratio": {
            category: fmean(segment.error for segment in every) if every else 0.0
            for category, every in segments.items()
        },
        "segments": {category: len(every) for category, every in segments.items()},
        "score_ratio": {
            category: _ratio(SCORE_BINS, (score_bin(segment.error_probability) for segment in every))
            for category, every in segments.items()
        },
        "input_ratio": {
            name: _ratio(bins, (response.inputs[name] for response in traits)) for name, bins in INPUTS.items()
        },
        "words": fmean(response.words for response in traits),
        "truncated": fmean(truncated[i] for i in scorable),
        "declined": fmean(response.declined for response in traits),
        "repetition": fmean(response.repetition for response in traits),
        "copied": fmean(response.copied.share for response in traits),
    }


def _ratio(bins: tuple[str, ...], labels: Iterable[str]) -> dict[str, float]:
    return {name: round(share, 6) for name, share in shares(bins, Counter(labels)).items()}
