"""Control tokens: which ones a tokenizer has, text in which none of them counts, and what decoding leaves out.

Chat templates write control tokens such as `<|im_end|>` as text, so the text of a user that spells one would be read as
the real token. A mark inside every such spelling prevents that: the pieces around a mark are encoded separately.
"""

import secrets
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rewards.errors import FgctlError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BEFORE = "\n"
"""Stands for what precedes a piece, because some tokenizers put a space before the beginning of a text."""
Offsets = list[tuple[int, int]]


@lru_cache(maxsize=8)
def special_ids(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """The tokens that decoding leaves out: those with a role such as end of text, and all others marked as special."""
    marked = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    return frozenset(marked | set(tokenizer.all_special_ids))


def decode(tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int]) -> str:
    """The text of some tokens without special tokens."""
    special = special_ids(tokenizer)
    return str(tokenizer.decode([t for t in tokens if t not in special], clean_up_tokenization_spaces=False))


class ControlTokens:
    """Encodes text that may hold marks, and puts them where text must not be read as a control token."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        self._mark = secrets.token_hex(16)  # nobody can guess it, and every template leaves letters and digits alone

    def among(self, tokens: Sequence[int]) -> list[int]:
        """The control tokens among some tokens, in order."""
        return [token for token in tokens if token in self._spellings]

    def mark(self, text: str) -> str:
        """The text with a mark inside everything in it that spells a control token or would be read as one."""
        pieces = _cut_at(text, [at + 1 for spelling in set(self._spellings.values()) for at in _places(spelling, text)])
        while True:
            cut: list[str] = []
            for piece, (ids, offsets) in zip(pieces, self._encode_pieces(pieces), strict=True):
                cut += _cut_at(piece, self._inside(piece, ids, offsets))
            if len(cut) == len(pieces):
                return self._mark.join(pieces)
            pieces = cut

    def unmark(self, text: str) -> str:
        """The text without marks."""
        return text.replace(self._mark, "")

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; without marks, the same as the tokenizer's."""
        if self._mark not in text:
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return [token for ids, _ in self._encode_pieces(text.split(self._mark)) for token in ids]

    def starts(self, text: str) -> list[int]:
        """The offset in a text, marks included, at which each of its tokens begins.

        Raises FgctlError for a tokenizer that knows no offsets.
        """
        if not self._tokenizer.is_fast:
            raise FgctlError("The base model's tokenizer gives no offsets to cut passages at; use a fast tokenizer.")
        pieces, starts, at = text.split(self._mark), [], 0
        for piece, (_, offsets) in zip(pieces, self._encode_pieces(pieces), strict=True):
            starts += [at + start for start, _ in offsets]
            at += len(piece) + len(self._mark)
        return starts

    def encode_as_text(self, text: str) -> list[int]:
        """The tokens of a text, none of which is a control token."""
        return self.encode(self.mark(text))

    @cached_property
    def _spellings(self) -> dict[int, str]:
        """Every control token and its text: special ones, and added ones in brackets, such as `<tool_call>`.

        Other added tokens are ordinary text, such as several spaces or the words of a field, and so is any single
        character.
        """
        added = {
            token: added.content
            for token, added in self._tokenizer.added_tokens_decoder.items()
            if added.special or _in_brackets(added.content.strip("▁ "))
        }
        roles = zip(self._tokenizer.all_special_ids, self._tokenizer.all_special_tokens, strict=True)
        return {token: text for token, text in (added | dict(roles)).items() if len(text.strip()) > 1}

    @cached_property
    def _before(self) -> list[int]:
        return list(self._tokenizer(_BEFORE, add_special_tokens=False)["input_ids"])

    def _inside(self, piece: str, ids: Sequence[int], offsets: Offsets) -> list[int]:
        """An offset inside everything in the piece that is read as a control token, such as `＜s＞` by some."""
        inside = []
        for token, (start, end) in zip(ids, offsets, strict=False):
            if token in self._spellings and token != self._tokenizer.unk_token_id:  # which any unknown character is
                spelt = piece[start:end]
                inside.append(start + len(spelt) - len(spelt.lstrip()) + 1)
        return inside

    def _encode_pieces(self, pieces: Sequence[str]) -> list[tuple[list[int], Offsets]]:
        """Token ids and offsets of each piece of a text."""
        before, encoded = self._before, []
        whole = self._encode_all([pieces[0], *(_BEFORE + piece for piece in pieces[1:])])
        for number, (piece, (ids, offsets)) in enumerate(zip(pieces, whole, strict=True)):
            if number and ids[: len(before)] == before:
                shifted = [(max(0, start - 1), end - 1) for start, end in offsets[len(before) :]]
                encoded.append((ids[len(before) :], shifted))
            else:
                encoded.append(self._encode_all([piece])[0] if number else (ids, offsets))
        return encoded

    def _encode_all(self, texts: list[str]) -> list[tuple[list[int], Offsets]]:
        """Token ids and offsets of each text; no offsets from tokenizers in Python, which read only exact spellings."""
        if not self._tokenizer.is_fast:
            return [(ids, []) for ids in self._tokenizer(texts, add_special_tokens=False)["input_ids"]]
        encoding: Any = self._tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        return list(zip(encoding["input_ids"], encoding["offset_mapping"], strict=True))


def _places(part: str, text: str) -> Iterator[int]:
    """Every offset at which a part begins in a text."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _in_brackets(text: str) -> bool:
    return (text[:1], text[-1:]) in {("<", ">"), ("[", "]")}


def _cut_at(text: str, places: Sequence[int]) -> list[str]:
    """The parts between some places in a text, in order; a place at an end cuts nothing."""
    edges = [0, *(place for place in sorted(set(places)) if 0 < place < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]
