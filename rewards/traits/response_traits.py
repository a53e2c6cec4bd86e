"""What is monitored of an answer and of its question, beside the scores."""

from collections.abc import Mapping
from dataclasses import dataclass

from rewards.features.words import ngrams
from rewards.scores import ScoreRequest
from rewards.statistics.distribution_shift import number_bin
from rewards.traits.copied import Copied, copied
from rewards.traits.language import language
from rewards.traits.refusals import is_refusal

_NGRAM = 4


@dataclass(frozen=True)
class ResponseTraits:
    """The traits of one response and of its input."""

    words: int
    """Number of whitespace-separated words of the answer."""
    repetition: float
    """Share of the answer's four-word sequences that occurred earlier in it."""
    copied: Copied
    """What it has in common with the passages, word for word."""
    declined: bool
    """Whether the answer is a refusal (rewards.traits.refusals)."""
    inputs: Mapping[str, str]
    """The bin of each input in `rewards.statistics.distribution_shift.INPUTS`."""


def response_traits(request: ScoreRequest) -> ResponseTraits:
    """Measure the response, the question, and the passages that the policy was shown. Takes about 0.5 ms."""
    return ResponseTraits(
        len(request.response.split()),
        repetition(request.response),
        copied(request.response, request.passages),
        is_refusal(request.response),
        {
            "question_words": number_bin("question_words", len(request.question.split())),
            "passages": number_bin("passages", len(request.passages)),
            "passage_words": number_bin("passage_words", sum(len(p.text.split()) for p in request.passages)),
            "language": language(request.question),
        },
    )


def repetition(text: str) -> float:
    """Share of the text's four-word sequences that occurred earlier in it: 0 for none, near 1 for a loop."""
    sequences = ngrams(text.lower().split(), _NGRAM)
    return 1 - len(set(sequences)) / len(sequences) if sequences else 0.0
