"""The rules for feedback: which annotations are valid, and which comparisons contradict each other.

Pure functions, and the only place that knows the rules: the store applies them to submissions, the importer to files,
and the annotation page reads its labels and prompts from here.

The priority of labels where two spans overlap is that of QA-Feedback's annotation guideline (Wu et al. 2023:
Irrelevant > Repetitive > Inconsistent > Unverifiable > Incoherent) in this project's labels. Redundant is its
repetitive; Wrong-Grounding is its inconsistent (with the passages) and ranks equal to Unverifiable.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from service.feedback.records import Annotation, NewResponse, QuickSpan, Span

PRIORITY: dict[str, int] = {
    "Irrelevant": 0,
    "Redundant": 1,
    "Wrong-Grounding": 2,
    "Unverifiable": 2,
    "Incoherent": 3,
}
"""Of two overlapping spans the label with the lower number wins; labels with the same number may overlap. A label that
is not here may overlap any other: a toxic part may be irrelevant, too."""
NEEDS_SOURCES = ("Wrong-Grounding",)
"""Labels of errors whose explanation should name the sentences that contradict the response."""
MOST_VIOLATIONS = 20
"""Violations that are reported of one submission."""


class LabelledSpan(Protocol):
    """An error, in the store's type or the importer's."""

    @property
    def label(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class LabelledGap(Protocol):
    """Missing information, in the store's type or the importer's."""

    @property
    def label(self) -> str: ...
    @property
    def passage_id(self) -> int: ...
    @property
    def sentence_id(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Violation:
    """A rule that a submission breaks."""

    code: str
    field: str
    """For example `errors.0`, `missing.1` or `corrected`."""
    message: str
    """One sentence that says what to do."""
    fatal: bool = False
    """Whether the submission is unusable. Imported feedback is refused for fatal violations only."""

    def as_json(self) -> dict[str, Any]:
        """The violation as HTTP shows it."""
        return {"code": self.code, "field": self.field, "message": self.message}


def trimmed(annotation: Annotation, text: str) -> Annotation:
    """The annotation without white space at the ends of its spans. Spans outside the text stay as they are."""
    return annotation.model_copy(update={"errors": tuple(_trim(span, text) for span in annotation.errors)})


def check(annotation: Annotation, response: NewResponse, *, fatal: bool = False) -> list[Violation]:
    """The first rules that the annotation breaks, MOST_VIOLATIONS at most; empty for a valid one.

    With `fatal` only those that make it unusable.
    """
    return _first(_violations(annotation, response), fatal)


def check_errors(errors: Iterable[LabelledSpan], text: str, *, fatal: bool = False) -> list[Violation]:
    """The rules for each error by itself, in a response of this text. Counted and chosen like `check`."""
    return _first(_error_violations(errors, text), fatal)


def check_missing(
    missing: Iterable[LabelledGap], sentence_counts: Sequence[int], *, fatal: bool = False
) -> list[Violation]:
    """The rules for missing information, where each passage has so many sentences besides its title.

    Counted and chosen like `check`.
    """
    return _first(_missing_violations(missing, sentence_counts), fatal)


def check_quick_spans(spans: Iterable[QuickSpan], text: str) -> list[Violation]:
    """The rules for spans of quick feedback, which need no label. Counted like `check`."""
    return _first(_quick_violations(spans, text), fatal=False)


def _first(violations: Iterator[Violation], fatal: bool) -> list[Violation]:
    """Nothing is looked at beyond the last violation that counts."""
    return list(islice((v for v in violations if v.fatal or not fatal), MOST_VIOLATIONS))


def _violations(annotation: Annotation, response: NewResponse) -> Iterator[Violation]:
    by_itself = chain(
        _error_violations(annotation.errors, response.text),
        _missing_violations(annotation.missing, [len(passage.sentences) for passage in response.passages]),
    )
    first = next(by_itself, None)
    if first is None:
        yield from _overlaps(annotation.errors)
    else:
        yield first
        yield from by_itself
    yield from _correction_violations(annotation, response)


def _error_violations(errors: Iterable[LabelledSpan], text: str) -> Iterator[Violation]:
    for index, error in enumerate(errors):
        field = f"errors.{index}"
        yield from _bounds_violations(field, error.start, error.end, text)
        if error.label in MISSING_LABELS:
            message = f"{error.label} applies to the whole response; submit it as missing information."
            yield Violation("not_a_span", field, message, fatal=True)
        elif error.label not in SPAN_LABELS:
            yield _unknown_label(field, error.label, SPAN_LABELS)


def _missing_violations(missing: Iterable[LabelledGap], sentence_counts: Sequence[int]) -> Iterator[Violation]:
    for index, gap in enumerate(missing):
        field = f"missing.{index}"
        if gap.label not in MISSING_LABELS:
            yield _unknown_label(field, gap.label, MISSING_LABELS)
        if not 1 <= gap.passage_id <= len(sentence_counts):
            message = f"There is no passage {gap.passage_id}; name one from 1 to {len(sentence_counts)}."
            yield Violation("no_passage", field, message, fatal=True)
            continue
        count = sentence_counts[gap.passage_id - 1]
        for number in gap.sentence_id:
            if not 0 <= number <= count:
                message = (
                    f"Passage {gap.passage_id} has no sentence {number}; name sentences from 1 to {count}, "
                    "or 0 for the title."
                )
                yield Violation("no_sentence", field, message, fatal=True)


def _quick_violations(spans: Iterable[QuickSpan], text: str) -> Iterator[Violation]:
    labels = (*SPAN_LABELS, *MISSING_LABELS)
    for index, span in enumerate(spans):
        field = f"spans.{index}"
        yield from _bounds_violations(field, span.start, span.end, text)
        if span.label is not None and span.label not in labels:
            yield _unknown_label(field, span.label, labels)


def with_newlines(text: str) -> str:
    """A text whose lines end with a newline. A browser's text field changes other line ends, which corrects nothing."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def follow_up_questions(annotation: Annotation) -> list[str]:
    """What a valid annotation leaves open, as requests to the annotator."""
    if annotation.missing:
        return []
    return [
        f"Which sentences contradict the response? Name them in the explanation of the {error.label} error at "
        f"{error.start}."
        for error in annotation.errors
        if error.label in NEEDS_SOURCES and not error.explanation.strip()
    ]


def _bounds_violations(field: str, start: int, end: int, text: str) -> Iterator[Violation]:
    if not 0 <= start <= end <= len(text):
        message = f"The span {start} to {end} is not within the response's {len(text)} characters; mark it again."
        yield Violation("outside", field, message, fatal=True)
    elif not text[start:end].strip():
        message = f"The span {start} to {end} contains no text; mark some or remove the span."
        yield Violation("empty", field, message)


def _unknown_label(field: str, label: str, labels: Iterable[str]) -> Violation:
    message = f"There is no label {label[:64]!r}; use one of {', '.join(labels)}."
    return Violation("unknown_label", field, message, fatal=True)


def _overlaps(errors: tuple[Span, ...]) -> Iterator[Violation]:
    """Errors marked twice, and each error with the one of another priority that overlaps it and reaches furthest.

    From left to right, so that the work grows with the number of errors and not with that of their pairs.
    """
    seen: set[tuple[str, int, int]] = set()
    furthest: dict[int, int] = {}
    """By priority, the error to the left of here that ends last."""
    for index in sorted(range(len(errors)), key=lambda i: (errors[i].start, i)):
        error, priority = errors[index], PRIORITY.get(errors[index].label)
        if (error.label, error.start, error.end) in seen:
            message = f"The {error.label} error at {error.start} is marked twice; remove one of the two."
            yield Violation("twice", f"errors.{index}", message)
            continue
        seen.add((error.label, error.start, error.end))
        if priority is None:
            continue
        for other, left in furthest.items():
            if other != priority and errors[left].end > error.start:
                yield _overlap(errors, *((left, index) if other < priority else (index, left)))
        if priority not in furthest or errors[furthest[priority]].end < error.end:
            furthest[priority] = index


def _overlap(errors: tuple[Span, ...], winner: int, loser: int) -> Violation:
    first, second = errors[winner], errors[loser]
    message = (
        f"{second.label} at {second.start} overlaps {first.label} at {first.start}, which comes first; "
        f"shorten or remove the {second.label} error."
    )
    return Violation("overlap", f"errors.{loser}", message)


def _correction_violations(annotation: Annotation, response: NewResponse) -> Iterator[Violation]:
    corrected = (annotation.corrected or "").strip()
    changed = bool(corrected) and with_newlines(corrected) != with_newlines(response.text.strip())
    faults = bool(annotation.errors or annotation.missing)
    if faults and not changed:
        message = "Errors or missing information are marked, but the response is not corrected; correct it."
        yield Violation("no_correction", "corrected", message)
    elif changed and not faults:
        message = "The response is corrected, but nothing is marked; mark what was wrong or missing."
        yield Violation("no_errors", "corrected", message)


def _trim(span: Span, text: str) -> Span:
    if not 0 <= span.start <= span.end <= len(text) or not (marked := text[span.start : span.end]).strip():
        return span
    start = span.start + len(marked) - len(marked.lstrip())
    return span.model_copy(update={"start": start, "end": start + len(marked.strip())})


def preference_cycle(comparisons: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
    """The ids of responses that comparisons `(a, b, choice)` rank in a circle; empty where a ranking exists.

    Each response in the circle is at least as good as the next, and at least one is better.
    """
    worse: dict[str, set[str]] = {}
    strict: list[tuple[str, str]] = []
    for a, b, choice in comparisons:
        better, other = (b, a) if choice == "b" else (a, b)
        worse.setdefault(better, set()).add(other)
        if choice in ("tie", "neither"):
            worse.setdefault(other, set()).add(better)
        else:
            strict.append((better, other))
    for better, other in strict:
        if path := _shortest_path(worse, other, better):
            return tuple(path)
    return ()


def _shortest_path(edges: dict[str, set[str]], start: str, goal: str) -> list[str]:
    """The shortest path between two nodes, both included; empty where there is none."""
    paths, seen = [[start]], {start}
    for path in paths:
        if path[-1] == goal:
            return path
        for node in sorted(edges.get(path[-1], set()) - seen):
            seen.add(node)
            paths.append([*path, node])
    return []
