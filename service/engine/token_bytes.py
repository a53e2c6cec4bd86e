"""The bytes that a token stands for: a character may be several tokens, none of which is text by itself."""

import json
import re
from functools import cache
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class TokenBytes:
    """Reads a tokenizer's vocabulary: tokens in GPT-2's alphabet of bytes, and single bytes such as `<0xF0>`."""

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer` is one of transformers."""
        self._tokenizer = tokenizer
        self._whole = frozenset(getattr(tokenizer, "get_added_vocab", dict)().values())
        """Tokens that are spelled as they read."""
        kinds = _decoders(tokenizer)
        self._byte_level, self._byte_fallback = "ByteLevel" in kinds, "ByteFallback" in kinds
        self._known: dict[int, bytes | None] = {}

    def of(self, token: int, text: str) -> bytes | None:
        """A token's bytes; None where they are those of `text`, which it was decoded to."""
        if token not in self._known:
            self._known[token] = self._read(token)
        content = self._known[token]
        return None if content == text.encode("utf-8", "replace") else content

    def _read(self, token: int) -> bytes | None:
        """A token's bytes by the vocabulary; None where it does not say."""
        if token in self._whole:
            return None
        spelled = self._tokenizer.convert_ids_to_tokens(token)
        if not isinstance(spelled, str):
            return None
        if self._byte_level:
            alphabet = _alphabet()
            return bytes(alphabet[c] for c in spelled) if all(c in alphabet for c in spelled) else None
        if self._byte_fallback and (match := _BYTE.fullmatch(spelled)):
            return bytes([int(match[1], 16)])
        return None


@cache
def _alphabet() -> dict[str, int]:
    """The byte of each character in GPT-2's alphabet: printable bytes are themselves, and the others come after 255."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def _decoders(tokenizer: Any) -> set[str]:
    """The kinds of decoders of a fast tokenizer; none for others."""
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    if decoder is None:
        return set()
    state = json.loads(decoder.__getstate__())
    return {part["type"] for part in [state, *state.get("decoders", ())]}
