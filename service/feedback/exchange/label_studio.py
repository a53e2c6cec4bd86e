"""Label Studio's JSON: tasks to import into it, and its export ("JSON", not "JSON-MIN").

Its offsets count code points. Those of old versions count UTF-16 units: a region's own `text` says which.
Missing information is marked on the passages, joined to one text (`context`).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from rewards.dataset import PAIRS, MissingInfo, SpanError
from service.feedback.exchange.context import Context, Place, render
from service.feedback.exchange.files import reason_of, records, write_list
from service.feedback.exchange.item import Item, Refusal, objection
from service.feedback.exchange.offsets import from_utf16
from service.feedback.exchange.preferences import CHOICES, pair_name
from service.feedback.exchange.source import Source

_OURS = re.compile(r"missing:(\d+):(\d+)(?:\.(\d+))?")
"""The id of a region that was written here: which missing information, passage and sentence."""

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
"""The labelling interface that a project needs (docs/feedback.md)."""


def write(items: Iterable[Item], path: Path) -> int:
    """Write items as tasks with an annotation each. Raises FgctlError when the file cannot be written."""
    tasks = [task(item) for item in items]
    write_list(path, tasks)
    return len(tasks)


def task(item: Item) -> dict[str, Any]:
    """An item as a task. Its annotator is in the data: Label Studio refuses annotations by people it does not know."""
    context, response = render(item.passages), item.predictions[0]
    source = Source.of(item)
    data = {"context": context.text, "response": response} | source.model_dump(mode="json", exclude_none=True)
    result = [one for number, error in enumerate(item.errors) for one in _error(number, error, response)]
    for number, lack in enumerate(item.missing):
        result += _missing(number, lack, context)
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


def _missing(number: int, lack: MissingInfo, context: Context) -> Iterator[dict[str, Any]]:
    named = lack.sentence_id or (None,)
    for sentence in named:
        start, end = context.spans[lack.passage_id, sentence or 0]
        place = f"{lack.passage_id}" if sentence is None else f"{lack.passage_id}.{sentence}"
        value = {"start": start, "end": end, "text": context.text[start:end], "labels": [lack.label]}
        yield _control("missing", "context", "labels", value, f"missing:{number}:{place}")


def _control(name: str, on: str, kind: str, value: dict[str, Any], region: str | None = None) -> dict[str, Any]:
    return {"id": region or name, "from_name": name, "to_name": on, "type": kind, "value": value, "origin": "manual"}


def read(path: Path) -> Iterator[Item | Refusal]:
    """The items of a file, one an annotation, and what cannot be taken of it.

    Raises FgctlError when the file cannot be read at all.
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
                yield _taken(f"{where}, annotation {number}" if len(annotations) > 1 else where, record, annotation)


def _taken(where: str, record: dict[str, Any], annotation: Any) -> Item | Refusal:
    if isinstance(annotation, dict) and annotation.get("was_cancelled"):
        return Refusal(where, "The annotator skipped it.")
    try:
        item = _item(record["data"], annotation)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        return Refusal(where, f"It is not as Label Studio writes it ({type(error).__name__}: {error}).")
    except ValueError as error:
        return Refusal(where, reason_of(error))
    reason = objection(item)
    return Refusal(where, reason) if reason else replace(item, where=where)


def _item(data: dict[str, Any], annotation: dict[str, Any]) -> Item:
    source, response = Source.model_validate(data), data["response"]
    context = render(source.passages)
    if not isinstance(response, str):
        raise ValueError("Field response is not text.")
    if data.get("context", context.text) != context.text:
        raise ValueError("The passages and their text in the field context do not agree.")
    spans: dict[str, tuple[int, int, str]] = {}
    explanations: dict[str, str] = {}
    lacking: list[tuple[str, str, list[Place]]] = []
    corrected, preference = None, [0] * len(PAIRS)
    pairs = {pair_name(pair): i for i, pair in enumerate(PAIRS)}
    for one in annotation["result"]:
        name, value = one.get("from_name"), one["value"]
        if name == "errors":
            start, end = _span(value, response)
            for label in value["labels"]:
                spans[f"{one['id']} {label}"] = (start, end, label)
        elif name == "explanation":
            explanations[one["id"]] = _text(value)
        elif name == "missing":
            start, end = _span(value, context.text)
            for label in value["labels"]:
                lacking.append((one["id"], label, _places(one["id"], (start, end), context)))
        elif name == "corrected":
            corrected = _text(value)
        elif name in pairs:
            preference[pairs[name]] = CHOICES.index(value["choices"][0])
    known = annotation.get("unique_id")
    ours = bool(known) and known == source.submission_id
    who = _who(annotation.get("completed_by"))
    return source.item(
        response,
        errors=tuple(
            SpanError(label=label, start=start, end=end, explanation=explanations.get(key.split(" ")[0], ""))
            for key, (start, end, label) in spans.items()
        ),
        missing=_grouped(lacking),
        corrected=corrected,
        preference=tuple(preference),
        annotator=source.annotator if ours or who is None else who,
        submission_id=known or (source.submission_id if who is None else None),
    )


def _span(value: dict[str, Any], text: str) -> tuple[int, int]:
    """A region's offsets in code points, checked against the text it says it has."""
    start, end = value["start"], value["end"]
    if not isinstance(start, int) or not isinstance(end, int):
        raise ValueError("A region's offsets are no numbers; use the tag Text, not HyperText.")
    shown = value.get("text")
    if not isinstance(shown, str) or _squeezed(shown) == _squeezed(text[start:end]):
        return start, end
    try:
        units = from_utf16(text, start), from_utf16(text, end)
    except ValueError:
        units = (0, 0)
    if _squeezed(shown) != _squeezed(text[slice(*units)]):
        raise ValueError(f"The region from {start} to {end} is said to be {shown!r}, but the text has something else.")
    return units


def _squeezed(text: str) -> str:
    """Without white space, and without the "\\n" that Label Studio writes for line breaks."""
    return "".join(text.replace("\\n", " ").split())


def _text(value: dict[str, Any]) -> str:
    said = value["text"]
    return said if isinstance(said, str) else "\n".join(said)


def _places(region: str, span: tuple[int, int], context: Context) -> list[Place]:
    """The sentences that a region names: those it was written for, or, where it is another's, those it overlaps."""
    ours = _OURS.fullmatch(region)
    if ours:
        place = (int(ours[2]), int(ours[3] or 0))
        if context.spans.get(place) == span:
            return [place] if ours[3] else [(place[0], -1)]
    found = context.places(*span)
    if not found:
        raise ValueError(f"The missing information from {span[0]} to {span[1]} lies on no passage.")
    return found


def _grouped(lacking: Iterable[tuple[str, str, list[Place]]]) -> tuple[MissingInfo, ...]:
    """Missing information, what was written as one again as one, and each passage's sentences apart."""
    groups: dict[tuple[str, str, int], list[int]] = {}
    for region, label, places in lacking:
        ours = _OURS.fullmatch(region)
        for passage, sentence in places:
            named = groups.setdefault((ours[1] if ours else region, label, passage), [])
            if sentence >= 0:
                named.append(sentence)
    return tuple(
        MissingInfo(label=label, passage_id=passage, sentence_id=tuple(named))
        for (_, label, passage), named in groups.items()
    )


def _who(completed_by: Any) -> str | None:
    """The annotator of an annotation: an id, or, in expanded exports, a person."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("username") or completed_by.get("id")
    return None if completed_by is None else str(completed_by)
