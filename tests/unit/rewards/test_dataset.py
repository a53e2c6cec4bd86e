import json

import pytest

from rewards.dataset import (
    SAMPLE,
    data_file,
    load_answers,
    load_examples,
    load_feedback,
    load_training_examples,
    parse_passages,
    question_key,
)
from rewards.errors import FgctlError

LACKS = {"passage_id": 1, "sentence_id": [1]}


@pytest.fixture
def feedback_rows():
    return json.loads((SAMPLE / "feedback.json").read_text())


def write(tmp_path, rows):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    return path


def test_the_sample_loads_and_its_spans_cut_whole_words():
    examples = load_examples(SAMPLE / "train.json")
    feedback = load_feedback(SAMPLE / "feedback.json")
    assert len(examples) == len(feedback) == 24
    labels = set()
    for row in feedback:
        for span in row.errors:
            text = row.predictions[0][span.start : span.end]
            assert text
            assert text == text.strip()
            labels.add(span.label)
    assert {"Irrelevant", "Redundant", "Wrong-Grounding", "Unverifiable"} <= labels


def test_titles_repeated_in_passages_are_dropped():
    example = load_examples(SAMPLE / "train.json")[0]
    assert example.passages[0].title == "Aldermouth Lighthouse"
    assert example.passages[0].text.startswith("The Aldermouth Lighthouse is a white stone tower")


@pytest.mark.parametrize(
    ("change", "excerpt"),
    [
        (lambda row: row.pop("question"), "row 1, field question"),
        (lambda row: row["feedback"]["errors"].append({"error type": "Irrelevant", "start": 3, "end": 999}), "999"),
        (lambda row: row["feedback"]["errors"].append({"error type": "Irrelevant", "start": 5, "end": 3}), "errors"),
        (lambda row: row.update(preference=[0, 1, 2]), "row 1, field preference"),
        (lambda row: row["feedback"]["errors"][0].update({"error type": "Wrong"}), "the error type 'Wrong' is none of"),
        (
            lambda row: row["feedback"].update({"missing-info": [LACKS | {"error type": "Irrelevant"}]}),
            "'Irrelevant' is none of Missing-Answer, Missing-Major-Auxiliary, Missing-Minor-Auxiliary; fix",
        ),
        (lambda row: row["passages"][0].append("\ud83d"), r"field passages.0.6: half of a surrogate pair"),
        (lambda row: row.update(preference=[0, 1, 2, 3, 0, 0]), "preference"),
    ],
)
def test_an_error_names_the_invalid_row(tmp_path, feedback_rows, change, excerpt):
    change(feedback_rows[1])
    with pytest.raises(FgctlError, match=r"rows\.json, row 1") as error:
        load_feedback(write(tmp_path, feedback_rows))
    assert excerpt in str(error.value)


@pytest.mark.parametrize(
    ("content", "excerpt"),
    [("3", "a list"), ("[", "not JSON"), ('{"question": "Why?"}\n{', "line 2"), (None, "does not exist")],
)
def test_an_error_names_the_invalid_file(tmp_path, content, excerpt):
    path = tmp_path / "data.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(FgctlError, match=r"data\.json") as error:
        load_examples(path)
    assert excerpt in str(error.value)


def test_labels_are_known_whatever_their_case_and_the_space_around_them(tmp_path, feedback_rows):
    before = load_feedback(write(tmp_path, feedback_rows))
    for row in feedback_rows:
        for error in row["feedback"]["errors"] + row["feedback"]["missing-info"]:
            error["error type"] = f" {error['error type'].lower()}\t"
    assert load_feedback(write(tmp_path, feedback_rows)) == before


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_lines_are_read_like_a_list(tmp_path, feedback_rows, mark):
    (tmp_path / "rows.jsonl").write_text(mark + "\n".join(map(json.dumps, feedback_rows)) + "\n\n", encoding="utf-8")
    assert load_feedback(tmp_path / "rows.jsonl") == load_feedback(SAMPLE / "feedback.json")
    (tmp_path / "rows.json").write_text(mark + json.dumps(feedback_rows), encoding="utf-8")
    assert load_feedback(tmp_path / "rows.json") == load_feedback(SAMPLE / "feedback.json")


def test_questions_are_recognised_whatever_their_spacing_and_case():
    assert question_key("Where is  it? ") == question_key("where is it?")


def test_data_comes_from_the_configured_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("FGCTL_DATA", str(tmp_path))
    assert data_file("dev") == tmp_path / "qa_feedback" / "dev.json"


def test_passages_in_every_accepted_format():
    shapes = [{"title": "T", "text": "a b"}, {"wikipage": "T", "content": "T\n\na b"}, ["T", "a", "b"]]
    assert [(p.title, p.text) for p in parse_passages(shapes)] == [("T", "a b")] * 3
    assert parse_passages(None) == ()
    for wrong in ("text", [3], [{"title": "T"}]):
        with pytest.raises(ValueError, match="passage"):
            parse_passages(wrong)


def test_a_policys_answers_are_read_by_question(tmp_path):
    path = tmp_path / "answers.jsonl"
    rows = [("Who?", "She."), ("who? ", "He.\u2028"), ("Where?", "")]
    lines = [json.dumps({"question": q, "response": r}, ensure_ascii=False) + "\n" for q, r in rows]
    path.write_text("".join(lines), encoding="utf-8")
    assert load_answers(path) == {question_key("Who?"): ["She.", "He.\u2028"], question_key("Where?"): [""]}
    path.write_text('{"question": "Who?", "response": "She."}\n{"question": "Who?"}\n')
    with pytest.raises(FgctlError, match="line 2: Field required"):
        load_answers(path)
    with pytest.raises(FgctlError, match="fgctl sample"):
        load_answers(tmp_path / "none.jsonl")


def test_corrected_responses_of_feedback_are_examples_to_train_on(tmp_path, feedback_rows):
    rows = feedback_rows[:3]
    rows[0]["feedback"]["corrected-prediction"] = "As it should be.\n"
    rows[1]["feedback"] |= {"errors": [], "missing-info": [], "corrected-prediction": ""}
    rows[1]["prediction 1"] = "Nothing is wrong."
    rows[2]["feedback"] |= {
        "errors": [{"error type": "Irrelevant", "start": 0, "end": 3, "explanation": ""}], "corrected-prediction": "",
    }  # fmt: skip
    examples = load_training_examples(write(tmp_path, rows))
    assert [example.answer for example in examples] == ["As it should be.", "Nothing is wrong.", ""]
    assert [example.question for example in examples] == [row["question"] for row in rows]
    assert load_training_examples(SAMPLE / "train.json") == load_examples(SAMPLE / "train.json")
