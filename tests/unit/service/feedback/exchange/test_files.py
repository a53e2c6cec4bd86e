"""Files that are JSON, almost JSON, and something else."""

import json
from pathlib import Path

import pytest

from rewards.errors import FgctlError
from service.feedback.exchange.files import records
from service.feedback.exchange.item import Refusal


def written(tmp_path: Path, text: str, name: str = "file.json") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_one_object_over_many_lines_is_one_record(tmp_path: Path) -> None:
    row = {"text": "a", "spans": [{"start": 0}, {"start": 1}]}
    assert list(records(written(tmp_path, json.dumps(row, indent=2)))) == [("record 1", row)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (json.dumps({"spans": [{"start": 0}, {"start": 1}], "text": "a"}, indent=2)[:-6], 10),  # cut off
        (json.dumps({"a": 1}, indent=2) + "\n" + json.dumps({"a": 2}, indent=2), 4),
        ("question,answer\nWhat?,That.\n" * 50, 1),
        ("id: 1\ntext: a\n", 1),
    ],
)
def test_what_is_not_json_gets_one_sentence_for_the_whole_file(tmp_path: Path, text: str, line: int) -> None:
    path = written(tmp_path, text)
    with pytest.raises(FgctlError, match=rf"neither a JSON list nor JSON lines \(.*, line {line}\); write a list"):
        list(records(path))


def test_a_wrong_line_among_json_lines_is_refused_alone(tmp_path: Path) -> None:
    path = written(tmp_path, '{"a": 1}\n{"a": \n\n{"a": 2}\n"x"\n')
    assert list(records(path)) == [
        ("line 1", {"a": 1}),
        ("line 2", Refusal("line 2", "It is not JSON (Expecting value, column 7).")),
        ("line 4", {"a": 2}),
        ("line 5", Refusal("line 5", "It is not a JSON object.")),
    ]


def test_json_that_python_cannot_hold_is_refused_with_a_reason(tmp_path: Path) -> None:
    deep, long = "[" * 100_000, "1" * 5000
    path = written(tmp_path, f'{{"a": 1}}\n{{"a": {deep}}}\n{{"a": {long}}}\n')
    assert [row.reason for _, row in records(path) if isinstance(row, Refusal)] == [
        "It is not JSON (it is nested too deeply, column 1).",
        "It is not JSON (a number has too many digits, column 1).",
    ]
    with pytest.raises(FgctlError, match="too many digits"):
        list(records(written(tmp_path, f"[{long}]")))


WEBANNO = "#FORMAT=WebAnno TSV 3.3\n#T_SP=custom.Span|label\n\n#Text=Some text.\n1-1\t0-4\tSome\tIrrelevant\n"
XMI = '<?xml version="1.0" encoding="UTF-8"?>\n<xmi:XMI xmlns:xmi="http://www.omg.org/XMI" xmi:version="2.0"></xmi:XMI>'
CAS = '{"%TYPES": {}, "%FEATURE_STRUCTURES": [{"%ID": 1, "begin": 0, "end": 4}]}'


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("a.ann", "T1\tIrrelevant 0 4\tSome\n", "brat's standoff format"),
        ("a.txt", "T1\tIrrelevant 0 4;9 12\tSome yea\nR1\tOf Arg1:T1 Arg2:T2\n", "brat's standoff format"),
        ("a.ann", "", "brat's standoff format"),
        ("a.tsv", WEBANNO, "INCEpTION's WebAnno TSV, whose offsets count UTF-16 units"),
        ("a.xmi", XMI, "INCEpTION's UIMA CAS, whose offsets count UTF-16 units"),
    ],
)
def test_brat_and_inception_are_refused_by_name(tmp_path: Path, name: str, text: str, part: str) -> None:
    with pytest.raises(FgctlError, match="convert it to the JSON lines of doccano or Prodigy") as refused:
        list(records(written(tmp_path, text, name)))
    assert part in str(refused.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (CAS, "It is INCEpTION's UIMA CAS, whose offsets count UTF-16 units; convert it"),
        (json.dumps(json.loads(CAS), indent=1), "It is INCEpTION's UIMA CAS"),
        ('{"text": "Some text", "entities": [["T1", "Irrelevant", [[0, 4]]]]}', "It is brat's JSON"),
    ],
)
def test_json_of_brat_and_inception_is_refused_by_name(tmp_path: Path, text: str, part: str) -> None:
    ((_, refusal),) = records(written(tmp_path, text))
    assert isinstance(refusal, Refusal)
    assert part in refusal.reason
