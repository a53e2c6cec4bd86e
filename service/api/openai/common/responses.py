"""What responses of OpenAI's interface have in common. Fields that are not OpenAI's say so."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from service.api.common.wire import BestOf, PolicyName


class OpenAIWire(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class OpenAIChoice(OpenAIWire):
    index: int
    finish_reason: str
    response_id: str
    """What GET /responses/{id} knows this answer by. Not OpenAI's, like the four below, which come with `best_of`."""
    best_of: BestOf | None = None
    scores: dict[str, Any] | None = None
    in_domain: bool | None = None
    notes: list[str] | None = None


class TotalUsage(OpenAIWire):
    """Tokens of all prompts and all answers."""

    prompt_tokens: int
    completion_tokens: int
    """Of everything that was sampled, also what was not chosen."""
    total_tokens: int
    samples: int | None = None
    """Only with `best_of`. Not OpenAI's."""


class CompletionsResponse(OpenAIWire):
    id: str
    """Also of the first answer at GET /responses/{id}."""
    created: int
    model: str
    """As asked for."""
    system_fingerprint: str
    """The policy and its version: another one answers the same seed differently."""
    usage: TotalUsage
    policy: PolicyName
    """Not OpenAI's, like the three below."""
    weights: dict[str, float]
    weights_served: dict[str, float]
    passages_cut: bool
