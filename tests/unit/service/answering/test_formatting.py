"""Long texts are formatted beside the event loop."""

import asyncio
import threading

import pytest
from transformers import AutoTokenizer

from policies.base import resolve_base
from policies.prompt import PromptFormatter
from rewards.dataset import Passage
from service.answering.formatting import LONG, Formatting
from service.domain.request import AnswerRequest, Conversation, Question
from service.domain.selection import Selection
from service.errors import InvalidRequest

pytestmark = pytest.mark.anyio
SENTENCE = "The mill was moved to Thole in 1821, on rollers pulled by oxen. "


@pytest.fixture(scope="module")
def formatter():
    return PromptFormatter(AutoTokenizer.from_pretrained(resolve_base().path))


@pytest.fixture
def anyio_backend():
    return "asyncio"


def asked(content):
    return AnswerRequest(Selection(), content)


LONG_CONTENTS = [
    Question("When?", (Passage(title="Mill", text=SENTENCE * 2000), Passage(title="", text=SENTENCE * 300))),
    Question("When? " * 400),
    "Once. " * 1400,
]


@pytest.mark.parametrize("content", [Question("When?", (Passage(title="Mill", text=SENTENCE),)), "Once.", (5, 6)])
async def test_what_is_short_is_formatted_at_once(formatter, content, monkeypatch):
    formatting = Formatting(formatter)
    monkeypatch.setattr(formatting, "_thread", None)
    assert (await formatting.format(asked(content))).token_ids


async def test_what_is_long_is_formatted_as_by_the_formatter_itself(formatter):
    content = LONG_CONTENTS[0]
    prompt = await Formatting(formatter).format(asked(content))
    assert prompt == formatter.format(content.text, content.passages)
    assert prompt.passages_cut


@pytest.mark.parametrize(
    "content", ["word " * LONG, Question("word " * LONG), Conversation(({"role": "user", "content": "word " * LONG},))]
)
async def test_a_long_text_over_the_budget_is_refused_as_a_short_one_is(formatter, content):
    with pytest.raises(InvalidRequest, match="shorten it"):
        await Formatting(formatter).format(asked(content))


async def test_while_a_long_text_is_formatted_the_event_loop_goes_on():
    loop_went_on = threading.Event()

    class Waiting:
        def format(self, *_):
            assert loop_went_on.wait(30)
            return "prompt"

    formatted = asyncio.create_task(Formatting(Waiting()).format(asked(LONG_CONTENTS[0])))
    await asyncio.sleep(0)
    loop_went_on.set()
    assert await formatted == "prompt"
