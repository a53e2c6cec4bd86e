"""The rules for submissions, and exact offsets."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.categories import BUILT_IN, SPAN_LABELS, category_of
from service.feedback.records import Annotation, MissingInformation, NewResponse, QuickSpan, Span, StoredPassage
from service.feedback.validation import (
    MOST_VIOLATIONS,
    PRIORITY,
    check,
    check_errors,
    check_missing,
    check_quick_spans,
    follow_up_questions,
    preference_cycle,
    trimmed,
)

TEXT = "One two three. Four five."
RESPONSE = NewResponse(
    id="r", text=TEXT, question="q", passages=(StoredPassage(title="T", text="A. B.", sentences=("A.", "B.")),)
)
GAP = MissingInformation(label="Missing-Answer", passage_id=1, sentence_id=(2,))


def annotate(*errors, missing=(), corrected="Better."):
    spans = tuple(Span(label=label, start=start, end=end) for label, start, end in errors)
    return Annotation(
        submission_id="s", response_id="r", annotator="a", errors=spans, missing=missing, corrected=corrected
    )


def codes(annotation, response=RESPONSE):
    return [violation.code for violation in check(annotation, response)]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (annotate(corrected=None), []),
        (annotate(corrected=TEXT), []),
        (annotate(corrected=f" {TEXT}\n"), []),
        (annotate(("Irrelevant", 0, 3)), []),
        (annotate(missing=(GAP,)), []),
        (annotate(("Irrelevant", 0, 3), ("Unverifiable", 3, 8)), []),
        (annotate(("Unverifiable", 0, 8), ("Wrong-Grounding", 4, 9)), []),
        (annotate(("Irrelevant", 0, 3), corrected=None), ["no_correction"]),
        (annotate(("Irrelevant", 0, 3), corrected="  "), ["no_correction"]),
        (annotate(("Irrelevant", 0, 3), corrected=TEXT), ["no_correction"]),
        (annotate(missing=(GAP,), corrected=None), ["no_correction"]),
        (annotate(), ["no_errors"]),
        (annotate(("Irrelevant", 20, 26)), ["outside"]),
        (annotate(("Irrelevant", -1, 3)), ["outside"]),
        (annotate(("Irrelevant", 5, 3)), ["outside"]),
        (annotate(("Irrelevant", 3, 3)), ["empty"]),
        (annotate(("Irrelevant", 3, 4)), ["empty"]),
        (annotate(("Wrong", 0, 3)), ["unknown_label"]),
        (annotate(("Missing-Answer", 0, 3)), ["not_a_span"]),
        (annotate(("Irrelevant", 0, 3), ("Irrelevant", 0, 3)), ["twice"]),
        (annotate(missing=(MissingInformation(label="Irrelevant", passage_id=1),)), ["unknown_label"]),
        (annotate(missing=(MissingInformation(label="Missing-Answer", passage_id=2),)), ["no_passage"]),
        (annotate(missing=(MissingInformation(label="Missing-Answer", passage_id=0),)), ["no_passage"]),
        (
            annotate(missing=(MissingInformation(label="Missing-Answer", passage_id=1, sentence_id=(3,)),)),
            ["no_sentence"],
        ),
        (annotate(missing=(MissingInformation(label="Missing-Answer", passage_id=1, sentence_id=(0,)),)), []),
    ],
)
def test_rules(annotation, expected):
    assert codes(annotation) == expected


def test_an_error_is_reported_once_for_each_label_of_another_priority_that_it_overlaps():
    spans = [("Irrelevant", 0, 13), ("Irrelevant", 4, 7), ("Unverifiable", 4, 13), ("Incoherent", 8, 25)]
    violations = check(annotate(*spans), RESPONSE)
    assert [(v.code, v.field, v.message.split(",")[0]) for v in violations] == [
        ("overlap", "errors.2", "Unverifiable at 4 overlaps Irrelevant at 0"),
        ("overlap", "errors.3", "Incoherent at 8 overlaps Irrelevant at 0"),
        ("overlap", "errors.3", "Incoherent at 8 overlaps Unverifiable at 4"),
    ]


spans = st.tuples(st.sampled_from(list(PRIORITY)), st.integers(0, 24), st.integers(1, 6)).filter(
    lambda span: TEXT[span[1] : span[1] + span[2]].strip()
)


@given(st.lists(spans, max_size=8))
def test_overlaps_are_found_where_any_two_errors_overlap_and_only_there(drawn):
    errors = [(label, start, min(start + length, len(TEXT))) for label, start, length in drawn]
    overlapping = any(
        a[1] < b[2] and b[1] < a[2] and (a == b or PRIORITY[a[0]] != PRIORITY[b[0]])
        for a, b in itertools.combinations(errors, 2)
    )
    assert bool(check(annotate(*errors, corrected="Better."), RESPONSE)) == (overlapping or not errors)


def test_no_more_violations_are_looked_for_than_are_reported():
    looked_at = []

    def errors():
        for n in range(1000):
            looked_at.append(n)
            yield Span(label="Irrelevant", start=n, end=n + 999)

    assert len(check_errors(errors(), TEXT)) == MOST_VIOLATIONS == len(looked_at)
    numbers = tuple(range(5, 1000))
    gap = MissingInformation(label="Missing-Answer", passage_id=1, sentence_id=numbers)
    assert len(check_missing([gap] * 100, [2])) == MOST_VIOLATIONS
    assert len(check(annotate(*[("Irrelevant", 0, 3)] * 500), RESPONSE)) == MOST_VIOLATIONS


def test_what_is_not_fatal_hides_nothing_fatal():
    errors = [("Irrelevant", 3, 3)] * 30 + [("Irrelevant", 0, 99)]
    assert {violation.code for violation in check(annotate(*errors), RESPONSE)} == {"empty"}
    assert [violation.code for violation in check(annotate(*errors), RESPONSE, fatal=True)] == ["outside"]


ORDER = ["Irrelevant", "Redundant", "Wrong-Grounding", "Incoherent"]


@pytest.mark.parametrize("upper", range(len(ORDER)))
@pytest.mark.parametrize("lower", range(len(ORDER)))
def test_of_two_overlapping_errors_the_one_with_lower_priority_must_change(upper, lower):
    if upper >= lower:
        return
    for first, second in ((0, 1), (1, 0)):
        spans = [(ORDER[upper], 0, 7), (ORDER[lower], 4, 13)]
        (violation,) = check(annotate(spans[first], spans[second]), RESPONSE)
        assert (violation.code, violation.field) == ("overlap", f"errors.{second}")
        assert violation.message == (
            f"{ORDER[lower]} at 4 overlaps {ORDER[upper]} at 0, which comes first; shorten or remove the "
            f"{ORDER[lower]} error."
        )


def test_every_label_but_toxic_has_a_priority():
    assert {*PRIORITY, "Toxic"} == set(SPAN_LABELS) == {label for label in SPAN_LABELS if category_of(label)}
    assert set(SPAN_LABELS).isdisjoint(BUILT_IN["completeness"].labels)


@pytest.mark.parametrize("other", ORDER)
def test_a_toxic_part_may_overlap_any_other_error_but_not_be_marked_twice(other):
    assert check(annotate(("Toxic", 0, 7), (other, 4, 13)), RESPONSE) == []
    (violation,) = check(annotate(("Toxic", 0, 7), ("Toxic", 0, 7)), RESPONSE)
    assert violation.code == "twice"


def test_what_makes_a_submission_unusable_is_fatal():
    fatal = {
        v.code for label in ("Wrong", "Missing-Answer") for v in check(annotate((label, 0, 99)), RESPONSE) if v.fatal
    }
    assert fatal == {"outside", "unknown_label", "not_a_span"}
    assert not any(
        v.fatal for v in check(annotate(("Irrelevant", 0, 3), ("Redundant", 0, 3), corrected=None), RESPONSE)
    )


def test_a_message_is_a_sentence_and_names_its_field():
    (violation,) = check(annotate(("Irrelevant", 20, 26)), RESPONSE)
    assert violation.as_json() == {
        "code": "outside",
        "field": "errors.0",
        "message": "The span 20 to 26 is not within the response's 25 characters; mark it again.",
    }


def test_wrong_grounding_without_its_sentences_raises_a_question():
    assert follow_up_questions(annotate(("Wrong-Grounding", 0, 3)))
    assert not follow_up_questions(annotate(("Wrong-Grounding", 0, 3), missing=(GAP,)))
    assert not follow_up_questions(annotate(("Irrelevant", 0, 3)))


def test_spans_of_quick_feedback_need_no_label():
    spans = (QuickSpan(start=0, end=3), QuickSpan(start=0, end=3, label="Missing-Answer"))
    assert check_quick_spans(spans, TEXT) == []
    assert [v.code for v in check_quick_spans((QuickSpan(start=0, end=99, label="x"),), TEXT)] == [
        "outside",
        "unknown_label",
    ]


@pytest.mark.parametrize(
    ("text", "span", "expected"),
    [
        (" a b ", (0, 5), (1, 4)),
        ("👩‍👩‍👧 family", (0, 6), (0, 5)),  # a family is five code points and eight UTF-16 units
        ("e\u0301t\u00e9 2008", (0, 5), (0, 4)),  # a combining mark is a code point of its own
        ("\u00a0\u2003x\u3000", (0, 4), (2, 3)),
        ("   ", (0, 3), (0, 3)),
    ],
)
def test_trimming(text, span, expected):
    (error,) = trimmed(annotate(("Irrelevant", *span)), text).errors
    assert (error.start, error.end) == expected


unicode = st.text(st.sampled_from("a \n\u00a0é👩\u200d🏽́ß中"), min_size=1, max_size=30)


@given(unicode, st.data())
def test_trimming_keeps_every_visible_character_and_no_more(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    (span,) = trimmed(annotate(("Irrelevant", start, end)), text).errors
    marked = text[start:end]
    assert text[span.start : span.end] == (marked.strip() or marked)
    assert trimmed(annotate(("Irrelevant", span.start, span.end)), text).errors == (span,)


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ([], set()),
        ([("x", "y", "a"), ("y", "z", "a"), ("x", "z", "a")], set()),
        ([("x", "y", "a"), ("y", "z", "a"), ("x", "z", "b")], {"x", "y", "z"}),
        ([("x", "y", "tie"), ("y", "z", "tie"), ("x", "z", "tie")], set()),
        ([("x", "y", "tie"), ("y", "z", "tie"), ("x", "z", "a")], {"x", "y", "z"}),
        ([("x", "y", "neither"), ("y", "z", "neither"), ("x", "z", "neither")], set()),
        ([("x", "y", "neither"), ("y", "z", "b"), ("x", "z", "a")], {"x", "y", "z"}),
        ([("x", "y", "b"), ("z", "x", "b"), ("z", "y", "a"), ("p", "q", "a")], {"x", "y", "z"}),
    ],
)
def test_preference_cycles(choices, expected):
    assert set(preference_cycle(choices)) == expected


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_text_field_that_changes_line_ends_corrects_nothing(newline):
    text = f"{newline}One two.{newline}{newline}Three.{newline}"
    response = RESPONSE.model_copy(update={"text": text})
    from_browser = "\nOne two.\n\nThree.\n"
    assert codes(annotate(corrected=from_browser), response) == []
    assert codes(annotate(("Irrelevant", 2, 5), corrected=from_browser), response) == ["no_correction"]
    assert codes(annotate(corrected="One two.\nThree."), response) == ["no_errors"]
