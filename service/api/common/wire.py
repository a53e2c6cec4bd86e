"""Wire types that several endpoints share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_STOPS = 4


def _encodable(text: str) -> str:
    """JSON can write half of a surrogate pair, which no tokenizer reads."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("A text holds half of a surrogate pair; send valid Unicode.") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]
StopText = Annotated[Text, Field(min_length=1, max_length=200)]


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class PassageIn(Wire):
    """Text to answer from."""

    title: Text = ""
    text: Text


def check_stops(stop: str | list[str] | None) -> None:
    """Raises ValueError for more stop texts than a request may have."""
    if isinstance(stop, list) and len(stop) > MAX_STOPS:
        raise ValueError(f"There are {len(stop)} stop texts; give at most {MAX_STOPS}.")


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
