"""The OpenAPI description as the page `/docs` shows it: rows of words instead of nested schemas."""

from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """A parameter, or a field of an object."""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True)
class Operation:
    """What a path does by one method."""

    method: str
    path: str
    description: str
    parameters: tuple[Field, ...]
    body: str
    """The type of the request's body; empty for none."""
    answers: tuple[Field, ...]
    """By status, which is the name."""


@dataclass(frozen=True)
class ObjectType:
    """An object that requests or answers hold."""

    name: str
    description: str
    fields: tuple[Field, ...]


def operations(api: Schema) -> list[Operation]:
    """Every operation of an OpenAPI description, in its order."""
    return [
        Operation(
            method.upper(),
            path,
            operation.get("description", ""),
            tuple(_parameter(parameter) for parameter in operation.get("parameters", ())),
            _content_type(operation.get("requestBody", {})),
            tuple(
                Field(status, _content_type(answer), False, answer["description"])
                for status, answer in sorted(operation["responses"].items())
            ),
        )
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
    ]


def object_types(api: Schema) -> list[ObjectType]:
    """The objects that an OpenAPI description names, by name."""
    return [
        ObjectType(
            name,
            schema.get("description", ""),
            tuple(
                Field(field, type_of(value), field in schema.get("required", ()), value.get("description", ""))
                for field, value in schema.get("properties", {}).items()
            ),
        )
        for name, schema in sorted(api.get("components", {}).get("schemas", {}).items())
    ]


def type_of(schema: Schema) -> str:
    """A schema in words: `text`, `list of PassageIn`, `number or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for alternatives in ("anyOf", "oneOf"):
        if alternatives in schema:
            return " or ".join(dict.fromkeys(type_of(other) for other in schema[alternatives]))
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return ", ".join(map(repr, schema["enum"]))
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    words = {"string": "text", "boolean": "true or false"}
    return words.get(kind, str(kind))


def _parameter(parameter: Schema) -> Field:
    required = parameter.get("required", False)
    return Field(parameter["name"], type_of(parameter["schema"]), required, parameter.get("description", ""))


def _content_type(holder: Schema) -> str:
    """The types of a request's or an answer's content."""
    content = holder.get("content", {})
    types = [type_of(media["schema"]) if "schema" in media else name for name, media in content.items()]
    return " or ".join(dict.fromkeys(types))
