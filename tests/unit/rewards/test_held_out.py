from rewards.dataset import SAMPLE, load_examples, question_key
from rewards.held_out import held_out_keys, only_held_out, without_held_out


def test_the_sample_is_not_held_out():
    assert only_held_out(load_examples(SAMPLE / "dev.json")) == []


def test_rows_are_split_by_question(monkeypatch):
    examples = load_examples(SAMPLE / "dev.json")
    monkeypatch.setattr("rewards.held_out.held_out_keys", lambda: frozenset([question_key(examples[0].question)]))
    assert only_held_out(examples) == examples[:1]
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
