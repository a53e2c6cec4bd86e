"""Structure and grounding features of a response, from one encoding of its question, passages and segments.

Every feature is a number with a name, so that a head's weights can be read. Segment features serve relevance
(sub-sentences) and factuality (sentences); response features serve completeness and preference.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rewards.encoder import Encoder, Vectors
from rewards.scores import ScoreRequest
from rewards.segmentation import Span, sentences, sub_sentences

Matrix = NDArray[np.float64]

SEGMENT_FEATURES = (
    "position", "index", "count", "first", "last", "words", "digits", "capitals", "opens with pronoun",
    "question similarity", "question similarity rank", "question similarity below best", "previous similarity",
    "response similarity", "passage similarity", "second passage similarity", "evidence to question",
    "passage words", "passage bigrams", "passage trigrams", "evidence words", "passage numbers", "passage names",
    "question words", "repeated words", "words before",
)  # fmt: skip
RESPONSE_FEATURES = (
    "log words", "sentences", "question similarity", "best question similarity", "first question similarity",
    "last question similarity", "passage coverage", "question-weighted coverage", "best passage covered",
    "question words", "passage words", "passage trigrams", "numbers", "names", "repetition", "ends",
    "worst grounding",
)  # fmt: skip

_TOKEN = re.compile(r"\w+")
_NAME = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][\w'-]+")
_PRONOUNS = frozenset("he she it they this these that those his her its their".split())
STOP_WORDS = frozenset(
    "a an and are as at be been but by did do does for from had has have he her his how i if in into is it its of on "
    "or s she t that the their them they this to was we were what when where which who whom whose why will with "
    "you".split()
)
_SHARPNESS = 8.0
"""Inverse temperature of the question-similarity weights over passage sentences."""


@dataclass(frozen=True)
class ResponseFeatures:
    """The features of one response, with the segments they describe."""

    sub_sentences: list[Span]
    sentences: list[Span]
    relevance: Matrix
    """float64 [sub-sentences, SEGMENT_FEATURES]"""
    factuality: Matrix
    """float64 [sentences, SEGMENT_FEATURES]"""
    response: Matrix
    """float64 [RESPONSE_FEATURES]"""


@dataclass(frozen=True)
class _Evidence:
    """A question's passages, by sentence."""

    vectors: Vectors
    tokens: list[frozenset[str]]
    question_similarity: Matrix
    words: frozenset[str]
    bigrams: frozenset[tuple[str, ...]]
    trigrams: frozenset[tuple[str, ...]]
    numbers: frozenset[str]


def featurise(requests: Sequence[ScoreRequest], encoder: Encoder) -> list[ResponseFeatures]:
    """The features of each response; everything is encoded in one call."""
    texts: list[str] = []
    for request in requests:
        texts.append(request.question)
        texts += passage_sentences(request)
        texts += [request.response[a:b] for a, b in sentences(request.response)]
        texts += [request.response[a:b] for a, b in sub_sentences(request.response)]
    unique = list(dict.fromkeys(texts))
    vectors = dict(zip(unique, encoder.encode(unique), strict=True))
    return [_featurise(request, vectors) for request in requests]


def passage_sentences(request: ScoreRequest) -> list[str]:
    """All sentences of the request's passages."""
    return [s for passage in request.passages for s in _split(passage.text)]


@lru_cache(maxsize=4096)
def _split(text: str) -> tuple[str, ...]:
    return tuple(text[a:b] for a, b in sentences(text))


def tokens_of(text: str) -> list[str]:
    """Lower-case words and numbers."""
    return _TOKEN.findall(text.lower())


def content_words(text: str) -> set[str]:
    """Words that carry content: no stop words."""
    return {token for token in tokens_of(text) if token not in STOP_WORDS}


def _featurise(request: ScoreRequest, vectors: dict[str, Vectors]) -> ResponseFeatures:
    question = vectors[request.question]
    evidence = _evidence(request, vectors, question)
    subs, whole = sub_sentences(request.response), sentences(request.response)
    relevance, _ = _segment_features(request, subs, vectors, question, evidence)
    factuality, covered = _segment_features(request, whole, vectors, question, evidence)
    response = _response_features(request, factuality, covered, evidence)
    return ResponseFeatures(subs, whole, relevance, factuality, response)


def _evidence(request: ScoreRequest, vectors: dict[str, Vectors], question: Vectors) -> _Evidence:
    texts = passage_sentences(request)
    matrix = np.stack([vectors[t] for t in texts]) if texts else np.zeros((0, Encoder.dimensions), np.float32)
    titled = [tokens_of(f"{p.title} {p.text}") for p in request.passages]
    every = [token for tokens in titled for token in tokens]
    return _Evidence(
        vectors=matrix,
        tokens=[frozenset(tokens_of(t)) for t in texts],
        question_similarity=(matrix @ question).astype(np.float64),
        words=frozenset(every),
        bigrams=frozenset(g for tokens in titled for g in _grams(tokens, 2)),
        trigrams=frozenset(g for tokens in titled for g in _grams(tokens, 3)),
        numbers=frozenset(token for token in every if any(c.isdigit() for c in token)),
    )


def _segment_features(
    request: ScoreRequest, spans: list[Span], vectors: dict[str, Vectors], question: Vectors, evidence: _Evidence
) -> tuple[Matrix, Matrix]:
    """Features [segments, SEGMENT_FEATURES], and similarities [segments, passage sentences]."""
    n = len(spans)
    if n == 0:
        return np.zeros((0, len(SEGMENT_FEATURES))), np.zeros((0, len(evidence.tokens)))
    texts = [request.response[a:b] for a, b in spans]
    matrix = np.stack([vectors[t] for t in texts])
    to_question = matrix @ question
    between = matrix @ matrix.T
    to_passages = (matrix @ evidence.vectors.T).astype(np.float64)
    best_first = np.argsort(-to_question, kind="stable")
    rank = np.empty(n)
    rank[best_first] = np.arange(n) / max(1, n - 1)
    question_words = content_words(request.question)
    seen: set[str] = set()
    words_before = 0
    rows = []
    for i, text in enumerate(texts):
        tokens, content = tokens_of(text), content_words(text)
        numbers = [t for t in tokens if any(c.isdigit() for c in t)]
        names = [m.group().lower() for m in _NAME.finditer(text)]
        order = np.sort(to_passages[i])[::-1]
        best = int(np.argmax(to_passages[i])) if len(order) else -1
        others = np.delete(between[i], i)
        rows.append(
            [
                i / max(1, n - 1), min(i, 10), min(n, 20), float(i == 0), float(i == n - 1),
                np.log1p(len(tokens)), _share(len(numbers), len(tokens)), _share(len(names), len(tokens)),
                float(bool(tokens) and tokens[0] in _PRONOUNS),
                to_question[i], rank[i], to_question.max() - to_question[i],
                between[i, :i].max(initial=0.0), others.mean() if n > 1 else 0.0,
                order[0] if len(order) else 0.0, order[1] if len(order) > 1 else 0.0,
                evidence.question_similarity[best] if best >= 0 else 0.0,
                _inside(content, evidence.words), _inside(_grams(tokens, 2), evidence.bigrams),
                _inside(_grams(tokens, 3), evidence.trigrams),
                _inside(content, evidence.tokens[best]) if best >= 0 else 0.0,
                _inside(numbers, evidence.numbers), _inside(names, evidence.words),
                _share(len(content & question_words), len(question_words)), _share(len(content & seen), len(content)),
                np.log1p(words_before),
            ]
        )  # fmt: skip
        seen |= content
        words_before += len(tokens)
    return np.asarray(rows, dtype=np.float64), to_passages


def _response_features(request: ScoreRequest, segment: Matrix, covered: Matrix, evidence: _Evidence) -> Matrix:
    if len(segment) == 0:
        return np.zeros(len(RESPONSE_FEATURES))
    tokens, content = tokens_of(request.response), content_words(request.response)
    question_words = content_words(request.question)
    column = {name: segment[:, i] for i, name in enumerate(SEGMENT_FEATURES)}
    to_question = column["question similarity"]
    if len(evidence.tokens):
        coverage = covered.max(0)
        weights = np.exp(_SHARPNESS * (evidence.question_similarity - evidence.question_similarity.max()))
        weights /= weights.sum()
        covering = [coverage.mean(), float(weights @ coverage), coverage[int(np.argmax(weights))]]
    else:
        covering = [0.0, 0.0, 0.0]
    trigrams = _grams(tokens, 3)
    return np.asarray(
        [
            np.log1p(len(tokens)), min(len(segment), 12), to_question.mean(), to_question.max(), to_question[0],
            to_question[-1], *covering,
            _share(len(content & question_words), len(question_words)), _inside(content, evidence.words),
            _inside(trigrams, evidence.trigrams),
            np.log1p(sum(any(c.isdigit() for c in t) for t in tokens)),
            np.log1p(len({m.group() for m in _NAME.finditer(request.response)})),
            1 - _share(len(set(trigrams)), len(trigrams)) if trigrams else 0.0,
            float(request.response.rstrip()[-1:] in {".", "!", "?", '"', ")"}),
            column["evidence words"].min(),
        ],
        dtype=np.float64,
    )  # fmt: skip


def _grams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _inside(items: Sequence[object] | set[str], known: frozenset[object] | frozenset[str]) -> float:
    """Share of the items that are known; 1 when there are none, since nothing is then unsupported."""
    return sum(item in known for item in items) / len(items) if items else 1.0
