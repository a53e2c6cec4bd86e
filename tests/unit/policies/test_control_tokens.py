from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, ByT5Tokenizer, PreTrainedTokenizerFast

from policies.base import resolve_base
from policies.control_tokens import ControlTokens, decode, special_ids
from policies.prompt import PromptFormatter
from rewards.dataset import Passage
from rewards.features.encoder import model_directory

TEMPLATE = (
    "{% for message in messages %}{{ '<s>' + message['role'] + ': ' + message['content'] | trim + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
CHARACTERS = [chr(c) for c in range(33, 127)]
ANY = st.characters(exclude_categories=["Cs"])


def default():
    return AutoTokenizer.from_pretrained(resolve_base().path)


def with_added_tokens():
    """The default one with tokens that are not special: control tokens, and parts of ordinary text."""
    tokenizer = default()
    for text in ("<tool_call>", "[think]", "    ", "immunoglobulin", "€"):
        tokenizer.add_tokens(AddedToken(text, special=False, normalized=False))
    return tokenizer


def like_llama():
    """Puts a space before every text, and has bytes for unknown characters."""
    vocabulary = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *CHARACTERS, "/s", "/s>"]
    numbers = {token: number for number, token in enumerate(vocabulary)}
    merges = [("/", "s"), ("/s", ">")]
    backend = Tokenizer(models.BPE(numbers, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return fast(backend)


def like_t5():
    """Finds the longest entries of its vocabulary, which has the control tokens, and knows few characters."""
    scores = {"<unk>": 0.0, "<s>": 0.0, "</s>": 0.0, "▁": -3.0} | dict.fromkeys(CHARACTERS, -5.0)
    backend = Tokenizer(models.Unigram(list(scores.items()), unk_id=0))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    return fast(backend)


def that_normalises():
    """Reads full-width brackets as plain ones, in control tokens, too."""
    backend = like_llama().backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), backend.normalizer])
    tokenizer = fast(backend)
    tokenizer.chat_template = TEMPLATE.replace(" | trim", "")
    tokenizer.add_tokens(AddedToken("<call>", special=False, normalized=True))
    return tokenizer


def like_bert():
    tokenizer = AutoTokenizer.from_pretrained(model_directory())
    tokenizer.chat_template = TEMPLATE.replace("<s>", "[CLS]").replace("</s>", "[SEP]")
    return tokenizer


def in_python():
    tokenizer = ByT5Tokenizer()
    tokenizer.chat_template = TEMPLATE.replace("<s>", "<pad>")
    return tokenizer


def fast(backend):
    roles = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=TEMPLATE, **roles)


MAKERS = {
    maker.__name__: cache(maker)
    for maker in (default, with_added_tokens, like_llama, like_t5, that_normalises, like_bert, in_python)
}
every_tokenizer = pytest.mark.parametrize("name", MAKERS)


def controls(tokenizer, ids):
    """The control tokens among some ids, without one that is only for unknown characters."""
    unknown = {tokenizer.unk_token_id} - {tokenizer.eos_token_id}
    return [token for token in ControlTokens(tokenizer).among(ids) if token not in unknown]


def texts(tokenizer, characters=ANY):
    """Texts with control tokens and parts of them."""
    added = [text for text in tokenizer.get_added_vocab() if text.startswith(("<", "["))]
    parts = st.sampled_from([*added, "</s>", "＜call＞", "<", ">", "|", "</", "s>", " ", "\n"])
    return st.lists(parts | st.text(characters, max_size=4), max_size=6).map("".join)


@given(data=st.data())
@every_tokenizer
def test_no_control_token_comes_from_a_question_a_passage_or_a_message(name, data):
    tokenizer = MAKERS[name]()
    question, title, text = (data.draw(texts(tokenizer)) for _ in range(3))
    formatter = PromptFormatter(tokenizer, 2000)
    asked = formatter.format(f"Q{question}", [Passage(title=title, text=text)])
    assert controls(tokenizer, asked.token_ids) == controls(tokenizer, formatter.format("Q", []).token_ids)
    assert asked.passages == ((Passage(title=title, text=text),) if text else ())
    turns = {"system": text, "user": question, "assistant": title}
    spoken = formatter.chat([{"role": role, "content": content} for role, content in turns.items()])
    plain = formatter.chat([{"role": role, "content": "x"} for role in turns])
    assert controls(tokenizer, spoken.token_ids) == controls(tokenizer, plain.token_ids)


@given(data=st.data())
@every_tokenizer
def test_text_without_control_tokens_has_the_same_tokens_as_ever(name, data):
    tokenizer = MAKERS[name]()
    question, text = data.draw(st.text(max_size=20)), data.draw(st.text(max_size=60))
    for prompt in (
        PromptFormatter(tokenizer, 2000).format(f"Q{question}", [Passage(title="T", text=text)]),
        PromptFormatter(tokenizer, 2000).chat([{"role": "user", "content": text}]),
    ):
        assert list(prompt.token_ids) == tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
    assert ControlTokens(tokenizer).encode_as_text(text) == tokenizer(text, add_special_tokens=False)["input_ids"]


@given(data=st.data())
@pytest.mark.parametrize("name", ["default", "with_added_tokens", "like_llama"])
def test_what_spells_a_control_token_is_read_as_written(name, data):
    tokenizer = MAKERS[name]()
    text = data.draw(texts(tokenizer, st.characters(min_codepoint=32, max_codepoint=126)))
    ids = ControlTokens(tokenizer).encode_as_text(text)
    assert not controls(tokenizer, ids)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_added_tokens_that_are_ordinary_text_stay_what_they_are():
    tokenizer = with_added_tokens()
    text = "    immunoglobulin € <tool_call>"
    ids = ControlTokens(tokenizer).encode_as_text(text)
    kept = {tokenizer.convert_tokens_to_ids(token) for token in ("    ", "immunoglobulin", "€")}
    assert kept <= set(ids)
    assert tokenizer.convert_tokens_to_ids("<tool_call>") not in ids
    assert tokenizer.decode(ids) == text


@every_tokenizer
def test_decoding_leaves_out_what_the_tokenizer_itself_leaves_out(name):
    tokenizer = MAKERS[name]()
    added = tokenizer.added_tokens_decoder
    assert {token for token in added if tokenizer.decode([token], skip_special_tokens=True) == ""} == special_ids(
        tokenizer
    ) & set(added)
    if name == "default":
        assert special_ids(tokenizer) == set(range(17))


@given(st.lists(st.integers(0, 49_151), max_size=30))
def test_a_text_is_decoded_as_the_tokenizer_decodes_it(ids):
    tokenizer = MAKERS["default"]()
    text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert decode(tokenizer, ids) == text


def test_thousands_of_control_tokens_are_text():
    tokenizer = MAKERS["default"]()
    ids = ControlTokens(tokenizer).encode_as_text("<|im_end|>" * 3000)
    assert not controls(tokenizer, ids)
    assert tokenizer.decode(ids) == "<|im_end|>" * 3000
