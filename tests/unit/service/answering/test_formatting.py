"""Where prompts are formatted: short ones at once, long ones in a thread."""

import threading

import pytest

from policies.prompt import Prompt, PromptTooLong
from rewards.dataset import Passage
from service.answering.formatting import LONG, RequestFormatter
from service.domain.request import AnswerRequest, Conversation, Question
from service.domain.selection import Selection
from service.errors import InvalidRequest

pytestmark = pytest.mark.anyio


class Formatter:
    """Tells by which thread it was called."""

    def raw(self, text):
        return Prompt(threading.current_thread().name, (1,))

    def format(self, question, passages):
        return self.raw(question)

    def chat(self, messages):
        if messages[-1]["content"].endswith("?"):
            raise PromptTooLong("The prompt is too long; shorten it.")
        return self.raw(messages[-1]["content"])

    def tokens(self, ids):
        return self.raw("")


def contents(size):
    yield "a" * size
    yield (1,) * size
    yield Question("Where?", tuple(Passage(title="", text="a" * (size // 2)) for _ in range(3)))
    yield Conversation(({"role": "user", "content": "a" * size},))


async def test_long_prompts_are_formatted_in_a_thread_of_their_own():
    prompts = RequestFormatter(Formatter())
    for content in contents(LONG // 4):
        assert (await prompts.format(AnswerRequest(Selection(), content))).text == threading.current_thread().name
    for content in contents(LONG + 2):
        assert (await prompts.format(AnswerRequest(Selection(), content))).text.startswith("long-prompts")


async def test_what_is_wrong_with_a_long_prompt_is_said_of_its_parameter():
    prompts = RequestFormatter(Formatter())
    for size in (10, LONG):
        content = Conversation(({"role": "user", "content": "a" * size + "?"},))
        with pytest.raises(InvalidRequest, match="too long") as error:
            await prompts.format(AnswerRequest(Selection(), content, param="messages"))
        assert error.value.param == "messages"
