"""The bytes of tokens, by tokenizers of each kind."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from policies.base import resolve_base
from service.engine.token_bytes import TokenBytes


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(resolve_base().path)


def joined(tokenizer, text):
    """The bytes of the tokens of a text, each decoded alone."""
    known = TokenBytes(tokenizer)
    parts = []
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        decoded = tokenizer.decode([token])
        content = known.of(token, decoded)
        parts.append(decoded.encode() if content is None else content)
    return b"".join(parts)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20))
def test_the_bytes_of_a_texts_tokens_are_the_texts_bytes(tokenizer, text):
    if tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text:
        assert joined(tokenizer, text) == text.encode()


def test_parts_of_an_emoji_have_its_bytes(tokenizer):
    assert joined(tokenizer, "a \U0001f9ea\U0001f600") == "a \U0001f9ea\U0001f600".encode()


def test_a_token_that_is_its_text_has_no_bytes_of_its_own(tokenizer):
    known = TokenBytes(tokenizer)
    (token,) = tokenizer(" mill", add_special_tokens=False)["input_ids"]
    assert known.of(token, " mill") is None
    assert known.of(tokenizer.eos_token_id, "<|im_end|>") is None


def test_single_bytes_of_a_vocabulary_with_byte_fallback():
    vocabulary = {"<unk>": 0, "▁a": 1} | {f"<0x{byte:02X}>": 2 + byte for byte in range(256)}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    known = TokenBytes(PreTrainedTokenizerFast(tokenizer_object=backend))
    assert [known.of(2 + byte, "\ufffd") for byte in "\U0001f600".encode()] == [b"\xf0", b"\x9f", b"\x98", b"\x80"]
    assert known.of(1, " a") is None


def test_a_tokenizer_that_does_not_say_leaves_the_text():
    class Plain:
        def convert_ids_to_tokens(self, token):
            return "x"

    assert TokenBytes(Plain()).of(3, "y") is None
