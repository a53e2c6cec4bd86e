"""Wire types that several endpoints share."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from service.api.common.limits import FIELDS, PASSAGES, STOPS, at_most


def _encodable(text: str) -> str:
    """JSON can write half of a surrogate pair, which no tokenizer reads."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("A text holds half of a surrogate pair; send valid Unicode.") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]
StopText = Annotated[Text, Field(min_length=1, max_length=200)]
StopTexts = Annotated[list[StopText], Field(fail_fast=True)]
few_stops = at_most(STOPS, "stop texts")


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, value: Any) -> Any:
        """Each unknown field would be an error of its own."""
        if isinstance(value, dict) and len(value) > FIELDS:
            raise ValueError(f"An object has {len(value)} fields; /docs lists those that it may have.")
        return value


class PassageIn(Wire):
    """Text to answer from."""

    title: Text = ""
    text: Text


Passages = Annotated[list[PassageIn], Field(fail_fast=True), at_most(PASSAGES, "passages")]


def listed_stops(stop: str | list[str] | None) -> tuple[str, ...]:
    """One stop text or several, as several."""
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


class PolicyName(BaseModel):
    """The policy that answered."""

    name: str
    version: str


class BestOf(BaseModel):
    """How the best of several samples was found."""

    chosen: bool
    """False when the samples could not be scored: the answer is the first one."""
    reward: float | None
    """The answer's, by the weights that were asked for; null unless chosen."""
    mean_reward: float | None
    """Of all samples; null unless chosen."""
