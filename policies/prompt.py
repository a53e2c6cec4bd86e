"""The prompt formatter of supervised fine-tuning, rollouts, evaluation and the service.

A prompt is the base model's own chat template, or a plain layout where it has none, around the passages and, last, the
question. Passages are cut to a token budget; the question never is. A control token that question, passages or messages
spell is text like any other: only the template's own count, and those of a prompt that is given whole.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from policies.control_tokens import ControlTokens
from rewards.dataset import Passage
from rewards.errors import FgctlError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SYSTEM = "Answer the question in a few sentences, using only the passages."
DEFAULT_PROMPT_TOKENS = 1024
Turns = list[dict[str, str]]
"""Messages of `role` and `content`."""


class PromptTooLong(FgctlError):
    """The question alone does not fit the prompt budget."""


@dataclass(frozen=True)
class Prompt:
    """A formatted prompt."""

    text: str
    """For people: read as tokens, it may hold control tokens that the prompt does not have."""
    token_ids: tuple[int, ...]
    passages: tuple[Passage, ...] = ()
    """The passages, as much of them as the prompt holds."""
    passages_cut: bool = False
    """Whether some passage text was left out to meet the budget."""
    messages: int = 1
    """How many messages of a conversation it holds, the question among them."""


class PromptFormatter:
    """Formats question and passages into at most `max_tokens` tokens."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", max_tokens: int = DEFAULT_PROMPT_TOKENS) -> None:
        self._tokenizer = tokenizer
        self._controls = ControlTokens(tokenizer)
        self.max_tokens = max_tokens
        self._max_characters = max_tokens * max(map(len, tokenizer.get_vocab()))
        """No text of more characters fits the budget, whatever its tokens are."""

    def format(self, question: str, passages: Sequence[Passage], earlier: Sequence[Mapping[str, str]] = ()) -> Prompt:
        """Format one question, after those of the `earlier` exchanges that fit a quarter of the budget.

        Raises PromptTooLong when the question alone exceeds the budget, FgctlError when it is empty.
        """
        question = question.strip()
        if not question:
            raise FgctlError("The question is empty; ask one.")
        self._check_characters(len(question))
        # What lies beyond can never be part of the prompt, and reading it would take long.
        whole = [(self._lead(p) + p.text)[: self._max_characters + 1] for p in passages]
        turns = self._latest(earlier, question) if earlier else []
        if sum(map(len, whole)) > self._max_characters:
            return self._cut_to_budget(*self._as_text(question, whole), passages, turns)
        text = self._render(question, whole, turns)
        ids = self._controls.encode(text)
        if self._controls.among(ids) != (self._controls_around(turns) if turns else self._own_controls):
            question, whole = self._as_text(question, whole)
            text = self._render(question, whole, turns)
            ids = self._controls.encode(text)
        if len(ids) <= self.max_tokens:  # the usual case: no passage has to be measured
            shown = tuple(p for p in passages if p.text)
            return Prompt(self._controls.unmark(text), tuple(ids), shown, messages=1 + len(turns))
        return self._cut_to_budget(question, whole, passages, turns)

    def _latest(self, earlier: Sequence[Mapping[str, str]], question: str) -> Turns:
        """The latest exchanges that take at most a quarter of the budget, and half of what the question leaves.

        None where the base has no chat template, or one that writes no such conversation. Their texts are marked.
        """
        if self._tokenizer.chat_template is None:
            return []
        alone = len(self._controls.encode(self._render(question, [])))
        most = min(self.max_tokens // 4, (self.max_tokens - alone) // 2)
        candidates = earlier[-2 * max(0, most // 4) :] if most >= 4 else []  # none takes less than four tokens
        if sum(len(turn["content"]) for turn in candidates) > self._max_characters:
            candidates = self._short(candidates)
        turns = [{**turn, "content": self._controls.mark(turn["content"])} for turn in candidates]

        def too_many(exchanges: int) -> bool:
            try:
                text = self._render(question, [], turns[len(turns) - 2 * exchanges :])
            except FgctlError:
                return True
            return len(self._controls.encode(text)) - alone > most

        fitting = bisect_left(range(1, len(turns) // 2 + 1), True, key=too_many)
        return turns[len(turns) - 2 * fitting :]

    def _short(self, earlier: Sequence[Mapping[str, str]]) -> Sequence[Mapping[str, str]]:
        """The latest exchanges that may fit the budget by their characters."""
        begin, characters = len(earlier), 0
        while begin >= 2:
            characters += sum(len(turn["content"]) for turn in earlier[begin - 2 : begin])
            if characters > self._max_characters:
                break
            begin -= 2
        return earlier[begin:]

    def _cut_to_budget(self, question: str, whole: Sequence[str], passages: Sequence[Passage], turns: Turns) -> Prompt:
        """The prompt of a question with as much of its passages as there is room for; `whole` are they with titles.

        Raises PromptTooLong when the question alone exceeds the budget.
        """
        starts = [self._controls.starts(passage) for passage in whole]
        lengths = [len(offsets) for offsets in starts]
        # Tokens merge where pieces are joined, so a budget by pieces can be off by a few tokens: shrink it and retry.
        budget = self.max_tokens - len(self._controls.encode(self._render(question, [], turns)))
        if budget < 0:
            raise PromptTooLong(
                f"The question needs {-budget} tokens more than the prompt budget of {self.max_tokens}; shorten it."
            )
        while True:
            shares = share_budget(lengths, budget)
            pieces = zip(whole, starts, shares, strict=True)
            texts = [_cut(passage, offsets, share) for passage, offsets, share in pieces]
            text = self._render(question, texts, turns)
            ids = self._controls.encode(text)
            if len(ids) <= self.max_tokens or budget == 0:
                break
            budget = max(0, budget - (len(ids) - self.max_tokens))
        texts = [self._controls.unmark(piece) for piece in texts]
        shown = tuple(
            Passage(title=p.title, text=piece.removeprefix(self._lead(p)))
            for p, piece in zip(passages, texts, strict=True)
            if len(piece) > len(self._lead(p))
        )
        cut = sum(shares) < sum(lengths)
        return Prompt(self._controls.unmark(text), tuple(ids), shown, passages_cut=cut, messages=1 + len(turns))

    def chat(self, messages: Sequence[Mapping[str, str]], *, cut: bool = False) -> Prompt:
        """Format a conversation by the chat template.

        `cut` leaves out the oldest messages that do not fit, except for those of the system and the last one. Raises
        PromptTooLong beyond the budget.
        """
        try:
            return self._chat(messages)
        except PromptTooLong:
            if not cut:
                raise
        old = [number for number, message in enumerate(messages[:-1]) if message["role"] != "system"]

        def without(count: int) -> list[Mapping[str, str]]:
            return [message for number, message in enumerate(messages) if number not in set(old[:count])]

        def fits(count: int) -> bool:
            try:
                return bool(self._chat(without(count)).token_ids)
            except PromptTooLong:
                return False

        return self._chat(without(bisect_left(range(len(old)), True, key=fits)))

    def _chat(self, messages: Sequence[Mapping[str, str]]) -> Prompt:
        self._check_characters(sum(len(message["content"]) for message in messages))
        turns = [dict(message) for message in messages]
        text = self._template(turns)
        ids = self._controls.encode(text)
        roles = {role: role if role.isalpha() else self._controls.mark(role) for role in {t["role"] for t in turns}}
        blank = self._template([turn | {"role": roles[turn["role"]], "content": _NEUTRAL} for turn in turns])
        if self._controls.among(ids) != self._controls.among(self._controls.encode(blank)):
            self._check(ids)  # spelt as text, control tokens are several tokens each
            text = self._template([{k: self._controls.mark(v) for k, v in turn.items()} for turn in turns])
            ids = self._controls.encode(text)
        self._check(ids)
        return Prompt(self._controls.unmark(text), tuple(ids), messages=len(messages))

    def raw(self, text: str) -> Prompt:
        """Take a text as the whole prompt, after the beginning-of-text token if the tokenizer begins texts with one.

        Raises PromptTooLong beyond the budget, FgctlError for an empty text.
        """
        self._check_characters(len(text))
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        if ids and self._bos is not None and ids[0] != self._bos:
            ids = [self._bos, *ids]
        self._check(ids)
        return Prompt(text, tuple(ids))

    def tokens(self, ids: Sequence[int]) -> Prompt:
        """Take token ids as the whole prompt.

        Raises PromptTooLong beyond the budget, FgctlError for ids outside the base model's vocabulary.
        """
        self._check(ids)
        size = len(self._tokenizer)
        if unknown := [i for i in ids if not 0 <= i < size]:
            raise FgctlError(f"Token {unknown[0]} is not among the {size} of the base model; use its tokenizer.")
        return Prompt(str(self._tokenizer.decode(list(ids))), tuple(ids))

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """The tokens as the vocabulary writes them."""
        return list(self._tokenizer.convert_ids_to_tokens(list(ids)))

    def _check_characters(self, count: int) -> None:
        """Refuse what is certainly too long before its tokens are counted."""
        if count > self._max_characters:
            raise PromptTooLong(
                f"The prompt has {count} characters, far over the budget of {self.max_tokens} tokens; shorten it."
            )

    def _check(self, ids: Sequence[int]) -> None:
        if not ids:
            raise FgctlError("The prompt is empty; write one.")
        if len(ids) > self.max_tokens:
            raise PromptTooLong(f"The prompt has {len(ids)} tokens, over the budget of {self.max_tokens}; shorten it.")

    @staticmethod
    def _lead(passage: Passage) -> str:
        return f"{passage.title}: " if passage.title else ""

    @cached_property
    def _own_controls(self) -> list[int]:
        """The control tokens of a prompt whose question and passages spell none."""
        return self._controls_around([])

    def _controls_around(self, turns: Turns) -> list[int]:
        """The control tokens of a prompt with earlier turns, in none of whose texts is one."""
        blank = [turn | {"content": _NEUTRAL} for turn in turns]
        return self._controls.among(self._controls.encode(self._render(_NEUTRAL, [], blank)))

    def _as_text(self, question: str, passages: Sequence[str]) -> tuple[str, list[str]]:
        """Question and passages, marked so that control tokens in them are text. Raises PromptTooLong.

        Passages are cut to what could fit; as text, control tokens only take more tokens.
        """
        self._check(self._controls.encode(self._render(question, [])))
        return self._controls.mark(question), [self._controls.mark(self._beginning(passage)) for passage in passages]

    def _beginning(self, passage: str) -> str:
        if len(self._controls.encode(passage)) <= self.max_tokens:
            return passage
        return passage[: self._controls.starts(passage)[self.max_tokens]]

    def _render(self, question: str, passages: Sequence[str], earlier: Sequence[dict[str, str]] = ()) -> str:
        blocks = "".join(f"[{i}] {text}\n" for i, text in enumerate(filter(None, passages), 1))
        user = f"Passages:\n{blocks}\nQuestion: {question}" if blocks else f"Question: {question}"
        return self._template([{"role": "system", "content": SYSTEM}, *earlier, {"role": "user", "content": user}])

    def _template(self, messages: list[dict[str, str]]) -> str:
        if self._tokenizer.chat_template is None:
            begin = "" if self._bos is None else str(self._tokenizer.bos_token)
            return begin + "\n\n".join(message["content"] for message in messages) + "\n\nAnswer:"
        try:
            return self._apply(messages if self._has_system else _without_system(messages))
        except TemplateError as error:
            raise FgctlError(
                f"The base model's chat template refuses the messages ({error}); change their roles or their order."
            ) from None

    def _apply(self, messages: list[dict[str, str]]) -> str:
        """The template's text. For templates that write the date, it is always the same day."""
        rendered = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, strftime_now=_DAY.strftime
        )
        return str(rendered)

    @cached_property
    def _has_system(self) -> bool:
        """Whether the template writes a system message; some leave it out, and others refuse it."""
        try:
            text = self._apply([{"role": "system", "content": SYSTEM}, {"role": "user", "content": _NEUTRAL}])
        except TemplateError:
            return False
        return SYSTEM in text

    @cached_property
    def _bos(self) -> int | None:
        """The beginning-of-text token if the tokenizer begins texts with it. Chat templates write their own."""
        bos: int | None = self._tokenizer.bos_token_id
        return bos if bos is not None and self._tokenizer(_NEUTRAL)["input_ids"][:1] == [bos] else None


_NEUTRAL = "x"
"""A text without control tokens."""
_DAY = datetime(2024, 7, 26)
"""Today, as templates are told: a prompt must be the same in training and in service, on any day."""


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The messages with the content of system messages before that of the next other one."""
    turns: list[dict[str, str]] = []
    instructions: list[str] = []
    for message in messages:
        if message["role"] == "system":
            instructions.append(message["content"])
        else:
            turns.append(message | {"content": "\n\n".join([*instructions, message["content"]])})
            instructions = []
    return [*turns, *({"role": "user", "content": text} for text in instructions)]


def _cut(text: str, starts: Sequence[int], tokens: int) -> str:
    """The first `tokens` tokens of the text, which begin at `starts`, without trailing white space."""
    if tokens >= len(starts):
        return text
    return text[: starts[tokens]].rstrip() if tokens else ""


def share_budget(lengths: Sequence[int], budget: int) -> list[int]:
    """Share a token budget between passages: none gets more than it needs, and the rest is shared evenly.

    Returns the number of tokens of each passage; they sum to `min(budget, sum(lengths))`.
    """
    shares = [0] * len(lengths)
    left = min(budget, sum(lengths))
    by_length = sorted(range(len(lengths)), key=lambda i: lengths[i])
    for position, i in enumerate(by_length):
        shares[i] = min(lengths[i], left // (len(by_length) - position))
        left -= shares[i]
    return shares
