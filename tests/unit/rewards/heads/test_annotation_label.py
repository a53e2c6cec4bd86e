import json

import numpy as np
import pytest
from pydantic import ValidationError

from rewards.errors import FgctlError
from rewards.heads.annotation_label import (
    FittedLabels,
    LabelHead,
    assemble_labels,
    fit_label_head,
    labels_path,
    load_labels,
    save_labels,
)

REWARDS = "0123456789ab"


@pytest.fixture(scope="module")
def errors():
    """Three labels in clouds of two features, and a third feature that does not vary."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    centre = np.array([[0.0, 4.0], [40.0, 0.0], [-40.0, 0.0]])[y]
    x = np.hstack([centre + rng.normal(size=(300, 2)) * [8, 1], np.full((300, 1), 7.0)])
    return x, np.array(["Redundant", "Irrelevant", "Incoherent"])[y].tolist()


def fit(x, y, strength=1.0):
    return fit_label_head(x, y, ("one", "two", "three"), strength)


def stored(tmp_path, head, rewards=REWARDS):
    path = tmp_path / "rewards.json"
    save_labels(labels_path(path), assemble_labels({"relevance": head}, rewards, data={}, agreement={}))
    return path


def test_fitting_recovers_labels_of_rows_it_has_not_seen(errors):
    x, y = errors
    predicted = fit(x[:200], y[:200]).most_likely(x[200:])
    assert np.mean(np.array(predicted) == np.array(y[200:])) > 0.95


def test_a_head_computed_by_hand_tells_two_labels_apart():
    head = LabelHead(
        labels=("a", "b"), features=("f",), mean=(2.0,), scale=(2.0,), weight=((0.0,), (1.0,)), intercept=(0.0, -1.0)
    )
    assert head.most_likely(np.array([[3.9], [4.1], [0.0]])) == ["a", "b", "a"]
    assert head.most_likely(np.zeros((0, 1))) == []


def test_two_labels_are_recovered_too(errors):
    x, y = errors
    two = np.array(y) != "Incoherent"
    x, y = x[two], [label for label in y if label != "Incoherent"]
    assert np.mean(np.array(fit(x, y).most_likely(x)) == np.array(y)) > 0.95


def test_strong_regularisation_leaves_the_commonest_label(errors):
    x, _ = errors
    y = ["b"] * 200 + ["a"] * 60 + ["c"] * 40
    assert set(fit(x, y, strength=1e-9).most_likely(x)) == {"b"}


def test_a_single_label_is_always_predicted_and_none_cannot_be_fitted(errors):
    x, _ = errors
    assert fit(x[:4], ["a"] * 4).most_likely(x[:2]) == ["a", "a"]
    with pytest.raises(FgctlError, match="annotate more"):
        fit(x[:0], [])


def test_a_stored_head_predicts_the_same(errors, tmp_path):
    x, y = errors
    head = fit(x, y)
    path = stored(tmp_path, head)
    assert labels_path(path).name == "rewards.labels.json"
    loaded = load_labels(path, REWARDS)
    assert loaded.heads["relevance"].most_likely(x) == head.most_likely(x)
    assert loaded.heads["relevance"].weight[0] == pytest.approx(head.weight[0], rel=1e-8)
    assert FittedLabels.model_validate_json(loaded.model_dump_json()) == loaded


def test_the_version_depends_on_the_heads_and_the_rewards(errors):
    head = fit(*errors)
    version = assemble_labels({"relevance": head}, REWARDS, data={}, agreement={}).version
    assert assemble_labels({"relevance": head}, REWARDS, data={"a": "b"}, agreement={}).version == version
    assert assemble_labels({"relevance": head}, "other", data={}, agreement={}).version != version
    assert assemble_labels({"factuality": head}, REWARDS, data={}, agreement={}).version != version
    assert assemble_labels({}, REWARDS, data={}, agreement={}).version != version


def test_an_error_about_a_damaged_changed_or_foreign_file_says_what_to_do(errors, tmp_path):
    command = f"fgctl rewards fit --only-labels --out {tmp_path / 'rewards.json'}"

    def refused(path):
        with pytest.raises(FgctlError) as caught:
            load_labels(path, REWARDS)
        assert command in str(caught.value)
        return str(caught.value)

    path = stored(tmp_path, fit(*errors), "ba9876543210")
    assert "fitted for rewards ba9876543210, not for 0123456789ab" in refused(path)
    stored(tmp_path, fit(*errors))
    content = json.loads(labels_path(path).read_text())
    content["heads"]["relevance"]["intercept"][0] += 1
    labels_path(path).write_text(json.dumps(content))
    assert "changed after it was fitted" in refused(path)
    labels_path(path).write_text("{")
    assert "is damaged" in refused(path)


def test_rewards_without_label_heads_work_without_them(tmp_path, caplog):
    assert load_labels(tmp_path / "rewards.json", REWARDS) is None
    assert "fgctl rewards fit --only-labels" in caplog.text


def test_a_head_whose_rows_differ_in_length_is_damaged():
    fields = {"labels": ("a", "b"), "features": ("f",), "mean": (0.0,), "scale": (1.0,), "intercept": (0.0, 0.0)}
    with pytest.raises(ValidationError, match="differ in length"):
        LabelHead(**fields, weight=((1.0,),))
    with pytest.raises(ValidationError, match="differ in length"):
        LabelHead(**fields, weight=((1.0,), (1.0, 2.0)))
