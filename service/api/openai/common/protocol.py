"""Wire types that requests for completions, chat completions and responses have in common, and what they answer.

Fields that nobody here knows are ignored, as vLLM and other servers do: clients send fields of newer versions of the
interface unasked. Fields that are known to change the answer and are not served are refused (UNSERVED).
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from policies.names import DEFAULT_PROFILE
from service.api.common.limits import NAME
from service.api.common.wire import BestOf, Passages, PolicyName, Seed, Stops, listed_stops
from service.api.openai.common.structure import ResponseFormat, Structure, StructuredOutputs, structure_of
from service.domain.request import Sampling
from service.errors import InvalidField

_NOTHING: tuple[Any, ...] = (None, False, "", [], {})
_TOOLS = "policies call no tools"
_FORM = "give the form of an answer as response_format or as vLLM's structured_outputs"
_TOKENS = "tokens cannot be forbidden, favoured or required"
_PROMPT = "the prompt is used as it is"
UNSERVED: dict[str, str] = {
    "tools": _TOOLS,
    "tool_choice": _TOOLS,
    "functions": _TOOLS,
    "function_call": _TOOLS,
    "format": _FORM,
    "json_schema": _FORM,
    "regex": _FORM,
    "ebnf": _FORM,
    "grammar": _FORM,
    "guided_json": _FORM,
    "guided_regex": _FORM,
    "guided_choice": _FORM,
    "guided_grammar": _FORM,
    "logit_bias": _TOKENS,
    "allowed_token_ids": _TOKENS,
    "bad_words": _TOKENS,
    "stop_token_ids": "give the texts to stop at as stop",
    "echo": "put the prompt before the answer yourself",
    "suffix": "policies write only at the end of a prompt",
    "prompt_logprobs": "only the answer has log-probabilities",
    "use_beam_search": "answers are sampled",
    "truncate_prompt_tokens": _PROMPT,
    "prompt_embeds": _PROMPT,
    "chat_template": "the base model's own is used",
    "continue_final_message": "use /v1/completions to go on from a text",
    "audio": "answers are text",
    "modalities": "answers are text",
    "documents": "give them as passages",
}
"""Fields that would change the answer, and why a value in them is refused."""
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
}
"""Values of these fields, besides _NOTHING, that ask for what is served anyway."""


class StreamOptions(BaseModel):
    """How to stream."""

    model_config = ConfigDict(extra="ignore", strict=True)

    include_usage: bool | None = None


class SamplingRequest(BaseModel):
    """What all endpoints that answer take."""

    model_config = ConfigDict(extra="ignore", strict=True, use_attribute_docstrings=True)

    model: str = Field(DEFAULT_PROFILE, max_length=NAME)
    """A profile, `profile@version`, or `weights:0.3,0.5,0.2`; GET /v1/models lists the profiles."""
    passages: Passages | None = None
    """Passages to answer the question from; the answer is then scored by all categories. Not OpenAI's."""
    best_of: int | None = Field(None, ge=1)
    """Answers to sample, of which the `n` best by the reward models are returned, best first. The weights
    must count a category that can judge the answer: those of question answering need `passages`."""
    temperature: float | None = Field(None, ge=0, le=2)
    """The profile's without it, like `top_p` and the number of tokens."""
    top_p: float | None = Field(None, gt=0, le=1)
    seed: Seed | None = None
    stop: Stops = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    """vLLM's, like the seven after it."""
    top_k: int | None = Field(None, ge=-1, lt=1 << 31)
    min_p: float | None = Field(None, ge=0, le=1)
    min_tokens: int | None = Field(None, ge=0)
    ignore_eos: bool | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None
    structured_outputs: StructuredOutputs | None = None
    """The form that the answer must have."""
    stream: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _served(cls, body: Any) -> Any:
        if isinstance(body, dict):
            for name, reason in UNSERVED.items():
                value = body.get(name)
                if value not in _NOTHING and value not in _HARMLESS.get(name, ()):
                    raise InvalidField(name, f"{name} is not served ({reason}); leave it out.")
        return body

    @model_validator(mode="after")
    def _sensible(self) -> "SamplingRequest":
        if self.best_of is not None and self.best_of < self.answers:
            message = f"best_of is {self.best_of}, fewer than n, {self.answers}; sample at least as many."
            raise InvalidField("best_of", message)
        return self

    @property
    def answers(self) -> int:
        """How many to return for a prompt."""
        return 1

    @property
    def structure(self) -> Structure | None:
        """The form that the answer must have; None for any text. Raises InvalidRequest for two."""
        return structure_of(None, self.structured_outputs)

    def sampling(self, max_tokens: int | None, logprobs: int | None) -> Sampling:
        """In the service's own terms."""
        names = (
            "presence_penalty", "frequency_penalty", "repetition_penalty", "top_k", "min_p", "min_tokens",
            "ignore_eos", "include_stop_str_in_output", "skip_special_tokens",
        )  # fmt: skip
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=max_tokens,
            seed=self.seed,
            stop=listed_stops(self.stop),
            n=self.answers,
            best_of=None if self.best_of in (None, self.answers) else self.best_of,
            logprobs=logprobs,
            structure=self.structure,
            extra={name: value for name in names if (value := getattr(self, name)) is not None},
        )


class CompletionsRequest(SamplingRequest):
    """What both kinds of completions take."""

    n: int | None = Field(None, ge=1)
    """Answers to return; 1 without it. With `best_of`, the best ones."""
    max_tokens: int | None = Field(None, ge=1)
    response_format: ResponseFormat | None = None
    """The form that the answer must have, as OpenAI describes it."""
    stream_options: StreamOptions | None = None

    @property
    def answers(self) -> int:
        """How many to return for a prompt."""
        return self.n or 1

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def structure(self) -> Structure | None:
        """The form that the answer must have; None for any text. Raises InvalidRequest for two."""
        by_format = self.response_format.as_structure() if self.response_format else None
        return structure_of(by_format, self.structured_outputs)


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


class PromptTokens(OpenAIWire):
    """What the tokens of the prompts cost."""

    cached_tokens: int
    """Those that the engine had read before and found in its prefix cache."""


class TotalUsage(OpenAIWire):
    """Tokens of all prompts and all answers."""

    prompt_tokens: int
    completion_tokens: int
    """Of everything that was sampled, also what was not chosen."""
    total_tokens: int
    prompt_tokens_details: PromptTokens
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
