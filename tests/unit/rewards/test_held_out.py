import hashlib

import pytest

from rewards.dataset import SAMPLE, data_file, load_examples, question_key
from rewards.errors import FgctlError
from rewards.held_out import (
    draw_validation,
    held_out_keys,
    only_held_out,
    only_validation,
    split_validation,
    to_evaluate,
    validation_keys,
    without_held_out,
)


def test_the_sample_is_not_held_out():
    assert only_held_out(load_examples(SAMPLE / "dev.json")) == []


def test_rows_are_split_by_question(monkeypatch):
    examples = load_examples(SAMPLE / "dev.json")
    monkeypatch.setattr("rewards.held_out.held_out_keys", lambda: frozenset([question_key(examples[0].question)]))
    assert only_held_out(examples) == to_evaluate(examples) == examples[:1]
    assert to_evaluate(iter(examples[1:])) == examples[1:]
    assert without_held_out(examples) == examples[1:]


def test_the_list_has_keys_and_no_comments(tmp_path):
    path = tmp_path / "held_out.txt"
    path.write_text("# a comment\n\n0123456789abcdef\n")
    assert held_out_keys(path) == {"0123456789abcdef"}
    assert all(len(key) == 16 for key in held_out_keys())


def test_a_question_that_differs_in_how_it_ends_is_the_same(monkeypatch):
    monkeypatch.setattr("rewards.held_out.held_out_keys", lambda: frozenset([question_key("What's it for?")]))
    example = load_examples(SAMPLE / "dev.json")[0]
    for question in ("What's it for?", "what's it for", "What’s it for ?", "What's it for??", " What's  it for. "):
        assert without_held_out([example.model_copy(update={"question": question})]) == []
    assert without_held_out([example.model_copy(update={"question": "What's it from?"})])


def drawn_by(key):
    return hashlib.sha256(f"validation {key}".encode()).hexdigest()


def test_the_validation_questions_are_eighty_others():
    assert len(validation_keys()) == 80
    assert not validation_keys() & held_out_keys()
    # The 80 of 1,000 with the least hash: about the lowest 8 %.
    assert 0.06 < int(max(map(drawn_by, validation_keys()))[:8], 16) / 2**32 < 0.1


def test_the_validation_list_is_what_its_rule_draws():
    keys = {question_key(e.question) for e in load_examples(data_file("train"))} - held_out_keys()
    if keys & validation_keys():  # not so for the sample
        assert set(draw_validation(keys)) == validation_keys()
    last = max(map(drawn_by, validation_keys()))
    assert all(drawn_by(key) > last for key in keys - validation_keys()) or not keys & validation_keys()


def test_no_training_sees_the_validation_questions(monkeypatch):
    examples = load_examples(SAMPLE / "train.json")
    keys = [question_key(e.question) for e in examples]
    monkeypatch.setattr("rewards.held_out.held_out_keys", lambda: frozenset(keys[:1]))
    monkeypatch.setattr("rewards.held_out.validation_keys", lambda: frozenset(keys[1:2]))
    assert only_held_out(examples) == to_evaluate(examples) == examples[:1]
    assert to_evaluate(iter(examples[1:])) == examples[1:]
    assert only_validation(examples) == examples[1:2]
    assert without_held_out(examples) == examples[2:]
    assert split_validation(examples) == (examples[2:], examples[1:2])


def test_of_data_without_listed_questions_a_tenth_is_for_validation():
    examples = load_examples(SAMPLE / "train.json")
    training, validation = split_validation(examples)
    assert (len(training), len(validation)) == (22, 2)
    assert sorted(training + validation, key=examples.index) == examples
    chosen = {question_key(e.question) for e in validation}
    assert max(map(drawn_by, chosen)) < min(drawn_by(question_key(e.question)) for e in training)
    assert split_validation(examples[:9]) == (examples[:9], [])
    assert len(draw_validation(map(str, range(1000)))) == 80


def test_without_any_question_nothing_is_evaluated():
    with pytest.raises(FgctlError, match="no question to evaluate on"):
        to_evaluate([])
