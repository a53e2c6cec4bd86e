import json

import pytest

from policies.base import load_tokenizer
from rewards.dataset import file_digest, question_key
from rewards.errors import FgctlError
from trainer.recipe import load_recipe
from trainer.tracking.training_data import digests, named_files, read_training_data

RECIPE = load_recipe("smoke", ["sft.max_prompt_tokens=150", "sft.max_response_tokens=20", "ppo.max_prompt_tokens=150"])


@pytest.fixture
def read(tiny, tmp_path):
    """Reads pairs of question and answer, with a tokenizer that reads bytes."""

    def read(pairs, kind, recipe=RECIPE, **how):
        rows = [{"question": question, "passages": [], "answer": answer} for question, answer in pairs]
        (tmp_path / "train.json").write_text(json.dumps(rows))
        return read_training_data(tmp_path / "train.json", load_tokenizer(tiny), recipe, kind, **how)

    return read


PAIRS = [
    ("When did it open?", "In 1821."),
    ("  \n", "In 1821."),
    ("Who? " * 60, "He."),
    ("Where is it?", ""),
    ("What is it?", "A mill by the river."),
    ("when did IT open?", "In 1821, in May."),
    ("\t", ""),
]


def test_sft_leaves_out_what_it_cannot_train_on_and_says_why(read):
    data = read(PAIRS, "sft")
    assert [example.answer for example in data.examples] == ["In 1821.", "In 1821, in May."]
    assert list(data.report()) == [
        f"2 of the 7 rows of {data.path} are used.",
        "Left out for a blank question: 2 rows (1, 6).",
        "Left out for a question over the prompt budget of 150 tokens: row 2.",
        "Left out for an empty answer: row 3.",
        "Left out for an answer over sft.max_response_tokens, 20 tokens: row 4.",
        "Used, though an earlier row asks the same: row 5.",
    ]


def test_ppo_needs_no_answers(read):
    data = read(PAIRS, "ppo")
    assert [example.question for example in data.examples] == [PAIRS[i][0] for i in (0, 3, 4, 5)]


def test_strict_stops_at_rows_that_are_left_out_or_repeated_by_number(read):
    with pytest.raises(FgctlError) as error:
        read(PAIRS, "ppo").require_clean()
    assert str(error.value).endswith(
        "train.json: a blank question in 2 rows (1, 6); a question over the prompt budget of 150 tokens in row 2; "
        "an earlier question in row 5; fix these rows, or leave out --strict."
    )
    read(PAIRS[:1], "ppo").require_clean()


def test_rows_of_several_files_are_used_and_reported_file_by_file(tiny, tmp_path):
    rows = [{"question": q, "passages": [], "answer": a} for q, a in [PAIRS[0], PAIRS[3], ("What?", "A mill.")]]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    (tmp_path / "dev.json").write_text(json.dumps([{"question": PAIRS[0][0], "passages": [], "answer": "In May."}]))
    paths = [tmp_path / "train.json", tmp_path / "dev.json"]
    data = read_training_data(paths[0], load_tokenizer(tiny), RECIPE, "sft", further=paths[1:])
    assert [example.answer for example in data.examples] == ["In 1821.", "A mill.", "In May."]
    assert data.rows == 4
    assert list(data.report()) == [
        f"2 of the 3 rows of {paths[0]} are used.",
        "Left out for an empty answer: row 1.",
        f"1 of the 1 rows of {paths[1]} are used.",
    ]
    with pytest.raises(FgctlError, match=r"train.json: an empty answer in row 1; fix"):
        data.require_clean()
    named = named_files(paths[0], paths[1:])
    assert [file.name for file in named] == ["train.json", "dev.json"]
    assert digests(named) == [file_digest(path) for path in paths]
    assert digests(named[:1]) == file_digest(paths[0])


def test_a_question_for_validation_is_for_validation_in_every_file(tiny, tmp_path):
    names = ["a.json", "b.json"]
    for name in names:
        rows = [{"question": f"Is it {i}?", "passages": [], "answer": "Yes."} for i in range(20)]
        (tmp_path / name).write_text(json.dumps(rows))
    data = read_training_data(
        tmp_path / names[0], load_tokenizer(tiny), RECIPE, "ppo", until_best=True, further=[tmp_path / names[1]]
    )
    validation = {example.question for example in data.validation}
    assert validation
    assert not validation & {example.question for example in data.examples}
    assert [len(file.validation) for file in data.files] == [len(validation)] * 2


WRITTEN = ["Who built  it?", "who built it ?", "Who built it", "Who built it?!", "Who built it…"]


@pytest.mark.parametrize("question", WRITTEN)
def test_a_held_out_question_that_is_written_a_little_differently_is_held_out(read, monkeypatch, question):
    monkeypatch.setattr("rewards.held_out.held_out_keys", lambda: frozenset({question_key("Who built it?")}))
    data = read([(question, "He."), ("Who built them?", "He.")], "sft")
    assert [example.question for example in data.examples] == ["Who built them?"]
    assert data.dropped == {"a held-out question, or nearly one": [0]}
    data.require_clean()


QUESTIONS = [(f"Is it {i}?", "Yes.") for i in range(30)]


def test_the_listed_validation_questions_are_for_validation_alone(read, monkeypatch):
    listed = frozenset(map(question_key, ("Is it 3?", "Is it 5?")))
    monkeypatch.setattr("rewards.held_out.validation_keys", lambda: listed)
    unwatched = read(QUESTIONS, "ppo")
    assert (len(unwatched.examples), unwatched.validation) == (28, [])
    assert unwatched.dropped == {"a validation question": [3, 5]}
    unwatched.require_clean()
    long = load_recipe("smoke", ["ppo.steps=500"])
    for watched in (read(QUESTIONS, "ppo", long), read(QUESTIONS, "ppo", until_best=True)):
        assert [example.question for example in watched.validation] == ["Is it 3?", "Is it 5?"]
        assert len(watched.examples) == 28
        assert next(watched.report()) == f"28 of the 30 rows of {watched.path} are used, and 2 for validation."
    sft = load_recipe("smoke", ["sft.validation=true"])
    assert [example.question for example in read(QUESTIONS, "sft", sft).validation] == ["Is it 3?", "Is it 5?"]


def test_of_data_without_listed_questions_a_tenth_is_set_aside_where_a_run_needs_them(read):
    assert len(read(QUESTIONS, "ppo", load_recipe("smoke", ["ppo.steps=500"])).examples) == 30
    assert len(read(QUESTIONS, "sft").examples) == 30
    drawn = read(QUESTIONS, "ppo", until_best=True)
    assert (len(drawn.examples), len(drawn.validation)) == (27, 3)
    assert read(QUESTIONS, "sft", load_recipe("smoke", ["sft.validation=true"])).validation == drawn.validation


def test_data_that_leaves_too_little_is_one_sentence(read):
    with pytest.raises(FgctlError) as error:
        read(PAIRS[1:4], "sft")
    assert str(error.value).endswith(
        "train.json leaves no example to train on (a blank question: row 0; a question over the prompt budget of 150 "
        "tokens: row 1; an empty answer: row 2); add rows that can be used, outside the held-out and validation lists."
    )
    with pytest.raises(FgctlError, match=r"leaves no question to train on \(it has no rows\); add"):
        read([], "ppo")
    with pytest.raises(FgctlError, match="too few questions to set some aside for validation; add more, or leave out"):
        read(PAIRS[:1], "ppo", until_best=True)
