"""How much of an answer is copied from the passages that the policy was shown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from rewards.dataset import Passage
from rewards.features.words import tokens_of
from rewards.scores import ScoreRequest

COPIED_WORDS = 8
"""A run of so many words that also stands in a passage counts as copied; shorter ones may be names and phrases."""


@dataclass(frozen=True)
class Copied:
    """What an answer has in common with the passages, word for word. Case and punctuation do not count."""

    share: float
    """Share of the answer's words that lie in word 8-grams of a passage (COPIED_WORDS); 0 without words."""
    longest: int
    """Words of the longest run that also stands in a passage, however short."""


def copied(answer: str, passages: Sequence[Passage]) -> Copied:
    """Measure an answer. A run lies within one passage, whose title comes first. Takes about 0.4 ms.

    At each word, `runs` holds the lengths of the runs that end there, by the place in the passages where they end: a
    run is one longer than the run that ended one word and one place before.
    """
    places = _places(passages)
    words = tokens_of(answer)
    runs: dict[int, int] = {}
    covered = covered_until = longest = 0
    for end, word in enumerate(words, 1):
        runs = {place: runs.get(place - 1, 0) + 1 for place in places.get(word, ())}
        run = max(runs.values(), default=0)
        longest = max(longest, run)
        if run >= COPIED_WORDS:
            covered += end - max(covered_until, end - run)
            covered_until = end
    return Copied(covered / len(words) if words else 0.0, longest)


def mean_copied(requests: Iterable[ScoreRequest]) -> dict[str, float]:
    """The means over answers of `share` and `longest`, as reports and logs have them; 0 without answers."""
    answers = [copied(request.response, request.passages) for request in requests]
    return {
        "share": fmean(answer.share for answer in answers) if answers else 0.0,
        "longest": fmean(answer.longest for answer in answers) if answers else 0.0,
    }


def _places(passages: Sequence[Passage]) -> dict[str, list[int]]:
    """The places of each word. A place stays free after each passage, so no run crosses from one to the next."""
    places: dict[str, list[int]] = {}
    place = 0
    for passage in passages:
        for word in tokens_of(f"{passage.title} {passage.text}"):
            places.setdefault(word, []).append(place)
            place += 1
        place += 1
    return places
