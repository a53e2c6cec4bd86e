"""Distant supervision: training labels from reference answers instead of annotations (Mintz et al. 2009).

A reference answer shows which content a good answer contains. Pseudo-responses are put together from sentences of the
passages and of the answer; a policy's answers can be added. Each of their sub-sentences is labelled by how much of it
is in the reference answer. This needs no human feedback on responses.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rewards.dataset import Example
from rewards.features.encoder import Encoder
from rewards.features.words import content_words, ngrams, share_in, tokens_of
from rewards.segmentation import Span, sentences, sub_sentences

Matrix = NDArray[np.float64]

PER_QUESTION = 6
"""Number of pseudo-responses for each question."""
_FROM_ANSWER = 0.25
"""Probability that the next sentence of a pseudo-response comes from the reference answer."""
_NEAR_THE_QUESTION = 0.4
"""Probability that a sentence that is not from the answer is one of those that share most words with the question. They
look like an answer and mostly are none, so they are what a reader must learn to tell apart."""
_NEAREST = 6
"""How many sentences count as sharing most words with the question."""
_FROM_ANY_PASSAGE = 0.5
"""Probability that the next run of sentences comes from a random passage instead of the first."""
_EARLY = 4.0
"""Mean index of the sentence at which a run begins; responses quote openings more than endings."""


@dataclass(frozen=True)
class PseudoResponse:
    """A response, and for each of its sub-sentences the probability that a good answer does not contain it."""

    question: str
    text: str
    spans: tuple[Span, ...]
    targets: tuple[float, ...]


def make_pseudo_responses(
    examples: Sequence[Example], seed: int, per_question: int = PER_QUESTION
) -> list[tuple[Example, str]]:
    """Make pseudo-responses to each example that has an answer and passages. The same seed makes the same ones."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    made = [(e, _pseudo_response(e, rng)) for e in examples if e.answer.strip() for _ in range(per_question)]
    return [(e, text) for e, text in made if text]


def label_by_reference(responses: Sequence[tuple[Example, str]], encoder: Encoder) -> list[PseudoResponse]:
    """Label each sub-sentence of some responses by the example's reference answer; empty responses are left out."""
    responses = [(e, text) for e, text in responses if sub_sentences(text)]
    pieces = [text[a:b] for _, text in responses for a, b in sub_sentences(text)]
    answers = {e.answer: [e.answer[a:b] for a, b in sub_sentences(e.answer)] for e, _ in responses}
    unique = list(dict.fromkeys([*pieces, *(piece for cut in answers.values() for piece in cut)]))
    vectors = dict(zip(unique, encoder.encode(unique), strict=True))
    labelled = []
    for e, text in responses:
        spans = sub_sentences(text)
        answer = np.stack([vectors[piece] for piece in answers[e.answer]])
        tokens = tokens_of(e.answer)
        words, pairs = frozenset(tokens), frozenset(ngrams(tokens, 2))
        targets = []
        for a, b in spans:
            piece = text[a:b]
            similarity = float((answer @ vectors[piece]).max())
            shared_words = share_in(content_words(piece), words)
            shared_pairs = share_in(ngrams(tokens_of(piece), 2), pairs)
            targets.append(not_in_answer(similarity, shared_words, shared_pairs))
        labelled.append(PseudoResponse(e.question, text, tuple(spans), tuple(targets)))
    return labelled


def not_in_answer(similarity: float, words: float, pairs: float) -> float:
    """Probability that an answer does not contain a piece of text.

    Computed from the piece's highest similarity to a sub-sentence of the answer, and from the shares of its content
    words and word pairs that the answer has. It is 0.5 about where a paraphrase begins (similarity 0.62, half of the
    words, a quarter of the pairs), about 0.01 for a verbatim piece and about 0.99 for an unrelated one.
    """
    return float(1 / (1 + np.exp(6 * (similarity - 0.62) + 3 * (words - 0.55) + 2 * (pairs - 0.25))))


def _pseudo_response(example: Example, rng: random.Random) -> str:
    passages = [[p.text[a:b] for a, b in sentences(p.text)] for p in example.passages]
    passages = [p for p in passages if p]
    answer = [example.answer[a:b] for a, b in sentences(example.answer)]
    if not passages:
        return ""
    nearest = nearest_sentences(example.question, [piece for passage in passages for piece in passage], _NEAREST)
    length = rng.randint(2, 5)
    pieces: list[str] = []
    while len(pieces) < length:
        if rng.random() < _FROM_ANSWER:
            pieces.append(rng.choice(answer))
            continue
        if rng.random() < _NEAR_THE_QUESTION:
            pieces.append(rng.choice(nearest))
            continue
        passage = rng.choice(passages) if rng.random() < _FROM_ANY_PASSAGE else passages[0]
        first = min(int(rng.expovariate(1 / _EARLY)), len(passage) - 1)
        pieces += passage[first : first + rng.randint(1, 2)]
    return " ".join(dict.fromkeys(pieces))


def nearest_sentences(question: str, pieces: Sequence[str], count: int) -> list[str]:
    """The sentences that share most content words with the question, in the order of the text."""
    words = content_words(question)
    best = sorted(range(len(pieces)), key=lambda i: (-len(words & content_words(pieces[i])), i))[:count]
    return [pieces[i] for i in sorted(best)]
