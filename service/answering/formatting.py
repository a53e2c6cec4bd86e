"""The prompt of a request. A long one is formatted in a thread, so that no other request waits for it."""

import asyncio
import copy
from concurrent.futures import ThreadPoolExecutor

from policies.prompt import Prompt, PromptFormatter
from rewards.errors import FgctlError
from service.domain.request import AnswerRequest, Content, Conversation, Question
from service.errors import InvalidRequest

LONG = 16_384
"""Characters, or token ids, of a request whose prompt is formatted in the thread: about ten milliseconds of work."""


class RequestFormatter:
    """Formats prompts: short ones at once, long ones one after another in a thread of their own."""

    def __init__(self, formatter: PromptFormatter) -> None:
        self.formatter = formatter
        # A copy, because a tokenizer must not be used by two threads at once.
        self._in_thread = copy.deepcopy(formatter)
        self._thread = ThreadPoolExecutor(1, "long-prompts")

    async def format(self, request: AnswerRequest) -> Prompt:
        """The prompt of a request. Raises InvalidRequest."""
        if _size(request.content) <= LONG:
            return _format(self.formatter, request)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, _format, self._in_thread, request)


def _format(formatter: PromptFormatter, request: AnswerRequest) -> Prompt:
    content = request.content
    try:
        if isinstance(content, Question):
            return formatter.format(content.text, content.passages)
        if isinstance(content, Conversation):
            return formatter.chat(content.messages)
        if isinstance(content, tuple):
            return formatter.tokens(content)
        return formatter.raw(content)
    except FgctlError as error:
        raise InvalidRequest(str(error), request.param) from None


def _size(content: Content) -> int:
    if isinstance(content, Question):
        return len(content.text) + sum(len(passage.title) + len(passage.text) for passage in content.passages)
    if isinstance(content, Conversation):
        return sum(len(message["content"]) for message in content.messages)
    return len(content)
