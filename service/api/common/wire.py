"""Wire types that several endpoints share."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from rewards.dataset import Passage
from service.api.common.limits import FIELDS, PASSAGES, STOPS, at_most


def _encodable(text: str) -> str:
    """JSON can write half of a surrogate pair, which no tokenizer reads."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("A text holds half of a surrogate pair; send valid Unicode.") from None
    return text


def one_message(sentence: str) -> WrapValidator:
    """One sentence for a value that fits no form of a field, instead of one complaint for each form.

    Where a form fits but for a reason of our own, that reason is the message.
    """

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            causes = (detail.get("ctx", {}).get("error") for detail in error.errors())
            own = next((cause for cause in causes if isinstance(cause, ValueError)), None)
            raise own or ValueError(sentence) from None

    return WrapValidator(validate)


def _random_if_negative(seed: int) -> int | None:
    """-1 is no seed, as other servers have it."""
    return None if seed == -1 else seed


Text = Annotated[str, AfterValidator(_encodable)]
StopText = Annotated[Text, Field(min_length=1, max_length=200)]
Stops = Annotated[
    StopText | Annotated[list[StopText], Field(fail_fast=True)] | None,
    one_message("stop is a text of at most 200 characters or a list of such texts; correct it and send it again."),
    at_most(STOPS, "stop texts"),
]
Seed = Annotated[int, Field(ge=-1, lt=1 << 63), AfterValidator(_random_if_negative)]
"""-1 for a random one, like none."""


class FewFields(BaseModel):
    """A base of every object whose unknown fields are refused: one with a great many is refused as a whole."""

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, value: Any) -> Any:
        """Each unknown field would be an error of its own."""
        if isinstance(value, dict) and len(value) > FIELDS:
            raise ValueError(f"An object has {len(value)} fields; /docs lists those that it may have.")
        return value


class Wire(FewFields):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class PassageIn(Wire):
    """Text to answer from."""

    title: Text = ""
    text: Text


Passages = Annotated[list[PassageIn], Field(fail_fast=True), at_most(PASSAGES, "passages")]


def as_passages(passages: Iterable[PassageIn]) -> tuple[Passage, ...]:
    """Passages in the service's own terms."""
    return tuple(Passage(title=passage.title, text=passage.text) for passage in passages)


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
