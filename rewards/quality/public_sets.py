"""Public sets of answers with support labels, as another team's traffic: nothing here was fitted on them.

WiCE (Kamoi et al. 2023, arXiv 2303.01432): claims of Wikipedia with the web pages that they cite. ExpertQA (Malaviya et
al. 2023, arXiv 2309.07852): answers of six systems to experts' questions, each claim judged against its evidence.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rewards.dataset import PACKAGE, Passage
from rewards.errors import FgctlError
from rewards.quality.support_labels import LabelledResponse, LabelledSpan, json_lines

SETS = {"WiCE": "wice_claims_dev.jsonl", "ExpertQA": "expertqa_val.jsonl"}
_PASSAGE_WORDS = 250
"""Words of a WiCE page that are kept as passages, those most like the claim: whole pages fit no prompt."""
_JUDGEMENTS = {"Complete": False, "Partial": True, "Incomplete": True}
"""What ExpertQA's support labels say of a claim; the others mean that nobody judged it."""


def load_public_set(name: str) -> list[LabelledResponse]:
    """The labelled answers of a set. Raises FgctlError where its file is missing."""
    path = _directory() / SETS[name]
    if not path.is_file():
        raise FgctlError(f"{path} does not exist; set FGCTL_DATA to the directory that has factuality/{SETS[name]}.")
    convert = _wice if name == "WiCE" else _expertqa
    return [response for _, row in json_lines(path) for response in convert(row)]


def _directory() -> Path:
    configured = os.environ.get("FGCTL_DATA")
    return (Path(configured) if configured else PACKAGE.parent.parent / "shared" / "data") / "factuality"


def _wice(row: dict[str, Any]) -> Iterator[LabelledResponse]:
    """A claim is one answer and one segment, an error unless it is fully supported."""
    title, claim = row["meta"]["claim_title"], row["claim"]
    yield LabelledResponse(
        question=title,
        passages=tuple(Passage(title=title, text=text) for text in _retrieved(row["evidence"], claim)),
        response=claim,
        spans=(LabelledSpan(start=0, end=len(claim), error=row["label"] != "supported"),),
    )


def _retrieved(sentences: list[str], claim: str) -> list[str]:
    """The runs of sentences most like the claim by TF-IDF, neighbours counting half, in the page's order."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = TfidfVectorizer(sublinear_tf=True).fit_transform([*sentences, claim])
    like = (texts[:-1] @ texts[-1].T).toarray().ravel()
    like = like + 0.5 * np.r_[0, like[:-1]] + 0.5 * np.r_[like[1:], 0]
    kept: set[int] = set()
    words = 0
    for place in np.argsort(-like, kind="stable"):
        words += len(sentences[place].split())
        if words > _PASSAGE_WORDS and kept:
            break
        kept.add(int(place))
    runs: list[list[int]] = []
    for place in sorted(kept):
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return [" ".join(sentences[place] for place in run) for run in runs]


def _expertqa(row: dict[str, Any]) -> Iterator[LabelledResponse]:
    """An answer of each system whose evidence has text, with the claims that somebody judged."""
    for answer in row["answers"].values():
        evidence = dict.fromkeys(text for claim in answer["claims"] for text in claim["evidence"] or [])
        passages = tuple(passage for text in evidence if (passage := _evidence_passage(text)))
        spans = tuple(_claim_spans(answer["answer_string"], answer["claims"]))
        if passages and spans:
            yield LabelledResponse(
                question=row["question"], passages=passages, response=answer["answer_string"], spans=spans
            )


def _evidence_passage(text: str) -> Passage | None:
    """A source and its text; None for a source alone."""
    source, _, body = text.partition("\n\n")
    return Passage(title=source, text=body.strip()) if body.strip() else None


def _claim_spans(answer: str, claims: list[dict[str, Any]]) -> Iterator[LabelledSpan]:
    """Where the judged claims stand in the answer, whatever its white space."""
    for claim in claims:
        error = _JUDGEMENTS.get(claim["support"] or "")
        words = claim["claim_string"].split()
        place = re.search(r"\s+".join(map(re.escape, words)), answer) if words and error is not None else None
        if place and error is not None:
            yield LabelledSpan(start=place.start(), end=place.end(), error=error)
