"""What is recorded of a generation: its span, and what the metrics observe of it."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.domain.judged import TraceLink
from service.telemetry import conventions as names
from service.telemetry.measures import MeasuredGeneration
from service.telemetry.span import NO_SPAN, AttributeValue, Span


@dataclass(frozen=True)
class GenerationRequest:
    """What is known of a generation before it begins."""

    operation: str
    """CHAT or TEXT_COMPLETION."""
    response_id: str
    model: str
    """As it was asked for: a profile, a version of one, or weights."""
    profile: str
    version: str
    version_label: str
    """The version as the value of a metric's label."""
    choices: int
    """Completions that are sampled."""
    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    prompt_tokens: int
    prompt: str
    """Recorded only if content is."""

    def attributes(self) -> dict[str, AttributeValue | None]:
        """Of the span, from its beginning."""
        return {
            "fgctl.profile": self.profile,
            "fgctl.policy": self.version,
            names.OPERATION_NAME: self.operation,
            names.PROVIDER_NAME: names.PROVIDER,
            names.OUTPUT_TYPE: "text",
            names.REQUEST_MODEL: self.model,
            names.REQUEST_CHOICE_COUNT: self.choices if self.choices > 1 else None,
            names.REQUEST_MAX_TOKENS: self.max_tokens,
            names.REQUEST_TEMPERATURE: self.temperature,
            names.REQUEST_TOP_P: self.top_p,
            names.REQUEST_SEED: self.seed,
            names.REQUEST_STOP_SEQUENCES: self.stop or None,
            names.RESPONSE_ID: self.response_id,
            names.RESPONSE_MODEL: f"{self.profile}@{self.version}",
        }


@dataclass
class Generation:
    """One generation while it runs: `begin`, `first_token`, `end`."""

    request: GenerationRequest
    parent: Span = NO_SPAN
    """The span of the HTTP request."""
    caller_link: TraceLink | None = None
    """The trace that the caller's headers name."""
    received: float = field(default_factory=time.monotonic)
    """When the request came, by the monotonic clock."""
    span: Span = NO_SPAN
    began: float = 0.0
    first: float | None = None

    @property
    def link(self) -> TraceLink | None:
        """Where the generation is in a trace: its span, or without traces the caller's."""
        return self.span.link or self.caller_link

    def begin(self) -> None:
        """It has its turn."""
        self.began = time.monotonic()
        self.span = self.parent.child(f"{self.request.operation} {self.request.model}")
        self.span.set(self.request.attributes())

    def first_token(self) -> float:
        """The first token has come. Returns the seconds since the request came."""
        self.first = time.monotonic()
        return self.first - self.received

    def end(self, outcome: str, texts: Sequence[str], reasons: Sequence[str], tokens: int) -> None:
        """It has ended, by `outcome` as in `fg_requests_total`; `texts` and `reasons` are those of its completions."""
        failed = outcome != "ok"
        prompt_tokens = self.request.prompt_tokens
        self.span.set(
            {
                names.INPUT_TOKENS: prompt_tokens,
                names.OUTPUT_TOKENS: tokens,
                names.RESPONSE_FINISH_REASONS: None if failed else tuple(reasons),
                names.ERROR_TYPE: outcome if failed else None,
            }
        )
        self.span.set_content(
            {
                names.INPUT_MESSAGES: _messages("user", [self.request.prompt]),
                names.OUTPUT_MESSAGES: _messages("assistant", texts, reasons),
            }
        )
        self.span.generated(self._measured(outcome, tokens))
        self.span.end(failed=failed)

    def _measured(self, outcome: str, tokens: int) -> MeasuredGeneration:
        now = time.monotonic()
        after_first = tokens / self.request.choices - 1
        return MeasuredGeneration(
            {
                names.OPERATION_NAME: self.request.operation,
                names.PROVIDER_NAME: names.PROVIDER,
                names.REQUEST_MODEL: self.request.profile,
                names.RESPONSE_MODEL: f"{self.request.profile}@{self.request.version_label}",
            },
            None if outcome == "ok" else outcome,
            operation_seconds=now - self.began,
            request_seconds=now - self.received,
            first_token_seconds=None if self.first is None else self.first - self.received,
            output_token_seconds=None if self.first is None or after_first <= 0 else (now - self.first) / after_first,
            tokens={"input": self.request.prompt_tokens, "output": tokens},
        )


def _messages(role: str, texts: Sequence[str], reasons: Sequence[str] = ()) -> str:
    """Messages as the conventions write them into an attribute: a JSON list."""
    messages: list[dict[str, object]] = [{"role": role, "parts": [{"type": "text", "content": text}]} for text in texts]
    for message, reason in zip(messages, reasons, strict=False):
        message["finish_reason"] = reason
    return json.dumps(messages, ensure_ascii=False)
