"""When an annotation makes sense. Pure: a response and an annotation in, sentences out.

The order in which labels win where two overlap is the annotation guideline's of QA-Feedback (Wu et al. 2023,
Irrelevant > Repetitive > Inconsistent > Unverifiable > Incoherent) in this project's labels: repetitive is Redundant,
inconsistent with the passages is Wrong-Grounding, which there stands beside Unverifiable.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from service.feedback.records import Annotation, Missing, QuickSpan, Recorded, Span

PRIORITY: dict[str, int] = {
    "Irrelevant": 0,
    "Redundant": 1,
    "Wrong-Grounding": 2,
    "Unverifiable": 2,
    "Incoherent": 3,
}
"""Of two overlapping spans the label with the lower number stands; those with the same may overlap."""


@dataclass(frozen=True)
class Violation:
    """A rule that an annotation breaks."""

    code: str
    field: str
    """Where: `errors.0`, `missing.1`, `corrected`."""
    message: str
    """One sentence that says what to do."""
    fatal: bool = False
    """Whether it leaves nothing that could be used; of an imported file only such a thing is refused."""

    def as_json(self) -> dict[str, Any]:
        """The wire shape."""
        return {"code": self.code, "field": self.field, "message": self.message}


def trimmed(annotation: Annotation, text: str) -> Annotation:
    """The annotation with spans that neither begin nor end in white space; spans outside the text stay as they are."""
    return annotation.model_copy(update={"errors": tuple(_trim(span, text) for span in annotation.errors)})


def check(annotation: Annotation, response: Recorded) -> list[Violation]:
    """Every rule that the annotation breaks; none for one that can be kept."""
    violations = [v for i, span in enumerate(annotation.errors) for v in _span(i, span, response.text)]
    violations += [v for i, missing in enumerate(annotation.missing) for v in _missing(i, missing, response)]
    if not violations:
        violations = _overlaps(annotation.errors)
    return violations + _correction(annotation, response)


def check_spans(spans: Iterable[QuickSpan], text: str) -> list[Violation]:
    """The rules for spans of quick feedback, which need no label."""
    violations = []
    for i, span in enumerate(spans):
        violations += _place(f"spans.{i}", span.start, span.end, text)
        if span.label is not None and span.label not in (*SPAN_LABELS, *MISSING_LABELS):
            violations.append(_unknown(f"spans.{i}", span.label, (*SPAN_LABELS, *MISSING_LABELS)))
    return violations


def questions(annotation: Annotation) -> list[str]:
    """What is not wrong, but worth asking the annotator before the annotation is kept."""
    named = {missing.passage_id for missing in annotation.missing}
    return [
        f"Which sentences say otherwise? Name them in the explanation of the Wrong-Grounding error at {s.start}."
        for s in annotation.errors
        if s.label == "Wrong-Grounding" and not s.explanation.strip() and not named
    ]


def _span(index: int, span: Span, text: str) -> list[Violation]:
    field = f"errors.{index}"
    violations = _place(field, span.start, span.end, text)
    if span.label in MISSING_LABELS:
        violations.append(
            Violation(
                "not_a_span", field, f"{span.label} is of the whole response; give it as missing information.", True
            )
        )
    elif span.label not in SPAN_LABELS:
        violations.append(_unknown(field, span.label, SPAN_LABELS))
    return violations


def _place(field: str, start: int, end: int, text: str) -> list[Violation]:
    if not 0 <= start <= end <= len(text):
        message = f"The span {start} to {end} is not within the response's {len(text)} characters; mark it again."
        return [Violation("outside", field, message, True)]
    if not text[start:end].strip():
        return [Violation("empty", field, f"The span {start} to {end} holds no text; mark some or remove it.")]
    return []


def _missing(index: int, missing: Missing, response: Recorded) -> list[Violation]:
    field = f"missing.{index}"
    violations = []
    if missing.label not in MISSING_LABELS:
        violations.append(_unknown(field, missing.label, MISSING_LABELS))
    if not 1 <= missing.passage_id <= len(response.passages):
        message = f"There is no passage {missing.passage_id}; name one from 1 to {len(response.passages)}."
        return [*violations, Violation("no_passage", field, message, True)]
    sentences = len(response.passages[missing.passage_id - 1].sentences)
    for number in missing.sentence_id:
        if not 0 <= number <= sentences:
            those = f"1 to {sentences}, or 0, its title"
            message = f"Passage {missing.passage_id} has no sentence {number}; name some from {those}."
            violations.append(Violation("no_sentence", field, message, True))
    return violations


def _unknown(field: str, label: str, known: Iterable[str]) -> Violation:
    return Violation("unknown_label", field, f"There is no label {label[:64]!r}; use one of {', '.join(known)}.", True)


def _overlaps(errors: tuple[Span, ...]) -> list[Violation]:
    violations = []
    for i, one in enumerate(errors):
        for j, other in enumerate(errors[:i]):
            if one.start >= other.end or other.start >= one.end:
                continue
            if one == other.model_copy(update={"explanation": one.explanation}):
                message = f"The {one.label} error at {one.start} is marked twice; remove one."
                violations.append(Violation("twice", f"errors.{i}", message))
            elif PRIORITY[one.label] != PRIORITY[other.label]:
                lower, upper, index = (
                    (one, other, i) if PRIORITY[one.label] > PRIORITY[other.label] else (other, one, j)
                )
                message = (
                    f"{lower.label} at {lower.start} overlaps {upper.label} at {upper.start}, which comes first; "
                    f"shorten or remove the {lower.label} error."
                )
                violations.append(Violation("overlap", f"errors.{index}", message))
    return violations


def _correction(annotation: Annotation, response: Recorded) -> list[Violation]:
    corrected = (annotation.corrected or "").strip()
    changed = bool(corrected) and corrected != response.text.strip()
    faults = bool(annotation.errors or annotation.missing)
    if faults and not changed:
        message = "Errors or missing information are marked, but the response is not corrected; correct it."
        return [Violation("no_correction", "corrected", message)]
    if changed and not faults:
        message = "The response is corrected, but nothing is marked; mark what was wrong or missing."
        return [Violation("no_errors", "corrected", message)]
    return []


def _trim(span: Span, text: str) -> Span:
    if not 0 <= span.start <= span.end <= len(text) or not (marked := text[span.start : span.end]).strip():
        return span
    start = span.start + len(marked) - len(marked.lstrip())
    return span.model_copy(update={"start": start, "end": start + len(marked.strip())})


def circle(choices: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
    """Responses that comparisons `(a, b, choice)` put in a circle, each at least as good as the next and one better
    than the next; nothing where the comparisons can be an order."""
    worse: dict[str, set[str]] = {}
    strict: list[tuple[str, str]] = []
    for a, b, choice in choices:
        better, other = (b, a) if choice == "b" else (a, b)
        worse.setdefault(better, set()).add(other)
        if choice == "tie":
            worse.setdefault(other, set()).add(better)
        else:
            strict.append((better, other))
    for better, other in strict:
        if path := _path(worse, other, better):
            return tuple(path)
    return ()


def _path(worse: dict[str, set[str]], start: str, goal: str) -> list[str]:
    """The shortest way along `worse`, both ends included; empty for none."""
    paths, seen = [[start]], {start}
    for path in paths:
        if path[-1] == goal:
            return path
        for following in sorted(worse.get(path[-1], set()) - seen):
            seen.add(following)
            paths.append([*path, following])
    return []
