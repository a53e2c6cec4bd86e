"""Every list and text in a request of the feedback API has a limit, and the documentation lists them."""

import re
from pathlib import Path
from typing import Any

import pytest

from service.api.feedback import protocol
from service.api.feedback.limits import LIMITS

BODIES = ("QuickIn", "AnnotationIn", "ComparisonIn", "NextIn", "PairIn", "DraftIn", "SkipIn")
DOCS = Path(__file__).parents[5] / "docs/api.md"


def unlimited(schema: dict[str, Any], definitions: dict[str, Any], place: str = "") -> list[str]:
    """The places of a JSON schema where a text, a list or a number has no limit."""
    if "$ref" in schema:
        return unlimited(definitions[schema["$ref"].rpartition("/")[2]], definitions, place)
    gaps = [
        gap for part in schema.get("anyOf", ()) for gap in unlimited(part, definitions, place)
    ]  # fmt: skip
    kind = schema.get("type")
    if kind == "string" and not schema.keys() & {"maxLength", "enum", "const"}:
        gaps.append(place)
    if kind == "array":
        gaps += [place] * ("maxItems" not in schema) + unlimited(schema["items"], definitions, f"{place}[]")
    if kind == "integer" and not schema.keys() & {"maximum", "enum"}:
        gaps.append(place)
    for name, part in schema.get("properties", {}).items():
        gaps += unlimited(part, definitions, f"{place}.{name}")
    return gaps


@pytest.mark.parametrize("body", BODIES)
def test_every_list_text_and_number_of_a_request_has_a_limit(body: str) -> None:
    schema = getattr(protocol, body).model_json_schema()
    assert unlimited(schema, schema.get("$defs", {})) == []


def test_the_limits_are_documented() -> None:
    table = DOCS.read_text(encoding="utf-8").partition("A request holds at most:")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) ", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert table
    assert {name: int(value.replace(",", "")) for name, value in rows.items() if name in LIMITS} == LIMITS
