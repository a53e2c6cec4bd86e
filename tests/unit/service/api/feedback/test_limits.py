"""Every list and text in a request of the feedback API has a limit, and the documentation lists them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from service.api.feedback.limits import LIMITS
from service.api.feedback.router import router

BODIES: dict[str, type[BaseModel]] = {
    route.path: parameter.field_info.annotation
    for route in router.routes
    if isinstance(route, APIRoute)
    for parameter in route.dependant.body_params
}
"""What each route reads."""
DOCS = Path(__file__).parents[5] / "docs/api.md"


def unlimited(schema: dict[str, Any], definitions: dict[str, Any], place: str = "") -> list[str]:
    """The places of a JSON schema where a text, a list or a number has no limit."""
    if "$ref" in schema:
        return unlimited(definitions[schema["$ref"].rpartition("/")[2]], definitions, place)
    gaps = [
        gap for part in schema.get("anyOf", ()) for gap in unlimited(part, definitions, place)
    ]  # fmt: skip
    kind = schema.get("type")
    if kind == "string" and not schema.keys() & {"maxLength", "enum", "const", "format"}:
        gaps.append(place)
    if kind == "array":
        gaps += [place] * ("maxItems" not in schema) + unlimited(schema["items"], definitions, f"{place}[]")
    if kind == "integer" and not schema.keys() & {"maximum", "enum"}:
        gaps.append(place)
    for name, part in schema.get("properties", {}).items():
        gaps += unlimited(part, definitions, f"{place}.{name}")
    return gaps


@pytest.mark.parametrize("path", BODIES)
def test_every_list_text_and_number_of_a_request_has_a_limit(path: str) -> None:
    schema = BODIES[path].model_json_schema()
    assert unlimited(schema, schema.get("$defs", {})) == []


def objects(kind: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from objects(field.annotation)
    for part in get_args(kind):
        yield from objects(part)


@pytest.mark.parametrize("path", BODIES)
def test_every_object_of_a_request_has_few_fields(path: str) -> None:
    for kind in objects(BODIES[path]):
        with pytest.raises(ValidationError) as refusal:
            kind.model_validate({f"n{i}": 1 for i in range(65)})
        assert [error["msg"] for error in refusal.value.errors()] == [
            "Value error, An object has 65 fields; /docs lists those that it may have."
        ]


def test_every_route_that_is_posted_to_is_looked_at() -> None:
    posted = {route.path for route in router.routes if isinstance(route, APIRoute) and "POST" in route.methods}
    assert BODIES.keys() == posted


def test_the_limits_are_documented() -> None:
    table = DOCS.read_text(encoding="utf-8").partition("A request holds at most:")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) ", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    assert table
    assert {name: int(value.replace(",", "")) for name, value in rows.items() if name in LIMITS} == LIMITS
