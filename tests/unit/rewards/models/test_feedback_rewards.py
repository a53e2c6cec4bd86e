import json
from dataclasses import replace

import numpy as np
import pytest

from rewards.categories import BUILT_IN
from rewards.dataset import SAMPLE, load_feedback
from rewards.errors import FgctlError
from rewards.features.extractor import RESPONSE_FEATURES, SEGMENT_FEATURES
from rewards.heads.annotation_label import assemble_labels, fit_label_head
from rewards.models.feedback_rewards import FITTED_REWARDS, FeedbackRewards, load_rewards, save_rewards
from rewards.scores import ScoreRequest
from rewards.statistics.calibration import OperatingPoint


@pytest.fixture(scope="module")
def model():
    return FeedbackRewards.load()


@pytest.fixture(scope="module")
def requests():
    return [
        ScoreRequest(row.question, row.passages, text)
        for row in load_feedback(SAMPLE / "feedback.json")[:6]
        for text in row.predictions
    ]


def test_every_segment_of_every_category_gets_a_score(model, requests):
    for request, scores in zip(requests, model.score(requests), strict=True):
        assert set(scores) == {"relevance", "factuality", "completeness"}
        for category_scores in scores.values():
            assert len(category_scores.segments) == len(category_scores.rewards) > 0
            assert all(0 <= s.start < s.end <= len(request.response) for s in category_scores.segments)
            assert all(0 <= s.error_probability <= 1 for s in category_scores.segments)
            assert all(-1 <= r <= 1 for r in category_scores.rewards)
        (whole,) = scores["completeness"].segments
        assert request.response[whole.start : whole.end] == request.response.strip()


def test_a_response_scores_the_same_alone_and_in_a_batch(model, requests):
    batch = model.score(requests)
    for request, together in list(zip(requests, batch, strict=True))[::5]:
        alone = model.score([request])[0]
        for category, category_scores in together.items():
            assert [s.error_probability for s in alone[category].segments] == pytest.approx(
                [s.error_probability for s in category_scores.segments], abs=5e-3
            )


@pytest.mark.slow
def test_vectors_depend_on_neither_earlier_calls_nor_order(model, requests):
    texts = [text for r in requests for text in (r.question, r.response, *(p.text for p in r.passages))]
    first = model.extractor.encoder.encode(texts)
    model.extractor.encoder.encode(["Something else.", texts[3]])
    assert np.array_equal(model.extractor.encoder.encode(texts), first)
    assert np.array_equal(model.extractor.encoder.encode(texts[::-1]), first[::-1])


def test_an_empty_response_has_no_segments_and_no_rewards(model):
    scores = model.score([ScoreRequest("What is it?", (), "")])[0]
    assert all(category_scores.segments == () and category_scores.rewards == () for category_scores in scores.values())


def test_an_irrelevant_and_an_unsupported_sentence_score_worse(model):
    row = load_feedback(SAMPLE / "feedback.json")[0]
    good = "The Aldermouth Lighthouse is 31 metres tall."
    bad = good + " Elephants are popular in Belgian cinemas of the eighteenth century."
    scores = model.score([ScoreRequest(row.question, row.passages, bad)])[0]
    for category in ("relevance", "factuality"):
        first, *_, last = scores[category].segments
        assert last.error_probability > first.error_probability + 0.2
        assert scores[category].rewards[0] > scores[category].rewards[-1] + 0.4
    assert [segment.error for segment in scores["factuality"].segments] == [False, True]


def test_errors_get_labels_and_nothing_else_changes(model, requests):
    """In every category, by heads that know one label."""
    missing = model.fitted.heads.missing.model_copy(update={"operating": OperatingPoint(threshold=0.7)})
    fitted = model.fitted.model_copy(
        update={"heads": model.fitted.heads.model_copy(update={"missing": missing})}
    )  # so that only some of these lack information
    unnamed = FeedbackRewards(fitted, model.digest, model.extractor).score(requests)
    heads = {
        name: fit_label_head(np.zeros((1, len(features))), [BUILT_IN[name].labels[0]], features, 1.0)
        for name, features in (
            ("relevance", SEGMENT_FEATURES), ("factuality", SEGMENT_FEATURES), ("completeness", RESPONSE_FEATURES)
        )
    }  # fmt: skip
    labels = assemble_labels(heads, model.version, data={}, agreement={})
    named = FeedbackRewards(fitted, model.digest, model.extractor, labels).score(requests)
    seen = {name: set() for name in BUILT_IN}
    for with_labels, without in zip(named, unnamed, strict=True):
        for name, category_scores in with_labels.items():
            for segment in category_scores.segments:
                assert segment.label == (BUILT_IN[name].labels[0] if segment.error else None)
                seen[name].add(segment.error)
            segments = tuple(replace(segment, label=None) for segment in category_scores.segments)
            assert replace(category_scores, segments=segments) == without[name]
    assert all(errors == {True, False} for errors in seen.values())


def test_the_shipped_label_heads_belong_to_the_shipped_rewards(model):
    assert model.labels.rewards == model.version
    assert set(model.labels.heads) == {n for n, figures in model.labels.agreement.items() if figures["worth"]}
    for name, head in model.labels.heads.items():
        assert head.features == (RESPONSE_FEATURES if name == "completeness" else SEGMENT_FEATURES)
        assert set(head.labels) <= set(BUILT_IN[name].labels)


def test_rewards_without_label_heads_work_without_them(tmp_path):
    path = tmp_path / "rewards.json"
    path.write_bytes(FITTED_REWARDS.read_bytes())
    rewards = FeedbackRewards.load(path)
    assert rewards.labels is None
    assert rewards.version == FeedbackRewards.load().version


def test_a_changed_file_is_refused(tmp_path):
    changed = json.loads(FITTED_REWARDS.read_text())
    changed["heads"]["relevance"]["operating"]["threshold"] = 0.123
    path = tmp_path / "rewards.json"
    path.write_text(json.dumps(changed))
    with pytest.raises(FgctlError, match="changed after it was fitted"):
        FeedbackRewards.load(path)
    with pytest.raises(FgctlError, match=r"missing\.json"):
        FeedbackRewards.load(tmp_path / "missing.json")


def test_the_file_keeps_its_field_names(tmp_path):
    """Earlier versions of fgctl must be able to load what this one saves."""
    fitted, _ = load_rewards(FITTED_REWARDS)
    save_rewards(tmp_path / "rewards.json", fitted)
    saved, shipped = (json.loads(path.read_text()) for path in (tmp_path / "rewards.json", FITTED_REWARDS))
    assert saved == {"annotations": None} | shipped
