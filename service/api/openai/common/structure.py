"""Wire types for the form that an answer must have: OpenAI's `response_format` and vLLM's `structured_outputs`."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from service.api.common.limits import CHOICES, STRUCTURE, at_most
from service.api.common.wire import FewFields, Text
from service.errors import InvalidRequest

Structure = Mapping[str, Any]
"""A form as fields of vLLM's StructuredOutputsParams."""


def _short(value: Any) -> Any:
    """A grammar is compiled, which takes the longer the larger it is."""
    size = len(value) if isinstance(value, str) else len(json.dumps(value, default=str))
    if size > STRUCTURE:
        raise ValueError(f"The form of the answer takes {size} characters; describe it in at most {STRUCTURE}.")
    return value


Schema = Annotated[dict[str, Any], BeforeValidator(_short)]
Grammar = Annotated[Text, Field(min_length=1), BeforeValidator(_short)]


class NamedSchema(BaseModel):
    """A JSON schema as OpenAI wraps it; it is followed strictly in any case."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str = "answer"
    description: str | None = None
    schema_: Schema = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """OpenAI's `response_format`."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _whole(self) -> "ResponseFormat":
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("The type json_schema needs a schema; give it as json_schema.schema.")
        return self

    def as_structure(self) -> Structure | None:
        """In vLLM's terms; None for any text."""
        if self.type == "json_schema" and self.json_schema is not None:
            return {"json": self.json_schema.schema_}
        return {"json_object": True} if self.type == "json_object" else None


class StructuredOutputs(FewFields):
    """vLLM's `structured_outputs`: one of the first five fields says the form."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    json_: Schema | Grammar | None = Field(None, alias="json")
    """A JSON schema, as an object or as text."""
    regex: Annotated[Grammar, Field(pattern=r"^[^\x00]*$")] | None = None
    choice: Annotated[list[Grammar], Field(min_length=1, fail_fast=True), at_most(CHOICES, "choices")] | None = None
    grammar: Grammar | None = None
    """An EBNF grammar, as vLLM reads it."""
    json_object: Literal[True] | None = None
    """True for any JSON object."""
    disable_any_whitespace: bool | None = None
    """Whether JSON is written without white space between its parts."""
    disable_additional_properties: bool | None = None
    whitespace_pattern: Annotated[Text, Field(max_length=200)] | None = None

    def as_structure(self) -> Structure:
        """In vLLM's terms."""
        return self.model_dump(exclude_none=True, by_alias=True)


def structure_of(by_format: Structure | None, outputs: StructuredOutputs | None) -> Structure | None:
    """The form by OpenAI's field or by vLLM's; None for any text. Raises InvalidRequest for two."""
    if by_format and outputs:
        raise InvalidRequest(
            "structured_outputs and the response's format each give a form; leave one of them out.",
            "structured_outputs",
        )
    return outputs.as_structure() if outputs else by_format
