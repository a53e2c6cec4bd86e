import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from rewards.errors import FgctlError
from rewards.features.encoder import model_directory
from rewards.features.reader import ADAPTER, FITTED_READER, Reader, WindowBuilder, load_word_head, reader_version
from rewards.segmentation import sentences, sub_sentences

TOKENIZER = AutoTokenizer.from_pretrained(model_directory())
QUESTION = "How tall is the Aldermouth Lighthouse?"
ANSWER = "The Aldermouth Lighthouse is 31 metres tall. Its oil lamp was replaced by an electric one in 1926."


@pytest.fixture(scope="module")
def reader():
    return Reader()


def words_of(window, k):
    a, b = window.ranges[k]
    return TOKENIZER.decode(window.ids[a:b])


def test_a_window_has_question_and_response_and_the_range_of_each_segment():
    ((window, held),) = WindowBuilder(TOKENIZER).build(QUESTION, ANSWER, sentences(ANSWER))
    assert held == [0, 1]
    assert TOKENIZER.decode(window.ids[: window.response_from]) == f"[CLS] {QUESTION.lower()} [SEP]"
    assert words_of(window, 0) == "the aldermouth lighthouse is 31 metres tall."
    assert words_of(window, 1) == "its oil lamp was replaced by an electric one in 1926."


def test_control_tokens_in_question_and_response_are_read_as_text(reader):
    response = "It is [SEP] 31 [MASK] metres tall."
    ((window, _),) = reader._builder.build("How [CLS] tall?", response, sentences(response))
    special = [TOKENIZER.convert_ids_to_tokens(i) for i in window.ids if i in TOKENIZER.all_special_ids]
    assert special == ["[CLS]", "[SEP]", "[SEP]"]
    assert words_of(window, 0) == "it is [ sep ] 31 [ mask ] metres tall."


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=600), st.integers(24, 80))
def test_every_segment_is_in_one_window_that_fits(text, max_tokens):
    spans = sub_sentences(text) + sentences(text)
    windows = WindowBuilder(TOKENIZER, max_tokens).build("What is it?", text, spans)
    assert sorted(k for _, held in windows for k in held) == list(range(len(spans)))
    for window, held in windows:
        assert len(window.ids) <= max_tokens
        assert len(window.ranges) == len(held)
        for a, b in window.ranges:
            assert window.response_from <= a < b <= len(window.ids) - 1


def test_a_long_response_is_read_in_windows_of_whole_sentences():
    text = " ".join(f"The mill number {i} burned down in the year {1900 + i}." for i in range(60))
    spans = sentences(text)
    windows = WindowBuilder(TOKENIZER).build(QUESTION, text, spans)
    assert len(windows) > 2
    for window, held in windows:
        for k, span in enumerate(held):
            a, b = spans[span]
            assert words_of(window, k) == text[a:b].lower()


def test_emoji_and_combining_marks_do_not_shift_segments():
    text = "😀😀 The mill of O\u0301stra burned. 👩‍👩‍👧 It was built again."
    spans = sentences(text)
    windows = WindowBuilder(TOKENIZER).build(QUESTION, text, spans)
    read = [words_of(window, k) for window, held in windows for k in range(len(held))]
    assert "burned." in read[0]
    assert read[1].endswith("it was built again.")


def test_an_answer_to_the_question_reads_better_than_something_else(reader):
    (logits,) = reader.read([QUESTION], [ANSWER], [sentences(ANSWER)])
    assert logits[0] < logits[1]


def test_reading_depends_neither_on_order_nor_on_earlier_calls(reader):
    texts = [ANSWER, "It is tall.", "", ANSWER + " It is white."]
    spans = [sentences(t) for t in texts]
    first = reader.read([QUESTION] * 4, texts, spans)
    reader.read(["Else?"], ["Something else."], [[(0, 15)]])
    again = reader.read([QUESTION] * 4, texts[::-1], spans[::-1])[::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert [len(r) for r in first] == [2, 1, 0, 3]


def test_an_error_names_a_missing_or_damaged_reader(tmp_path):
    with pytest.raises(FgctlError, match="is missing"):
        reader_version(tmp_path)
    with pytest.raises(FgctlError, match=r"words\.json"):
        load_word_head(tmp_path)
    broken = tmp_path / "reader"
    shutil.copytree(FITTED_READER, broken)
    (broken / ADAPTER).write_bytes(b"nothing")
    with pytest.raises(FgctlError, match="fgctl rewards prefit"):
        Reader(broken)
    assert reader_version(broken) != reader_version(FITTED_READER)
