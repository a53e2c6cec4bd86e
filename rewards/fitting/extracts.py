"""Extracts: sentences copied from the passages, the cheapest answers that a policy finds."""

import random
from collections.abc import Mapping, Sequence

import numpy as np

from rewards.dataset import question_key
from rewards.features.encoder import Encoder
from rewards.features.extractor import cut_passages
from rewards.scores import ScoreRequest

FIRST = "copy the first three sentences"
NEAREST = "copy the three sentences most like the question"
RANDOM = "copy three random sentences"
LEAD = "copy the first six sentences"


def make_extracts(questions: Sequence[ScoreRequest], encoder: Encoder) -> list[Mapping[str, str]]:
    """For each question with passages, by name: the answers FIRST, NEAREST, RANDOM and LEAD; the response is ignored.

    Similarity is that of the sentence encoder. Random sentences depend on the question alone. Questions whose passages
    have no sentence get no extract.
    """
    cut = [cut_passages(request).texts for request in questions]
    texts = list(dict.fromkeys(t for r, pieces in zip(questions, cut, strict=True) for t in (r.question, *pieces)))
    vectors = dict(zip(texts, encoder.encode(texts), strict=True)) if texts else {}
    made: list[Mapping[str, str]] = []
    for request, pieces in zip(questions, cut, strict=True):
        if not pieces:
            made.append({})
            continue
        first = cut_passages(ScoreRequest(request.question, request.passages[:1], "")).texts or pieces
        similarity = np.stack([vectors[piece] for piece in pieces]) @ vectors[request.question]
        nearest = sorted(np.argsort(-similarity, kind="stable")[:3].tolist())
        drawn = random.Random(question_key(request.question)).sample(range(len(pieces)), min(3, len(pieces)))  # noqa: S311
        made.append(
            {
                FIRST: " ".join(first[:3]),
                NEAREST: " ".join(pieces[i] for i in nearest),
                RANDOM: " ".join(pieces[i] for i in sorted(drawn)),
                LEAD: " ".join(first[:6]),
            }
        )
    return made
