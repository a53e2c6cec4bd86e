"""What is expected of a policy online: its figures by the decoding it is served by, in the shapes that are watched."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from policies.store import Decoding
from rewards.scores import ScoredResponse, ScoreRequest
from rewards.statistics.distribution_shift import INPUTS, SCORE_BINS, score_bin, shares
from rewards.traits.response_traits import traits_of


def online_baseline(
    decoding: Decoding,
    rewards: str,
    requests: Sequence[ScoreRequest],
    scored: Sequence[ScoredResponse],
    truncated: Sequence[float],
) -> dict[str, Any] | None:
    """What `scores.served` of a policy.json holds, for the service to compare its own counts with.

    `rewards` is the version of the reward models, `truncated` is 1 for responses that did not end. Responses without
    passages are left out, as the service does not score them; `questions` is how many different ones are left.
    `error_ratio` is the share of a category's segments that are judged errors, `segments` their number, `score_ratio`
    their shares by bin of error probability; `input_ratio` has the responses' shares by bin of each input
    (rewards.statistics.distribution_shift), `words` their mean number of words, `truncated` and `declined` are shares, `repetition` a
    mean. None where no response has passages.
    """
    kept = [i for i, request in enumerate(requests) if request.passages]
    if not kept:
        return None
    traits = [traits_of(requests[i]) for i in kept]
    judged = {
        category: [segment for i in kept for segment in scored[i].categories[category].segments]
        for category in scored[kept[0]].categories
    }
    return {
        "decoding": decoding.model_dump(),
        "rewards": rewards,
        "responses": len(kept),
        "questions": len({(requests[i].question, requests[i].passages) for i in kept}),
        "error_ratio": {
            category: fmean(segment.error for segment in every) if every else 0.0 for category, every in judged.items()
        },
        "segments": {category: len(every) for category, every in judged.items()},
        "score_ratio": {
            category: _ratio(SCORE_BINS, (score_bin(segment.error_probability) for segment in every))
            for category, every in judged.items()
        },
        "input_ratio": {name: _ratio(bins, (one.inputs[name] for one in traits)) for name, bins in INPUTS.items()},
        "words": fmean(one.words for one in traits),
        "truncated": fmean(truncated[i] for i in kept),
        "declined": fmean(one.declined for one in traits),
        "repetition": fmean(one.repetition for one in traits),
    }


def _ratio(bins: tuple[str, ...], found: Iterable[str]) -> dict[str, float]:
    return {name: round(share, 6) for name, share in shares(bins, Counter(found)).items()}
