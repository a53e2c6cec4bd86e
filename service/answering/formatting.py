"""A request's prompt. Long texts are made into tokens by a thread, so that no other request waits for that."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

from policies.prompt import Prompt, PromptFormatter
from rewards.errors import FgctlError
from service.domain.request import AnswerRequest, Content, Conversation, Question
from service.errors import InvalidRequest

LONG = 8192
"""Characters, or token ids, beyond which a thread formats: some 10 ms of work, more than any prompt that is not cut."""


class Formatting:
    """Formats the prompts of requests."""

    def __init__(self, formatter: PromptFormatter) -> None:
        self._formatter = formatter
        self._for_thread = deepcopy(formatter)  # two threads must not use one tokenizer at once
        self._thread = ThreadPoolExecutor(1, "formatting")

    async def format(self, request: AnswerRequest) -> Prompt:
        """The prompt of a request. Raises InvalidRequest for an empty one and one over the budget."""
        content = request.content
        try:
            if _length(content) <= LONG:
                return _formatted(self._formatter, content)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, _formatted, self._for_thread, content)
        except FgctlError as error:
            raise InvalidRequest(str(error), request.param) from None


def _length(content: Content) -> int:
    if isinstance(content, Question):
        return len(content.text) + sum(len(passage.title) + len(passage.text) for passage in content.passages)
    if isinstance(content, Conversation):
        return sum(len(message["content"]) for message in content.messages)
    return len(content)


def _formatted(formatter: PromptFormatter, content: Content) -> Prompt:
    if isinstance(content, Question):
        return formatter.format(content.text, content.passages)
    if isinstance(content, Conversation):
        return formatter.chat(content.messages)
    if isinstance(content, tuple):
        return formatter.tokens(content)
    return formatter.raw(content)
