"""Label Studio's JSON: tasks to import into it, and its export ("JSON", not "JSON-MIN").

Offsets are code points, and UTF-16 units in exports of old versions; a region's own `text` tells which.
Missing information is marked on the passages, which are joined to one text (`context`).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from rewards.dataset import PAIRS, MissingInfo, SpanError
from service.feedback.exchange.files import reason_of, records, write_list
from service.feedback.exchange.item import Item, Refusal, objection
from service.feedback.exchange.offsets import from_utf16
from service.feedback.exchange.pair_questions import CHOICES, pair_name
from service.feedback.exchange.passage_text import PassageText, Place, render
from service.feedback.exchange.task_source import TaskSource

_EXPORTED_ID = re.compile(r"missing:(\d+):(\d+)(?:\.(\d+))?")
"""The id of a region that `write` exported: the number of the missing information, its passage and sentence."""
_NO_SENTENCE = -1
"""In a Place: missing information that names a passage but no sentence."""

LABELING_CONFIG = "\n".join(
    [
        "<View>",
        '  <Header value="$question"/>',
        '  <Labels name="missing" toName="context">',
        *(f'    <Label value="{label}"/>' for label in MISSING_LABELS),
        "  </Labels>",
        '  <Text name="context" value="$context"/>',
        '  <Labels name="errors" toName="response">',
        *(f'    <Label value="{label}"/>' for label in SPAN_LABELS),
        "  </Labels>",
        '  <Text name="response" value="$response"/>',
        '  <TextArea name="explanation" toName="response" perRegion="true" maxSubmissions="1"/>',
        '  <TextArea name="corrected" toName="response" maxSubmissions="1" value="$response"/>',
        '  <Collapse><Panel value="Comparisons, where there are other answers">',
        *(
            f'    <Choices name="{pair_name(pair)}" toName="response">'
            + "".join(f'<Choice value="{choice}"/>' for choice in CHOICES)
            + "</Choices>"
            for pair in PAIRS
        ),
        "  </Panel></Collapse>",
        "  <Style>.htx-text { white-space: pre-wrap; }</Style>",
        "</View>",
    ]
)
"""The labelling interface that a Label Studio project needs (docs/feedback.md)."""


def write(items: Iterable[Item], path: Path) -> int:
    """Write items as tasks with one annotation each. Raises FgctlError if the file cannot be written."""
    tasks = [task(item) for item in items]
    write_list(path, tasks)
    return len(tasks)


def task(item: Item) -> dict[str, Any]:
    """An item as a task. The annotator is in its data, since Label Studio rejects annotations by unknown users."""
    context, response = render(item.passages), item.predictions[0]
    source = TaskSource.of(item)
    data = {"context": context.text, "response": response} | source.model_dump(mode="json", exclude_none=True)
    result = [region for number, error in enumerate(item.errors) for region in _error(number, error, response)]
    for number, gap in enumerate(item.missing):
        result += _missing(number, gap, context)
    if item.corrected is not None:
        result.append(_control("corrected", "response", "textarea", {"text": [item.corrected]}))
    for pair, value in zip(PAIRS, item.preference, strict=True):
        if value:
            result.append(_control(pair_name(pair), "response", "choices", {"choices": [CHOICES[value]]}))
    annotation: dict[str, Any] = {"result": result}
    if item.submission_id:
        annotation["unique_id"] = item.submission_id
    return {"data": data, "annotations": [annotation]}


def _error(number: int, error: SpanError, response: str) -> Iterator[dict[str, Any]]:
    where = {"start": error.start, "end": error.end}
    value = where | {"text": response[error.start : error.end], "labels": [error.label]}
    yield _control("errors", "response", "labels", value, f"error:{number}")
    if error.explanation:
        value = where | {"text": [error.explanation]}
        yield _control("explanation", "response", "textarea", value, f"error:{number}")


def _missing(number: int, gap: MissingInfo, context: PassageText) -> Iterator[dict[str, Any]]:
    for sentence in gap.sentence_id or (None,):
        start, end = context.spans[gap.passage_id, sentence or 0]
        place = f"{gap.passage_id}" if sentence is None else f"{gap.passage_id}.{sentence}"
        value = {"start": start, "end": end, "text": context.text[start:end], "labels": [gap.label]}
        yield _control("missing", "context", "labels", value, f"missing:{number}:{place}")


def _control(name: str, on: str, kind: str, value: dict[str, Any], region: str | None = None) -> dict[str, Any]:
    return {"id": region or name, "from_name": name, "to_name": on, "type": kind, "value": value, "origin": "manual"}


def read(path: Path) -> Iterator[Item | Refusal]:
    """The items of a file, one for each annotation, and a refusal for what cannot be used.

    Raises FgctlError if the file as a whole cannot be read.
    """
    for where, record in records(path):
        if isinstance(record, Refusal):
            yield record
            continue
        annotations = record.get("annotations")
        if not isinstance(record.get("data"), dict) or not isinstance(annotations, list):
            yield Refusal(where, 'It has no "data" and "annotations"; export as JSON, not as JSON-MIN.')
        elif not annotations:
            yield Refusal(where, "Nobody has annotated it.")
        else:
            for number, annotation in enumerate(annotations, 1):
                place = f"{where}, annotation {number}" if len(annotations) > 1 else where
                yield _item_or_refusal(place, record, annotation)


def _item_or_refusal(where: str, record: dict[str, Any], annotation: Any) -> Item | Refusal:
    if isinstance(annotation, dict) and annotation.get("was_cancelled"):
        return Refusal(where, "The annotator skipped it.")
    try:
        item = _item(record["data"], annotation)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        return Refusal(where, f"It is not in Label Studio's format ({type(error).__name__}: {error}).")
    except ValueError as error:
        return Refusal(where, reason_of(error))
    reason = objection(item)
    return Refusal(where, reason) if reason else replace(item, where=where)


def _item(data: dict[str, Any], annotation: dict[str, Any]) -> Item:
    source, response = TaskSource.model_validate(data), data["response"]
    context = render(source.passages)
    if not isinstance(response, str):
        raise ValueError("Field response is not text.")
    if data.get("context", context.text) != context.text:
        raise ValueError("The passages differ from their text in the field context.")
    spans: dict[str, tuple[int, int, str]] = {}
    explanations: dict[str, str] = {}
    gaps: list[tuple[str, str, list[Place]]] = []
    corrected, preference = None, [0] * len(PAIRS)
    pairs = {pair_name(pair): i for i, pair in enumerate(PAIRS)}
    for region in annotation["result"]:
        name, value = region.get("from_name"), region["value"]
        if name == "errors":
            start, end = _span(value, response)
            for label in value["labels"]:
                spans[f"{region['id']} {label}"] = (start, end, label)
        elif name == "explanation":
            explanations[region["id"]] = _text(value)
        elif name == "missing":
            start, end = _span(value, context.text)
            for label in value["labels"]:
                gaps.append((region["id"], label, _places(region["id"], (start, end), context)))
        elif name == "corrected":
            corrected = _text(value)
        elif name in pairs:
            preference[pairs[name]] = CHOICES.index(value["choices"][0])
    unique_id = annotation.get("unique_id")
    exported_from_here = bool(unique_id) and unique_id == source.submission_id
    user = _user(annotation.get("completed_by"))
    return source.item(
        response,
        errors=tuple(
            SpanError(label=label, start=start, end=end, explanation=explanations.get(key.split(" ")[0], ""))
            for key, (start, end, label) in spans.items()
        ),
        missing=_grouped(gaps),
        corrected=corrected,
        preference=tuple(preference),
        annotator=source.annotator if exported_from_here or user is None else user,
        submission_id=unique_id or (source.submission_id if user is None else None),
    )


def _span(value: dict[str, Any], text: str) -> tuple[int, int]:
    """A region's offsets in code points, checked against the region's own text."""
    start, end = value["start"], value["end"]
    if not isinstance(start, int) or not isinstance(end, int):
        raise ValueError("A region's offsets are not numbers; use the tag Text, not HyperText.")
    shown = value.get("text")
    if not isinstance(shown, str) or _squeezed(shown) == _squeezed(text[start:end]):
        return start, end
    try:
        units = from_utf16(text, start), from_utf16(text, end)
    except ValueError:
        units = (0, 0)
    if _squeezed(shown) != _squeezed(text[slice(*units)]):
        raise ValueError(f"The region from {start} to {end} should read {shown!r}, but the text there is different.")
    return units


def _squeezed(text: str) -> str:
    """The text without white space and without the "\\n" that Label Studio writes for line breaks."""
    return "".join(text.replace("\\n", " ").split())


def _text(value: dict[str, Any]) -> str:
    text = value["text"]
    return text if isinstance(text, str) else "\n".join(text)


def _places(region_id: str, span: tuple[int, int], context: PassageText) -> list[Place]:
    """The sentences of a region: those it was exported for if it has not moved, else those it overlaps."""
    exported = _EXPORTED_ID.fullmatch(region_id)
    if exported:
        place = (int(exported[2]), int(exported[3] or 0))
        if context.spans.get(place) == span:
            return [place] if exported[3] else [(place[0], _NO_SENTENCE)]
    places = context.places(*span)
    if not places:
        raise ValueError(f"The missing information from {span[0]} to {span[1]} is not on any passage.")
    return places


def _grouped(gaps: Iterable[tuple[str, str, list[Place]]]) -> tuple[MissingInfo, ...]:
    """Missing information, one for each passage of a region. Regions exported from one piece become one again."""
    groups: dict[tuple[str, str, int], list[int]] = {}
    for region_id, label, places in gaps:
        exported = _EXPORTED_ID.fullmatch(region_id)
        for passage, sentence in places:
            sentences = groups.setdefault((exported[1] if exported else region_id, label, passage), [])
            if sentence != _NO_SENTENCE:
                sentences.append(sentence)
    return tuple(
        MissingInfo(label=label, passage_id=passage, sentence_id=tuple(sentences))
        for (_, label, passage), sentences in groups.items()
    )


def _user(completed_by: Any) -> str | None:
    """The annotator, given as an id or, in expanded exports, as an object; None if nobody is named."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("username") or completed_by.get("id")
    return None if completed_by is None else str(completed_by)
