"""The turns of a conversation: as the template reads them, those before a question, and those kept for later."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from service.api.common.limits import KEPT_MESSAGES
from service.domain.request import Turn

_CHARACTERS = 8
"""Of kept messages, for each token of a prompt: more than there is room for."""


class _Part(Protocol):
    @property
    def text(self) -> str: ...


def turn_of(role: str, content: str | Sequence[_Part] | None) -> Turn:
    """A message for the chat template, which knows a developer as the system.

    Parts are lines of their own, as vLLM joins them; no content is the empty text.
    """
    text = content or "" if isinstance(content, str | None) else "\n".join(part.text for part in content)
    return {"role": "system" if role == "developer" else role, "content": text}


def earlier_exchanges(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The latest exchanges, each a turn of the user and the assistant's answer to it, oldest first.

    They end before the first turn, from the last backwards, that is out of order. Messages of the system are none of
    them: with passages, policies follow the instructions that they were trained with.
    """
    talk = [turn for turn in turns if turn["role"] != "system"]
    begin = len(talk)
    while begin >= 2 and (talk[begin - 2]["role"], talk[begin - 1]["role"]) == ("user", "assistant"):
        begin -= 2
    return tuple(talk[begin:])


def kept_turns(turns: Sequence[Turn], prompt_tokens: int) -> tuple[Turn, ...]:
    """The latest messages of a conversation, as many as a prompt of so many tokens could hold, and at least the last.

    Others would only take memory: no later request could read them.
    """
    latest = turns[-KEPT_MESSAGES:]
    characters = accumulate(len(turn["content"]) for turn in reversed(latest))
    fitting = sum(count <= _CHARACTERS * prompt_tokens for count in characters)
    return tuple(latest[len(latest) - max(1, fitting) :])
