"""What OpenTelemetry records of a generation, from the request in the service's own terms."""

from typing import TYPE_CHECKING

from policies.prompt import Prompt
from service.domain.policy import ServedPolicy
from service.domain.request import AnswerRequest, Conversation, Question
from service.edge.request_context import current
from service.telemetry.conventions import CHAT, TEXT_COMPLETION
from service.telemetry.generations import Generation, GenerationRequest
from service.telemetry.span import NO_SPAN

if TYPE_CHECKING:
    from vllm import SamplingParams


def observed_generation(
    request: AnswerRequest,
    policy: ServedPolicy,
    prompt: Prompt,
    params: "SamplingParams",
    response_id: str,
    received: float,
) -> Generation:
    """The generation of a response, which has not begun, as part of the current HTTP request's trace.

    `received` is when the request came, by the monotonic clock.
    """
    context = current()
    described = GenerationRequest(
        operation=CHAT if isinstance(request.content, Question | Conversation) else TEXT_COMPLETION,
        response_id=response_id,
        model=request.selection.model or policy.profile,
        profile=policy.profile,
        version=policy.version,
        version_label=policy.version_label,
        choices=params.n,
        max_tokens=params.max_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        seed=params.seed,
        stop=request.sampling.stop,
        prompt_tokens=len(prompt.token_ids),
        prompt=prompt.text,
    )
    if context is None:
        return Generation(described, NO_SPAN, received=received)
    return Generation(described, context.span, context.caller_link, received)
