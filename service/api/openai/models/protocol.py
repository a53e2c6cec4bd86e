"""Wire types of /v1/models."""

from typing import Literal

from service.api.openai.common.protocol import OpenAIWire


class Model(OpenAIWire):
    """A profile as a model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix time at which the policy was stored."""
    owned_by: str = "fgctl"
    root: str
    """The profile at its present version, a model name of its own. Not OpenAI's, like those below."""
    parent: str
    """The base model, or the trunk, that the policy is an adapter of, as vLLM names it."""
    weights: dict[str, float]
    max_model_len: int
    """Tokens of prompt and answer together that are accepted however they are divided."""
    max_prompt_tokens: int
    """The most tokens of a prompt; passages are cut to fit."""
    max_tokens: int
    """The most tokens of an answer."""


class ModelList(OpenAIWire):
    """Every profile that is served."""

    object: Literal["list"] = "list"
    data: list[Model]
