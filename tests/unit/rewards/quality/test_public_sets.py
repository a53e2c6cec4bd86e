import json

import pytest

from rewards.errors import FgctlError
from rewards.quality.public_sets import SETS, load_public_set

PAGE = [f"Sentence {n} is about gardens, trees and flowers of the old town." for n in range(60)]


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("FGCTL_DATA", str(tmp_path))
    (tmp_path / "factuality").mkdir()

    def write(name, row):
        (tmp_path / "factuality" / SETS[name]).write_text(json.dumps(row) + "\n")

    return write


def test_a_wice_claim_is_one_answer_with_the_part_of_the_page_that_is_like_it(data):
    page = [*PAGE[:30], "The bridge of Ponte was opened in 1908 by the king.", *PAGE[30:]]
    row = {"claim": "The Ponte bridge was opened in 1908.", "label": "partially_supported", "evidence": page}
    data("WiCE", row | {"meta": {"claim_title": "Ponte"}})
    (response,) = load_public_set("WiCE")
    assert (response.question, response.response) == ("Ponte", row["claim"])
    assert list(response.marks("factuality", [(0, len(row["claim"]))])) == [1]
    text = " ".join(passage.text for passage in response.passages)
    assert "opened in 1908 by the king" in text
    assert len(text.split()) <= 260


def test_an_expertqa_answer_has_the_claims_that_somebody_judged(data):
    claims = [
        {"claim_string": "It is red.", "support": "Complete", "evidence": ["[1] http://a\n\nRed it is."]},
        {"claim_string": "It is tall.", "support": "Incomplete", "evidence": ["[1] http://a\n\nRed it is."]},
        {"claim_string": "It is new.", "support": "Missing", "evidence": []},
    ]
    without_text = {"answer_string": "It is red.", "claims": [claims[0] | {"evidence": ["[1] http://a"]}]}
    answer = {"answer_string": "It is red.\n It is  tall. It is new.", "claims": claims}
    data("ExpertQA", {"question": "What?", "answers": {"a": answer, "b": without_text}})
    (response,) = load_public_set("ExpertQA")
    assert [passage.text for passage in response.passages] == ["Red it is."]
    assert [(response.response[s.start : s.end], s.error) for s in response.spans] == [
        ("It is red.", False), ("It is  tall.", True)
    ]  # fmt: skip


def test_a_missing_set_is_named(data):
    with pytest.raises(FgctlError, match="FGCTL_DATA"):
        load_public_set("WiCE")
