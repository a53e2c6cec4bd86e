"""Formats of other tools that are not read, recognised to be refused by name rather than for not being JSON."""

import re
from pathlib import Path
from typing import Any

BRAT = "brat's standoff format, whose offsets belong to a text in another file"
BRAT_JSON = "brat's JSON, whose entities have lists of offsets"
WEBANNO = "INCEpTION's WebAnno TSV, whose offsets count UTF-16 units"
CAS = "INCEpTION's UIMA CAS, whose offsets count UTF-16 units"
INSTEAD = "convert it to the JSON lines of doccano or Prodigy, with offsets in code points"

_STANDOFF = re.compile(r"(T\d+\t\S+ \d+ \d+(;\d+ \d+)*(\t|$)|[REAMN]\d+\t|#\d+\tAnnotatorNotes |\*\t\S+ )")
_HEAD = 4000
"""Characters of a file that are looked at."""


def format_of(path: Path, text: str) -> str | None:
    """The format of a file that is not JSON, if it is one of those that are known and not read."""
    head = text[:_HEAD].lstrip()
    if path.suffix == ".ann" or _STANDOFF.match(head):
        return BRAT
    if head.startswith("#FORMAT=WebAnno TSV"):
        return WEBANNO
    if head.startswith("<") and "xmi:XMI" in head:
        return CAS
    return None


def format_of_record(record: dict[str, Any]) -> str | None:
    """The format of a JSON object, if it is one of those that are known and not read."""
    if record.keys() & {"%TYPES", "%FEATURE_STRUCTURES", "_referenced_fss", "_views"}:
        return CAS
    entities = record.get("entities")
    if isinstance(entities, list) and entities and all(map(_is_brat_entity, entities)):
        return BRAT_JSON
    return None


def _is_brat_entity(entity: Any) -> bool:
    """[ID, LABEL, [[START, END], …]]"""
    return isinstance(entity, list) and len(entity) == 3 and isinstance(entity[0], str) and isinstance(entity[2], list)
