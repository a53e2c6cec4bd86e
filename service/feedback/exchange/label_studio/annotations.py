"""The annotations of a Label Studio export.

Offsets are code points, and UTF-16 units in exports of old versions; a region's own `text` tells which.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from rewards.dataset import PAIRS, MissingInfo, SpanError
from service.feedback.exchange.files import records
from service.feedback.exchange.item import AS_WRITTEN, Item, Read, ReadOptions, Refusal, content_digest
from service.feedback.exchange.label_studio.interface import CONTROLS
from service.feedback.exchange.tasks.controls import IGNORED, Names, known_as
from service.feedback.exchange.tasks.offsets import from_utf16
from service.feedback.exchange.tasks.pair_questions import choice_of, pair_name
from service.feedback.exchange.tasks.passage_text import PassageText, Place, render
from service.feedback.exchange.tasks.task_source import TaskSource
from service.feedback.exchange.usable import read_item

_EXPORTED_ERROR = re.compile(r"error:(\d{1,9})")
_EXPORTED_GAP = re.compile(r"missing:(\d{1,9}):(\d{1,9})(?:\.(\d{1,9}))?")
"""The id of a region that was exported: the number of the missing information, its passage and sentence."""
_NO_SENTENCE = -1
"""In a Place: missing information that names a passage but no sentence."""
_LABELS = ("labels", "")
"""The types of regions on text that are read; HyperText and Paragraphs count other offsets."""


class _Value(BaseModel):
    start: Any = None
    end: Any = None
    text: str | list[str] | None = None
    labels: list[str] = []
    choices: list[str] = []


class _Region(BaseModel):
    id: str = ""
    from_name: str = ""
    type: str = ""
    value: _Value = Field(default_factory=_Value)


class _Review(BaseModel):
    accepted: bool | None = None


class _Annotation(BaseModel):
    id: int | str | None = None
    import_id: int | None = None
    unique_id: str | None = None
    completed_by: int | str | dict[str, Any] | None = None
    was_cancelled: bool = False
    reviews: list[_Review] = []
    result: list[_Region]

    @property
    def user(self) -> str | None:
        """The annotator, given as an id or, in expanded exports, as an object; None if nobody is named."""
        person = self.completed_by
        if isinstance(person, dict):
            person = person.get("email") or person.get("username") or person.get("id")
        return None if person is None else str(person)

    def is_exported(self, source: TaskSource, item: Item) -> bool:
        """Whether this is the annotation that was exported with its task, changed or not.

        `item` is what it would be then. Old versions of Label Studio do not keep its number, and older files have none;
        it is then known by its regions, or by saying the same.
        """
        if self.unique_id is not None and self.unique_id == source.submission_id:
            return True
        if source.digest is not None and "import_id" in self.model_fields_set:
            return self.import_id == source.number
        if self.user is None or (source.digest is not None and content_digest(item) == source.digest):
            return True
        return any(_exported_number(region) is not None for region in self.result)


def read(path: Path, options: ReadOptions = AS_WRITTEN) -> Iterator[Read]:
    """The items of a file, one for each annotation, and what cannot be used.

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
                yield from read_item(place, annotation, partial(_item, record["data"], options.names), "Label Studio")


def _item(data: dict[str, Any], names: Names, content: Any) -> tuple[Item, list[str]]:
    """The item of an annotation, and what is left out of it. Raises ValueError where it is not to be used."""
    annotation = _Annotation.model_validate(content)
    if annotation.was_cancelled:
        raise ValueError("The annotator skipped it.")
    if annotation.reviews and annotation.reviews[-1].accepted is False:
        raise ValueError("A review has rejected it.")
    source, response = TaskSource.within(data), data["response"]
    context = render(source.passages)
    if not isinstance(response, str):
        raise ValueError("Field response is not text.")
    if data.get("context", context.text) != context.text:
        raise ValueError("The passages differ from their text in the field context.")
    content = _Content(response, context)
    for region in sorted(annotation.result, key=_exported_order):
        if region.type == "relation":
            content.left_out.append("relations")
        else:
            content.add(region, known_as(region.from_name, names, CONTROLS, "control"))
    feedback = content.feedback()
    item = source.item(response, own=True, submission_id=annotation.unique_id, **feedback)
    if not annotation.is_exported(source, item):
        item = source.item(response, own=False, user=annotation.user, submission_id=annotation.unique_id, **feedback)
    return item, content.left_out


@dataclass
class _Content:
    """What the regions of an annotation say."""

    response: str
    context: PassageText
    spans: list[tuple[str, SpanError]] = field(default_factory=list)
    """With the ids of their regions, as in `gaps`."""
    explanations: dict[str, str] = field(default_factory=dict)
    gaps: list[tuple[str, str, list[Place]]] = field(default_factory=list)
    corrected: str | None = None
    choices: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def add(self, region: _Region, control: str) -> None:
        """Add a region of a known control. Raises ValueError for one that cannot be read."""
        value = region.value
        if control in ("errors", "missing"):
            if region.type not in _LABELS:
                raise ValueError(f"The control {region.from_name!r} has the type {region.type!r}; use the tag Labels.")
            if value.labels:
                self._mark(region, control)
            else:
                self.left_out.append("regions without a label")
        elif control == "explanation":
            self.explanations[region.id] = _text(value)
        elif control == "corrected":
            self.corrected = _text(value)
        elif control != IGNORED:
            self.choices[control] = choice_of(value.choices[0] if value.choices else None, control)

    def _mark(self, region: _Region, control: str) -> None:
        start, end = span = _span(region.value, self.response if control == "errors" else self.context.text)
        for label in region.value.labels:
            if control == "errors":
                self.spans.append((region.id, SpanError(label=label, start=start, end=end)))
            else:
                self.gaps.append((region.id, label, _places(region.id, span, self.context)))

    def feedback(self) -> dict[str, Any]:
        """The fields of the item."""
        why = self.explanations
        return {
            "errors": tuple(error.model_copy(update={"explanation": why.get(key, "")}) for key, error in self.spans),
            "missing": _grouped(self.gaps),
            "corrected": self.corrected,
            "preference": tuple(self.choices.get(pair_name(pair), 0) for pair in PAIRS),
        }


def _exported_number(region: _Region) -> int | None:
    """Which of the exported errors, or of the missing information, a region was; None for others."""
    match = _EXPORTED_ERROR.fullmatch(region.id) or _EXPORTED_GAP.fullmatch(region.id)
    return int(match[1]) if match else None


def _exported_order(region: _Region) -> tuple[bool, int]:
    """Exported regions in the order in which they were exported, before all others; Label Studio reorders them."""
    number = _exported_number(region)
    return number is None, number or 0


def _span(value: _Value, text: str) -> tuple[int, int]:
    """A region's offsets in code points, checked against the region's own text."""
    start, end = value.start, value.end
    if type(start) is not int or type(end) is not int:
        raise ValueError("A region's offsets are not numbers; use the tag Text, not HyperText.")
    shown = value.text
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


def _text(value: _Value) -> str:
    text = value.text
    if text is None:
        return ""
    return text if isinstance(text, str) else "\n".join(text)


def _places(region_id: str, span: tuple[int, int], context: PassageText) -> list[Place]:
    """The sentences of a region: those it was exported for if it has not moved, else those it overlaps."""
    exported = _EXPORTED_GAP.fullmatch(region_id)
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
        exported = _EXPORTED_GAP.fullmatch(region_id)
        for passage, sentence in places:
            sentences = groups.setdefault((exported[1] if exported else region_id, label, passage), [])
            if sentence != _NO_SENTENCE:
                sentences.append(sentence)
    return tuple(
        MissingInfo(label=label, passage_id=passage, sentence_id=tuple(sentences))
        for (_, label, passage), sentences in groups.items()
    )
