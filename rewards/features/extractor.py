"""All features of a response, from one pass over its question, passages and segments.

Every feature is a number with a name, so that a head's weights can be read. Segment features serve relevance
(sub-sentences) and factuality (sentences); response features serve completeness and preference. A recipe selects which
of them a head uses (rewards.models.recipe).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from rewards.features.alignment import ALIGNMENT_FEATURES, Source, alignment_features
from rewards.features.encoder import Encoder, Vectors
from rewards.features.expected_words import CONTENT_FEATURES, PassageSentences, content_features, word_features
from rewards.features.reader import Reader, load_word_head
from rewards.features.words import content_words, names_of, ngrams, numbers_of, share, share_in, tokens_of
from rewards.heads.linear import LinearHead, sigmoid
from rewards.scores import ScoreRequest
from rewards.segmentation import Span, sentences, sub_sentences

Matrix = NDArray[np.float64]

STRUCTURE_FEATURES = (
    "position", "index", "count", "first", "last", "words", "digits", "capitals", "opens with pronoun",
    "question similarity", "question similarity rank", "question similarity below best", "previous similarity",
    "response similarity", "passage similarity", "second passage similarity", "evidence to question",
    "passage words", "passage bigrams", "passage trigrams", "evidence words", "passage numbers", "passage names",
    "question words", "repeated words", "words before",
)  # fmt: skip
FORM_FEATURES = (
    "log words", "sentences", "question similarity", "best question similarity", "first question similarity",
    "last question similarity", "passage coverage", "question-weighted coverage", "best passage covered",
    "question words", "passage words", "passage trigrams", "numbers", "names", "repetition", "ends",
    "worst grounding",
)  # fmt: skip

READER_FEATURES = (
    "reader", "reader mean", "reader above lowest", "reader highest", "reader before", "reader after",
)  # fmt: skip
READER_RESPONSE_FEATURES = ("reader response mean", "reader response lowest", "reader response first", "reader words")
SEGMENT_GROUPS = {
    "structure": STRUCTURE_FEATURES, "alignment": ALIGNMENT_FEATURES, "reader": READER_FEATURES,
}  # fmt: skip
RESPONSE_GROUPS = {"form": FORM_FEATURES, "content": CONTENT_FEATURES, "reader": READER_RESPONSE_FEATURES}
SEGMENT_FEATURES = tuple(name for group in SEGMENT_GROUPS.values() for name in group)
RESPONSE_FEATURES = tuple(name for group in RESPONSE_GROUPS.values() for name in group)

_PRONOUNS = frozenset("he she it they this these that those his her its their".split())
_SHARPNESS = 8.0
"""Inverse temperature of the weights of passage sentences, which grow with their similarity to the question."""


@dataclass(frozen=True)
class ResponseFeatures:
    """The features of one response, and its segments."""

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
    """What the features of a response need to know of its passages."""

    vectors: Vectors
    question_similarity: Matrix
    words: frozenset[str]
    bigrams: frozenset[tuple[str, ...]]
    trigrams: frozenset[tuple[str, ...]]
    numbers: frozenset[str]
    source: Source
    expected: dict[str, float]
    """How likely a good answer is to contain each word."""


@dataclass(frozen=True)
class _Reading:
    """The reader's log-odds that a good answer does not contain a segment, for one response."""

    sub_sentences: Matrix
    sentences: Matrix


class Extractor:
    """Turns requests into features. Encoder, reader and word head are loaded at first use."""

    @cached_property
    def encoder(self) -> Encoder:
        """The shared sentence encoder."""
        return Encoder()

    @cached_property
    def reader(self) -> Reader:
        """The reader of question and response together."""
        return Reader()

    @cached_property
    def word_head(self) -> LinearHead:
        """The head on WORD_FEATURES: whether a good answer contains the word."""
        return load_word_head()

    def extract(self, requests: Sequence[ScoreRequest]) -> list[ResponseFeatures]:
        """The features of each response. All texts are encoded in one call, and all responses read in one."""
        texts: list[str] = []
        for request in requests:
            texts.append(request.question)
            texts += cut_passages(request).texts
            texts += [request.response[a:b] for a, b in sentences(request.response)]
            texts += [request.response[a:b] for a, b in sub_sentences(request.response)]
        unique = list(dict.fromkeys(texts))
        vectors = dict(zip(unique, self.encoder.encode(unique), strict=True))
        subs = [sub_sentences(request.response) for request in requests]
        spans = [sub + sentences(request.response) for request, sub in zip(requests, subs, strict=True)]
        read = self.reader.read([r.question for r in requests], [r.response for r in requests], spans)
        readings = [_Reading(r[: len(sub)], r[len(sub) :]) for r, sub in zip(read, subs, strict=True)]
        return [self._features(*pair, vectors) for pair in zip(requests, readings, strict=True)]

    def _features(self, request: ScoreRequest, reading: _Reading, vectors: dict[str, Vectors]) -> ResponseFeatures:
        question = vectors[request.question]
        evidence = self._evidence(request, vectors, question)
        subs, whole = sub_sentences(request.response), sentences(request.response)
        relevance, _ = _segment_features(request, subs, vectors, question, evidence)
        factuality, covered = _segment_features(request, whole, vectors, question, evidence)
        response = np.zeros(len(RESPONSE_FEATURES))
        if whole:
            form = _form_features(request, factuality, covered, evidence)
            content = content_features(request.response, evidence.expected)
            response = np.asarray([*form, *content, *_reader_response_features(request, subs, reading.sub_sentences)])
        return ResponseFeatures(
            subs,
            whole,
            np.hstack([relevance, _reader_features(reading.sub_sentences)]),
            np.hstack([factuality, _reader_features(reading.sentences)]),
            response,
        )

    def _evidence(self, request: ScoreRequest, vectors: dict[str, Vectors], question: Vectors) -> _Evidence:
        passages = cut_passages(request)
        nothing = np.zeros((0, Encoder.dimensions), dtype=np.float32)
        matrix = np.stack([vectors[t] for t in passages.texts]) if passages.texts else nothing
        titled = [tokens_of(f"{p.title} {p.text}") for p in request.passages]
        all_tokens = [token for tokens in titled for token in tokens]
        similarity = (matrix @ question).astype(np.float64)
        words, x = word_features(request.question, passages, similarity)
        return _Evidence(
            vectors=matrix,
            question_similarity=similarity,
            words=frozenset(all_tokens),
            bigrams=frozenset(g for tokens in titled for g in ngrams(tokens, 2)),
            trigrams=frozenset(g for tokens in titled for g in ngrams(tokens, 3)),
            numbers=frozenset(numbers_of(all_tokens)),
            source=Source.of(passages.titles, passages.texts),
            expected=dict(zip(words, self.word_head.probabilities(x).tolist(), strict=True)),
        )


def cut_passages(request: ScoreRequest) -> PassageSentences:
    """The request's passages as sentences."""
    pieces = [(i, j, s) for i, p in enumerate(request.passages) for j, s in enumerate(_split(p.text))]
    return PassageSentences(
        titles=tuple(p.title for p in request.passages),
        texts=tuple(s for _, _, s in pieces),
        passage=tuple(i for i, _, _ in pieces),
        index=tuple(j for _, j, _ in pieces),
    )


@lru_cache(maxsize=4096)
def _split(text: str) -> tuple[str, ...]:
    return tuple(text[a:b] for a, b in sentences(text))


def _reader_features(logits: Matrix) -> Matrix:
    """READER_FEATURES: float64 [segments] to [segments, features]."""
    n = len(logits)
    if n == 0:
        return np.zeros((0, len(READER_FEATURES)))
    before, after = np.r_[0.0, logits[:-1]], np.r_[logits[1:], 0.0]
    mean, low, high = (np.full(n, f(logits)) for f in (np.mean, np.min, np.max))
    return np.stack([logits, mean, logits - low, high, before, after], axis=1)


def _reader_response_features(request: ScoreRequest, subs: list[Span], logits: Matrix) -> list[float]:
    """READER_RESPONSE_FEATURES; the last counts content words, weighted by the probability of their segment."""
    probabilities = sigmoid(-logits)
    words = [len(content_words(request.response[a:b])) for a, b in subs]
    return [
        float(probabilities.mean()), float(probabilities.min()), float(probabilities[0]),
        float(np.log1p(probabilities @ np.asarray(words))),
    ]  # fmt: skip


def _segment_features(
    request: ScoreRequest, spans: list[Span], vectors: dict[str, Vectors], question: Vectors, evidence: _Evidence
) -> tuple[Matrix, Matrix]:
    """SEGMENT_FEATURES without the reader's, [segments, features]; similarities, [segments, passage sentences]."""
    n = len(spans)
    if n == 0:
        return np.zeros((0, len(SEGMENT_FEATURES) - len(READER_FEATURES))), np.zeros((0, len(evidence.source.words)))
    texts = [request.response[a:b] for a, b in spans]
    parts = sub_sentences(request.response)
    matrix = np.stack([vectors[t] for t in texts])
    to_question = matrix @ question
    between = matrix @ matrix.T
    to_passages = (matrix @ evidence.vectors.T).astype(np.float64)
    best_first = np.argsort(-to_question, kind="stable")
    rank = np.empty(n)
    rank[best_first] = np.arange(n) / max(1, n - 1)
    question_words = frozenset(content_words(request.question))
    seen: set[str] = set()
    words_before = 0
    rows = []
    for i, text in enumerate(texts):
        tokens, content = tokens_of(text), content_words(text)
        numbers, names = numbers_of(tokens), names_of(text)
        order = np.sort(to_passages[i])[::-1]
        best = int(np.argmax(to_passages[i])) if len(order) else -1
        others = np.delete(between[i], i)
        within = [request.response[a:b] for a, b in parts if spans[i][0] <= a and b <= spans[i][1]] or [text]
        rows.append(
            [
                i / max(1, n - 1), min(i, 10), min(n, 20), float(i == 0), float(i == n - 1),
                np.log1p(len(tokens)), share(len(numbers), len(tokens)), share(len(names), len(tokens)),
                float(bool(tokens) and tokens[0] in _PRONOUNS),
                to_question[i], rank[i], to_question.max() - to_question[i],
                between[i, :i].max(initial=0.0), others.mean() if n > 1 else 0.0,
                order[0] if len(order) else 0.0, order[1] if len(order) > 1 else 0.0,
                evidence.question_similarity[best] if best >= 0 else 0.0,
                share_in(content, evidence.words), share_in(ngrams(tokens, 2), evidence.bigrams),
                share_in(ngrams(tokens, 3), evidence.trigrams),
                share_in(content, evidence.source.words[best]) if best >= 0 else 0.0,
                share_in(numbers, evidence.numbers), share_in(names, evidence.words),
                share(len(content & question_words), len(question_words)), share(len(content & seen), len(content)),
                np.log1p(words_before),
                *alignment_features(text, within, evidence.source, to_passages[i], question_words),
            ]
        )  # fmt: skip
        seen |= content
        words_before += len(tokens)
    return np.asarray(rows, dtype=np.float64), to_passages


def _form_features(request: ScoreRequest, segment: Matrix, covered: Matrix, evidence: _Evidence) -> list[float]:
    tokens, content = tokens_of(request.response), content_words(request.response)
    question_words = content_words(request.question)
    column = {name: segment[:, i] for i, name in enumerate(STRUCTURE_FEATURES)}
    to_question = column["question similarity"]
    if len(evidence.source.words):
        coverage = covered.max(0)
        weights = np.exp(_SHARPNESS * (evidence.question_similarity - evidence.question_similarity.max()))
        weights /= weights.sum()
        covering = [coverage.mean(), float(weights @ coverage), coverage[int(np.argmax(weights))]]
    else:
        covering = [0.0, 0.0, 0.0]
    trigrams = ngrams(tokens, 3)
    return [
        np.log1p(len(tokens)), min(len(segment), 12), to_question.mean(), to_question.max(), to_question[0],
        to_question[-1], *covering,
        share(len(content & question_words), len(question_words)), share_in(content, evidence.words),
        share_in(trigrams, evidence.trigrams),
        np.log1p(len(numbers_of(tokens))),
        np.log1p(len(set(names_of(request.response)))),
        1 - share(len(set(trigrams)), len(trigrams)) if trigrams else 0.0,
        float(request.response.rstrip()[-1:] in {".", "!", "?", '"', ")"}),
        column["evidence words"].min(),
    ]  # fmt: skip
