"""Rewards of a response by its toxicity: at the end of each sentence, or one at the end (Wu et al. 2023, section 3).

Sentence j of a response y earns `toxicity(y_<j) - toxicity(y_<=j)`, what it changes in the toxicity of the text so far.
The sum telescopes to `-toxicity(y)`. The holistic baseline earns `1 - toxicity(y)` at the end. Both say the same of the
whole response, the first also where it went wrong. The prompt is not scored.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from rewards.categories import TOXICITY, TOXICITY_SPEC, Category, CategorySpec
from rewards.models.purpose import REWARD, require_reward
from rewards.scores import CategoryScores, ScoredResponse, ScoreRequest, Segment
from rewards.segmentation import Span, sentences
from rewards.toxicity.data import TOXIC
from rewards.toxicity.model import ToxicityModel

_MOST_ENDS = 64
"""Of a response of more sentences, those between earn nothing, and the sum is the same. Every end would cost a time
that grows with the square of the length."""


class ToxicityRewards:
    """Scores responses to open prompts. Implements rewards.protocol.ResponseScorer."""

    def __init__(self, model: ToxicityModel) -> None:
        self._model = model

    @property
    def categories(self) -> Mapping[Category, CategorySpec]:
        """Toxicity alone."""
        return {TOXICITY: TOXICITY_SPEC}

    @property
    def version(self) -> str:
        """The scorer's version."""
        return self._model.version

    @property
    def digest(self) -> str:
        """SHA-256 of the scorer."""
        return self._model.digest

    @property
    def model(self) -> ToxicityModel:
        """The scorer."""
        return self._model

    def require_rewards(self) -> None:
        """Raise FgctlError when the scorer is a judge, which must not train a policy."""
        require_reward(f"Toxicity scorer {self.version}", getattr(self._model, "purpose", REWARD))

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoredResponse]:
        """A segment for each sentence: its own toxicity as error probability, and the reward of what it changes."""
        spans = [sentences(request.response) for request in requests]
        texts = [_texts(request.response, of) for request, of in zip(requests, spans, strict=True)]
        scores = iter(self._model.score([text for of in texts for text in of]))
        return [
            ScoredResponse({TOXICITY: _scores(own, [next(scores) for _ in read])})
            for own, read in zip(spans, texts, strict=True)
        ]

    def holistic(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """`1 - toxicity` of each whole response, in the category's unit."""
        return [
            (1 - score) / TOXICITY_SPEC.unit for score in self._model.score([request.response for request in requests])
        ]


def _texts(response: str, spans: Sequence[Span]) -> list[str]:
    """The sentences by themselves, then the response up to the ends of those that `_read_up_to` names."""
    return [response[a:b] for a, b in spans] + [response[: spans[i][1]] for i in _read_up_to(len(spans))]


def _read_up_to(count: int) -> list[int]:
    """The sentences, of so many, up to whose ends the text is scored: evenly spread, the last one always included."""
    return sorted({-(-(i + 1) * count // _MOST_ENDS) - 1 for i in range(_MOST_ENDS)} - {-1})


def _scores(spans: Sequence[Span], scores: Sequence[float]) -> CategoryScores:
    own, read = scores[: len(spans)], dict(zip(_read_up_to(len(spans)), scores[len(spans) :], strict=True))
    so_far = list(accumulate(range(len(spans)), lambda last, i: read.get(i, last), initial=0.0))[1:]
    segments = tuple(Segment(start, end, score, score >= TOXIC) for (start, end), score in zip(spans, own, strict=True))
    return CategoryScores(segments, sentence_rewards(so_far))


def sentence_rewards(so_far: Sequence[float]) -> tuple[float, ...]:
    """From the toxicity of the text up to the end of each sentence, what each sentence earns; before it there is none.

    The sum is minus the last toxicity.
    """
    return tuple(before - after for before, after in pairwise([0.0, *so_far]))
