import json

import numpy as np
import pytest

from rewards.errors import FgctlError
from rewards.quality.answers import mean_marks
from rewards.quality.estimates import estimates
from rewards.quality.score_files import load_answers

TEXT = "It is red. It is tall."


def scored(number, *probabilities):
    ends = [(0, 10), (11, 22)]
    segments = [
        {"start": a, "end": b, "error_probability": p, "error": bool(p >= 0.5)}
        for (a, b), p in zip(ends, map(float, probabilities), strict=True)
    ]
    return {"question": f"q{number}", "response": TEXT, "scores": {"factuality": {"segments": segments}}}


def label(number, first, second):
    spans = [{"start": 0, "end": 10, "error": first}, {"start": 11, "end": 22, "error": second}]
    return {"question": f"q{number}", "passages": [], "response": TEXT, "spans": spans}


@pytest.fixture
def files(tmp_path):
    def write(scores, labels):
        paths = tmp_path / "scores.jsonl", tmp_path / "labels.jsonl"
        for path, rows in zip(paths, (scores, labels), strict=True):
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return paths

    return write


def test_labels_meet_their_answers_by_question_and_response(files):
    paths = files([scored(n, 0.2, 0.6) for n in range(3)], [label(1, False, True)])
    answers = load_answers(*paths)
    assert [bool(answer.judged) for answer in answers] == [False, True, False]
    assert answers[0].scores["factuality"].flagged == 1
    judged = answers[1].judged["factuality"]
    assert (judged.segments, judged.errors, judged.predicted) == (2, 1, pytest.approx(0.8))


def test_two_people_count_half_each_and_equal_answers_get_a_label_each(files):
    paths = files([scored(1, 0.2, 0.6)], [label(1, False, True), label(1, True, True)])
    assert load_answers(*paths)[0].judged["factuality"].errors == 1.5
    paths = files([scored(1, 0.2, 0.6)] * 2, [label(1, False, True), label(1, True, True)])
    assert [answer.judged["factuality"].errors for answer in load_answers(*paths)] == [1, 2]


def test_segments_that_nobody_judged_are_left_out():
    marks = mean_marks([{"factuality": np.array([1.0, np.nan])}, {"factuality": np.array([0.0, np.nan])}])
    assert marks["factuality"][0] == 0.5
    assert np.isnan(marks["factuality"][1])


def test_an_estimate_of_files(files):
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.3
    scores = [scored(n, *np.clip(0.3 + 0.4 * wrong + 0.2 * rng.random(2), 0, 1)) for n, wrong in enumerate(truth)]
    answers = load_answers(*files(scores, [label(n, bool(truth[n]), bool(truth[n])) for n in range(40)]))
    assert estimates(answers)["factuality"]["estimate"] is None  # nobody says that they were drawn at random
    report = estimates(answers, all_drawn=True)["factuality"]
    assert report["low"] <= truth.mean() <= report["high"]
    assert (report["labels"], report["drawn"], report["scored"]) == (40, 40, 200)
    assert report["raw"] > report["high"]
    alone = report["labels_only"]
    assert report["high"] - report["low"] < alone["high"] - alone["low"]
    assert report["labels_saved"] > 40


def test_too_few_labels_say_how_many_are_missing(files):
    answers = load_answers(*files([scored(n, 0.1, 0.1) for n in range(5)], [label(0, True, True)]))
    figures = estimates(answers, all_drawn=True)["factuality"]
    assert (figures["estimate"], figures["labels_only"]["low"], figures["labels_missing"]) == (None, None, 9)
    assert figures["raw"] == 0.1


def test_what_cannot_be_used_is_named(files):
    with pytest.raises(FgctlError, match="label 1"):
        load_answers(*files([scored(1, 0.1, 0.1)], [label(2, True, True)]))
    with pytest.raises(FgctlError, match="line 1"):
        load_answers(*files([{"question": "q"}], []))
    with pytest.raises(FgctlError, match="empty"):
        load_answers(*files([], []))
