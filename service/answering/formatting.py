"""A request's prompt. Long texts are made into tokens by a thread, so that no other request waits for that."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

from policies.prompt import Prompt, PromptFormatter
from rewards.errors import FgctlError
from service.domain.request import AnswerRequest, Content, Conversation, Question
from service.errors import InvalidRequest

LONG = 8192
"""Characters, or token ids, beyond which a thread formats: some 10 ms of work, more than any prompt that is not cut."""

_TURN = 16
"""Characters that a message counts for besides its own."""


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

    async def format_all(self, requests: Sequence[AnswerRequest]) -> list[Prompt]:
        """The prompt of each request, with a turn for other work after each. Raises like `format`."""
        prompts = []
        for request in requests:
            prompts.append(await self.format(request))
            await asyncio.sleep(0)
        return prompts

    def token_texts(self, prompt: Prompt) -> list[str]:
        """A prompt's tokens as the vocabulary writes them."""
        return self._formatter.token_texts(prompt.token_ids)


def _length(content: Content) -> int:
    if isinstance(content, Question):
        passages = sum(len(passage.title) + len(passage.text) for passage in content.passages)
        return len(content.text) + passages + sum(_TURN + len(turn["content"]) for turn in content.earlier)
    if isinstance(content, Conversation):
        return sum(_TURN + len(message["content"]) for message in content.messages)
    return len(content)


def _formatted(formatter: PromptFormatter, content: Content) -> Prompt:
    if isinstance(content, Question):
        return formatter.format(content.text, content.passages, content.earlier)
    if isinstance(content, Conversation):
        return formatter.chat(content.messages, cut=content.cut)
    if isinstance(content, tuple):
        return formatter.tokens(content)
    return formatter.raw(content)
