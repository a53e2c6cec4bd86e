"""Wire types that several endpoints share."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from service.errors import InvalidField

MAX_STOPS = 4


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
    StopText | list[StopText] | None,
    one_message("stop is a text of at most 200 characters or a list of such texts; correct it and send it again."),
]
Seed = Annotated[int, Field(ge=-1, lt=1 << 63), AfterValidator(_random_if_negative)]
"""-1 for a random one, like none."""


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class PassageIn(Wire):
    """Text to answer from."""

    title: Text = ""
    text: Text


def check_stops(stop: str | list[str] | None) -> None:
    """Raises InvalidField for more stop texts than a request may have."""
    if isinstance(stop, list) and len(stop) > MAX_STOPS:
        raise InvalidField("stop", f"There are {len(stop)} stop texts; give at most {MAX_STOPS}.")


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
