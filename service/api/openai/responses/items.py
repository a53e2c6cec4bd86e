"""Wire types of what a request to /v1/responses may give as input: a text, or messages as this API writes them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.common.limits import MESSAGES, PARTS, at_most
from service.api.common.wire import Text, one_message
from service.api.openai.common.turns import turn_of
from service.domain.request import Turn


class InputPart(BaseModel):
    """A part of a message: a text that somebody wrote, or one that an earlier response contained."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["input_text", "output_text", "text"]
    text: Text


class InputMessage(BaseModel):
    """A message, also one of an earlier response's output."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Annotated[
        Literal["message"],
        one_message("The type of an item is message; policies call no tools and read no references."),
    ] = "message"
    role: Annotated[
        Literal["system", "developer", "user", "assistant"],
        one_message("role is system, developer, user or assistant; policies call no tools."),
    ]
    content: Annotated[
        Text | Annotated[list[InputPart], Field(fail_fast=True)],
        one_message("content is a text or a list of parts of type input_text or output_text; policies read no others."),
        at_most(PARTS, "parts"),
    ]

    def as_turn(self) -> Turn:
        """For the chat template."""
        return turn_of(self.role, self.content)


Input = Annotated[
    Text | Annotated[list[InputMessage], Field(fail_fast=True, min_length=1)],
    one_message("input is a text or a list of messages, each with a role and a content; fix it and send it again."),
    at_most(MESSAGES, "messages"),
]
