"""Scored answers from the output of `fgctl score`, with labels from a file of support labels."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rewards.categories import Category
from rewards.errors import FgctlError
from rewards.quality.answers import Answer, judged_totals, mean_marks, scored_totals, spans_of
from rewards.quality.support_labels import LabelledResponse, Marks, json_lines, load_support_labels

_Key = tuple[str, str]
"""Question and response."""
_Scores = Mapping[Category, Any]


def load_answers(scores: Path, labels: Path) -> list[Answer]:
    """The answers of a file of scores, with the labels of those that a second file labels.

    Several labels of an answer count as those of several people. Raises FgctlError for a line that cannot be read, and
    for a label of an answer that was not scored.
    """
    keys, scored = _load_scores(scores)
    opinions: dict[int, list[dict[Category, Marks]]] = defaultdict(list)
    for place, label in _matched(keys, load_support_labels(labels), scores, labels):
        opinions[place].append(
            {
                category: label.marks(category, spans_of(scored[place], category))
                for category in label.categories
                if category in scored[place]
            }
        )
    return [
        Answer(scored_totals(of_answer), judged_totals(of_answer, mean_marks(opinions.get(place, []))))
        for place, of_answer in enumerate(scored)
    ]


def _matched(
    keys: list[_Key], labels: list[LabelledResponse], scores_file: Path, labels_file: Path
) -> list[tuple[int, LabelledResponse]]:
    """The place of each label's answer. Labels of equal answers go to each of these in turn."""
    places: dict[_Key, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        places[key].append(place)
    matched = []
    for number, label in enumerate(labels, 1):
        key = (label.question, label.response)
        if key not in places:
            raise FgctlError(
                f"{labels_file}, label {number}: {scores_file} has no answer {label.response[:60]!r} to this question; "
                f"score every labelled answer."
            )
        places[key].append(places[key].pop(0))
        matched.append((places[key][-1], label))
    return matched


def _load_scores(path: Path) -> tuple[list[_Key], list[_Scores]]:
    keys: list[_Key] = []
    scored: list[_Scores] = []
    for number, row in json_lines(path):
        try:
            scored_totals(row["scores"])
            keys.append((str(row.get("question", "")), str(row["response"])))
            scored.append(row["scores"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise FgctlError(
                f"{path}, line {number}: no `response` with `scores`; write the file by `fgctl score`."
            ) from None
    if not scored:
        raise FgctlError(f"{path} is empty; write it by `fgctl score`.")
    return keys, scored
