"""Wire types of POST /generate."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_MAX_STOPS = 4

StopText = Annotated[str, Field(min_length=1, max_length=200)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class PassageIn(_Wire):
    """Text to answer from."""

    title: str = ""
    text: str


class Message(_Wire):
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class GenerateRequest(_Wire):
    """What to answer, in one of three forms, and how to sample."""

    question: str | None = None
    """A question, answered from `passages`; the form the policies were trained on and the only one that is scored."""
    passages: list[PassageIn] = Field(default_factory=list)
    """Cut to the prompt budget, in a fair share each."""
    prompt: str | None = None
    """The whole prompt, used as it is."""
    messages: list[Message] | None = None
    """A conversation, formatted by the base model's chat template."""
    max_tokens: int | None = Field(None, ge=1)
    """The profile's default without it."""
    temperature: float | None = Field(None, ge=0, le=2, strict=False)
    """0 always takes the likeliest token."""
    top_p: float | None = Field(None, gt=0, le=1, strict=False)
    """Sample from the likeliest tokens that together have this probability."""
    seed: int | None = Field(None, ge=0, lt=1 << 63)
    """The same seed on the same policy gives the same text, up to the rounding that other requests' company causes."""
    stop: StopText | list[StopText] | None = None
    """Text at which generation ends; it is not part of the answer."""
    stream: bool = False
    """Answer by server-sent events: `token` for each piece, then `done`, or `error`."""
    best_of: int | None = Field(None, ge=1)
    """Only 1 is served."""

    @model_validator(mode="after")
    def _sensible(self) -> "GenerateRequest":
        given = [name for name in ("question", "prompt", "messages") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "Give exactly one of question, prompt and messages"
                + (f", not {' and '.join(given)}." if given else ".")
            )
        content = getattr(self, given[0])
        if not (content.strip() if isinstance(content, str) else content):
            raise ValueError(f"The {given[0]} is empty; ask something.")
        if self.passages and self.question is None:
            raise ValueError("Passages go with a question; put them into the prompt or the messages yourself.")
        if isinstance(self.stop, list) and len(self.stop) > _MAX_STOPS:
            raise ValueError(f"There are {len(self.stop)} stop texts; give at most {_MAX_STOPS}.")
        if self.best_of not in (None, 1):
            raise ValueError("best_of above 1 is not served; send several requests with seeds of their own.")
        return self

    @property
    def stops(self) -> list[str]:
        """The stop texts as a list."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or [])


class Usage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int


class PolicyName(BaseModel):
    """The policy that answered."""

    name: str
    version: str


class GenerateResponse(BaseModel):
    """An answer; without its text, the last event of a stream."""

    id: str
    profile: str
    policy: PolicyName
    weights: dict[str, float]
    """Those asked for."""
    weights_served: dict[str, float]
    """The nearest that the policies can be mixed for; the same unless those asked for are out of reach."""
    text: str
    finish_reason: str
    usage: Usage
    passages_cut: bool
    """Whether passages were cut to the prompt budget."""
