"""Items written in a format are read back unchanged."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewards.categories import MISSING_LABELS, SPAN_LABELS
from rewards.dataset import PAIRS, SAMPLE, MissingInfo, SpanError, data_file
from service.feedback.exchange import FORMATS, format_named
from service.feedback.exchange.item import Item, Refusal

letters = st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("🚀👩🏽‍🚒e\u0301\u202eאب\r\n\\ "))
texts = st.text(letters, max_size=30)
answers = texts.filter(lambda text: bool(text.strip()))


@st.composite
def items(draw: st.DrawFn) -> Item:
    predictions = draw(st.lists(answers, min_size=1, max_size=4))
    while len(predictions) > 1 and predictions[-1] == predictions[0]:
        predictions.pop()
    passages = draw(st.lists(st.lists(texts, min_size=1, max_size=4).map(tuple), max_size=3))
    text, errors, missing = predictions[0], [], []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        errors.append(
            SpanError(label=draw(st.sampled_from(SPAN_LABELS)), start=start, end=end, explanation=draw(texts))
        )
    for _ in range(draw(st.integers(0, 3)) if passages else 0):
        passage = draw(st.integers(1, len(passages)))
        sentences = draw(st.lists(st.integers(0, len(passages[passage - 1]) - 1), unique=True, max_size=3))
        label = draw(st.sampled_from(MISSING_LABELS))
        missing.append(MissingInfo(label=label, passage_id=passage, sentence_id=tuple(sentences)))
    corrected = draw(texts) if errors or missing else draw(st.none() | texts.filter(lambda t: t != text))
    return Item(
        question=draw(answers),
        passages=tuple(passages),
        predictions=tuple(predictions),
        errors=tuple(errors),
        missing=tuple(missing),
        corrected=corrected,
        preference=tuple(draw(st.integers(0, 2)) if max(pair) <= len(predictions) else 0 for pair in PAIRS),
        gold=draw(texts),
        annotator=draw(st.none() | answers),
        response_id=draw(st.none() | st.uuids().map(str)),
        submission_id=draw(st.none() | st.uuids().map(str)),
        other_ids=draw(st.just(()) | st.just(tuple(f"r-{n}" for n in range(1, len(predictions))))),
    )


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(items(), min_size=1, max_size=2))
def test_any_text_comes_back(name: str, written: list[Item], tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    assert format_named(name).write(written, path) == len(written)
    assert list(format_named(name).read(path)) == written


MARKED = Item(
    "What flies?", (("Rockets", "They fly high."),), ("Some rockets.",),
    (SpanError(label="Irrelevant", start=0, end=4, explanation="Why?"),),
    (MissingInfo(label="Missing-Answer", passage_id=1, sentence_id=(1,)),), "Rockets.", annotator="ann",
)  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_case_and_outer_space_of_a_label_do_not_matter(name: str, tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    format_named(name).write([MARKED], path)
    content = path.read_text(encoding="utf-8")
    assert '"Irrelevant"' in content
    assert "Missing-Answer" in content
    path.write_text(content.replace('"Irrelevant"', '" irrelevant\\t"').replace('"Missing-Answer"', '"MISSING-answer"'))
    assert list(format_named(name).read(path)) == [MARKED]
    path.write_text(content.replace('"Irrelevant"', '"Irrelevent"'))
    (refusal,) = format_named(name).read(path)
    assert isinstance(refusal, Refusal)
    assert "'Irrelevent'" in refusal.reason


def rows_of(path: Path) -> list[str]:
    return [json.dumps(row, sort_keys=True) for row in json.loads(path.read_text(encoding="utf-8"))]


def there_and_back(source: Path, through: str, tmp_path: Path) -> None:
    """Rows in QA-Feedback's format, converted to another format and back."""
    middle, end = tmp_path / "middle.json", tmp_path / "end.json"
    format_named(through).write(map(as_item, format_named("qa-feedback").read(source)), middle)
    format_named("qa-feedback").write(map(as_item, format_named(through).read(middle)), end)
    assert rows_of(end) == rows_of(source)


def as_item(record: Any) -> Item:
    assert isinstance(record, Item), record
    return record


@pytest.mark.parametrize("through", FORMATS)
def test_the_sample_comes_back_byte_for_byte(through: str, tmp_path: Path) -> None:
    there_and_back(SAMPLE / "feedback.json", through, tmp_path)


@pytest.mark.parametrize("through", FORMATS)
def test_the_real_feedback_comes_back_byte_for_byte(through: str, tmp_path: Path) -> None:
    real = data_file("feedback")
    if real.parent == SAMPLE or not real.is_file():
        pytest.skip("QA-Feedback's 400 annotated answers are not here; set FGCTL_DATA to where they are")
    there_and_back(real, through, tmp_path)
    assert len(rows_of(real)) == 400
