"""POST /v1/completions in the service's own terms."""

from collections.abc import Iterable

from rewards.categories import Category
from service.api.common.selection import from_model
from service.api.common.wire import as_passages
from service.api.openai.completions.protocol import CompletionRequest
from service.domain.caller import Caller
from service.domain.request import AnswerRequest, Content, Question
from service.errors import InvalidRequest


def to_requests(
    body: CompletionRequest, categories: Iterable[Category], max_prompts: int, caller: Caller
) -> list[AnswerRequest]:
    """A request for each prompt. Raises ServiceError."""
    selection, sampling = from_model(body.model, categories), body.as_sampling()
    contents = [_content(body, prompt) for prompt in body.prompts()]
    if not 0 < len(contents) <= max_prompts:
        raise InvalidRequest(f"There are {len(contents)} prompts; send 1 to {max_prompts} in one request.", "prompt")
    return [AnswerRequest(selection, content, sampling, "prompt", caller) for content in contents]


def _content(body: CompletionRequest, prompt: str | tuple[int, ...]) -> Content:
    if not body.passages:
        return prompt
    if isinstance(prompt, str):
        return Question(prompt, as_passages(body.passages))
    raise InvalidRequest("With passages, the prompt is the question; send it as text.", "prompt")
