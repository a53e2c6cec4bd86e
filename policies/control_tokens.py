"""Which tokens of a tokenizer are special, and the text of tokens without them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@lru_cache(maxsize=8)
def special_ids(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """The tokens that decoding leaves out: those with a role such as end of text, and all others marked as special."""
    marked = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    return frozenset(marked | set(tokenizer.all_special_ids))


def decode(tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int]) -> str:
    """The text of some tokens without special tokens."""
    special = special_ids(tokenizer)
    return str(tokenizer.decode([t for t in tokens if t not in special], clean_up_tokenization_spaces=False))
