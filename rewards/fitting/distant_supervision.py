"""Distant supervision: what reference answers say about responses that nobody judged (Mintz et al. 2009).

A question with passages and a reference answer tells which content a good answer holds. Pseudo-responses are put
together from the passages and the answer, and a policy's own answers can be added; each of their sub-sentences is
labelled by how much of it the reference answer holds. The question's words are labelled likewise. No human judgement
of a response is used.
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

PER_QUESTION = 4
"""Pseudo-responses made for each question."""
_FROM_ANSWER = 0.25
"""How often the next sentence of a pseudo-response is one of the answer's."""
_FROM_ANY_PASSAGE = 0.5
"""How often the next run of sentences is from a passage drawn at random; else it is from the first."""
_EARLY = 4.0
"""Mean index, in sentences, at which a run begins: responses quote openings more than endings."""


@dataclass(frozen=True)
class PseudoResponse:
    """A response, and for each sub-sentence the probability that a good answer would not hold it."""

    question: str
    text: str
    spans: tuple[Span, ...]
    targets: tuple[float, ...]


def make_pseudo_responses(
    examples: Sequence[Example], seed: int, per_question: int = PER_QUESTION
) -> list[tuple[Example, str]]:
    """Pseudo-responses to each example that has an answer and passages; the same seed gives the same."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    made = [(e, _compose(e, rng)) for e in examples if e.answer.strip() for _ in range(per_question)]
    return [(e, text) for e, text in made if text]


def label_by_reference(responses: Sequence[tuple[Example, str]], encoder: Encoder) -> list[PseudoResponse]:
    """Responses to examples that have an answer, each sub-sentence labelled by it; empty responses are left out."""
    responses = [(e, text) for e, text in responses if sub_sentences(text)]
    pieces = [text[a:b] for _, text in responses for a, b in sub_sentences(text)]
    answers = {e.answer: [e.answer[a:b] for a, b in sub_sentences(e.answer)] for e, _ in responses}
    unique = list(dict.fromkeys([*pieces, *(piece for cut in answers.values() for piece in cut)]))
    vectors = dict(zip(unique, encoder.encode(unique), strict=True))
    out = []
    for e, text in responses:
        spans = sub_sentences(text)
        answer = np.stack([vectors[piece] for piece in answers[e.answer]])
        tokens = tokens_of(e.answer)
        words, pairs = frozenset(tokens), frozenset(ngrams(tokens, 2))
        targets = []
        for a, b in spans:
            piece = text[a:b]
            similarity = float((answer @ vectors[piece]).max())
            said = share_in(ngrams(tokens_of(piece), 2), pairs)
            targets.append(not_in_answer(similarity, share_in(content_words(piece), words), said))
        out.append(PseudoResponse(e.question, text, tuple(spans), tuple(targets)))
    return out


def not_in_answer(similarity: float, words: float, pairs: float) -> float:
    """Probability that an answer does not hold a piece.

    From the piece's highest similarity to a sub-sentence of the answer, and the shares of its content words and word
    pairs that the answer has. One half lies where a paraphrase begins (similarity .62, half of the words, a quarter
    of the pairs); the slopes make a verbatim piece about .01 and an unrelated one about .99.
    """
    return float(1 / (1 + np.exp(6 * (similarity - 0.62) + 3 * (words - 0.55) + 2 * (pairs - 0.25))))


def _compose(example: Example, rng: random.Random) -> str:
    passages = [[p.text[a:b] for a, b in sentences(p.text)] for p in example.passages]
    passages = [p for p in passages if p]
    answer = [example.answer[a:b] for a, b in sentences(example.answer)]
    if not passages:
        return ""
    wanted = rng.randint(2, 5)
    pieces: list[str] = []
    while len(pieces) < wanted:
        if rng.random() < _FROM_ANSWER:
            pieces.append(rng.choice(answer))
            continue
        passage = rng.choice(passages) if rng.random() < _FROM_ANY_PASSAGE else passages[0]
        first = min(int(rng.expovariate(1 / _EARLY)), len(passage) - 1)
        pieces += passage[first : first + rng.randint(1, 2)]
    return " ".join(dict.fromkeys(pieces))
