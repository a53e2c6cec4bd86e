"""Wire types of POST /score."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from rewards.dataset import parse_passages
from service.api.common.limits import FIELDS, PASSAGES, SENTENCES, at_most, check_count
from service.api.common.wire import Text

CHARACTERS = 50_000
"""Of one response with its question and passages: about fifty times what the reward models were fitted on."""
LISTED = 1000
"""Responses that are looked at in one request; FGCTL_SCORE_ITEMS allows fewer."""
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/@+-]{1,100}$")]
"""An id, or a value of a metric's label."""


def _readable(passages: Any) -> Any:
    """The passages as they came. Raises ValueError unless each has one of the forms that `fgctl score` reads."""
    check_count(passages, PASSAGES, "passages")
    lists = [passage for passage in passages if isinstance(passage, list)] if isinstance(passages, list) else []
    if (sentences := sum(map(len, lists))) > SENTENCES:
        raise ValueError(f"The passages have {sentences} titles and sentences; send at most {SENTENCES}.")
    if any(isinstance(sentence, list | dict) for passage in lists for sentence in passage):
        raise ValueError("A sentence of a passage is a list or an object; send its text.")
    parse_passages(passages)
    return passages


class ScoreItem(BaseModel):
    """A response to be judged, like a line of `fgctl score`. Further fields come back as they are."""

    model_config = ConfigDict(extra="allow", strict=True, use_attribute_docstrings=True)

    question: Text = ""
    """The question that it answers. Without it, it is judged by the categories that need none."""
    passages: Annotated[list[Any] | None, BeforeValidator(_readable)] = None
    """Each `{"title", "text"}`, `{"wikipage", "content"}` or `[title, sentence, …]`. Without them, the same."""
    response: Text
    """The response."""
    id: Label | None = None
    """Names the response in sinks and traces; a new id without it."""
    profile: Label = "external"
    """Label in the metrics: the system or model that gave the response."""
    policy: Label = "unversioned"
    """Label in the metrics: its version."""
    trace_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    """The W3C trace in which the response was given, for sinks and traces."""
    span_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None
    """The span of that trace."""

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > FIELDS:
            raise ValueError(f"A response has {len(value)} fields; send at most {FIELDS}.")
        return value

    @model_validator(mode="after")
    def _short_enough(self) -> "ScoreItem":
        passages = parse_passages(self.passages)
        length = len(self.question) + len(self.response) + sum(len(p.title) + len(p.text) for p in passages)
        if length > CHARACTERS:
            raise ValueError(
                f"A response with its question and passages has {length} characters; send at most {CHARACTERS}."
            )
        return self


ScoreItems = Annotated[list[ScoreItem], Field(fail_fast=True, min_length=1), at_most(LISTED, "responses")]
ScoreBody = Annotated[
    Annotated[ScoreItem, Tag("{}")] | Annotated[ScoreItems, Tag("[]")],
    Discriminator(lambda value: "[]" if isinstance(value, list) else "{}"),
]
"""One response, or several."""


class ScoredItem(BaseModel):
    """What was sent of a response, and its scores."""

    model_config = ConfigDict(extra="allow")

    id: str
    scores: dict[str, Any] | None
    """By category, as of GET /responses/{id}; null where no category can judge it with what it comes with."""
    in_domain: bool | None
    """Whether it is like the reward models' training data; null like `scores`."""
    notes: list[str]
    """How it differs, or why it is not judged."""
