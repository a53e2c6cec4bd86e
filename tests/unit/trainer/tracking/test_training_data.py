import json

import pytest

from policies.base import load_tokenizer
from rewards import held_out
from rewards.dataset import question_key
from rewards.errors import FgctlError
from trainer.recipe import load_recipe
from trainer.tracking.training_data import read_training_data

RECIPE = load_recipe("smoke", ["sft.max_prompt_tokens=150", "sft.max_response_tokens=20", "ppo.max_prompt_tokens=150"])


@pytest.fixture
def read(tiny, tmp_path):
    """Reads pairs of question and answer, with a tokenizer that reads bytes."""

    def read(pairs, kind):
        rows = [{"question": question, "passages": [], "answer": answer} for question, answer in pairs]
        (tmp_path / "train.json").write_text(json.dumps(rows))
        return read_training_data(tmp_path / "train.json", load_tokenizer(tiny), RECIPE, kind)

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


WRITTEN = ["Who built  it?", "who built it ?", "Who built it", "Who built it?!", "Who built it…"]


@pytest.mark.parametrize("question", WRITTEN)
def test_a_held_out_question_that_is_written_a_little_differently_is_held_out(read, monkeypatch, question):
    monkeypatch.setattr(held_out, "held_out_keys", lambda: frozenset({question_key("Who built it?")}))
    data = read([(question, "He."), ("Who built them?", "He.")], "sft")
    assert [example.question for example in data.examples] == ["Who built them?"]
    assert data.dropped == {"a held-out question, or nearly one": [0]}
    data.require_clean()
