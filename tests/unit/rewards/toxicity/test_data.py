import json

import pytest

from rewards.dataset import SAMPLE
from rewards.errors import FgctlError
from rewards.toxicity.data import load_prompts, load_spans, only, part_of, prompts_file, rated_texts, spans_file

ROW = {
    "prompt": {"text": "He said", "toxicity": 0.1, "threat": 0.3},
    "continuation": {"text": " no.", "toxicity": None},
}


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rows_have_scores_or_none_and_other_attributes_are_ignored(tmp_path):
    rows = load_prompts(write(tmp_path / "rows.jsonl", json.dumps(ROW), ""))
    assert rated_texts(rows) == (["He said"], [0.1])


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", r"is not JSON \(.*, line 1\)"), (json.dumps(ROW | {"prompt": {}}), r"row 0, field prompt\.text")],
)
def test_an_invalid_line_is_named(tmp_path, line, message):
    with pytest.raises(FgctlError, match=message):
        load_prompts(write(tmp_path / "rows.jsonl", line))


def test_a_text_may_hold_any_character_that_ends_a_line_elsewhere(tmp_path):
    row = {"prompt": {"text": "He\u2028said"}, "continuation": {"text": "\x85no."}}
    (read,) = load_prompts(write(tmp_path / "rows.jsonl", json.dumps(row, ensure_ascii=False)))
    assert (read.prompt.text, read.continuation.text) == ("He\u2028said", "\x85no.")


def test_parts_share_no_prompt_whatever_its_spacing():
    rows = load_prompts(SAMPLE / "realtoxicityprompts.jsonl")
    parts = [only(rows, part) for part in ("training", "validation", "held-out")]
    assert sum(map(len, parts)) == len(rows)
    assert all(parts)
    assert part_of("He  Said ") == part_of("he said")


def test_spans_are_code_points(tmp_path):
    file = write(tmp_path / "spans.csv", "spans,text", '"[4, 5]",It 😀 is.')
    (comment,) = load_spans(file)
    assert (comment.marked, comment.text) == (frozenset({4, 5}), "It 😀 is.")
    with pytest.raises(FgctlError, match="not a file of toxic spans"):
        load_spans(write(tmp_path / "other.csv", "a,b", "1,2"))


def test_without_data_the_sample_stands_in(tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_DATA", str(tmp_path))
    assert prompts_file() == SAMPLE / "realtoxicityprompts.jsonl"
    assert spans_file() is None
