import numpy as np
import pytest
import torch

from policies.base import resolve_base
from rewards.dataset import SAMPLE, Passage, file_digest, load_feedback
from rewards.errors import FgctlError
from rewards.fitting.fit_judge import fit_judge, judge_agreement, save_judge, tabulate_states
from rewards.models.feedback_rewards import FeedbackRewards
from rewards.models.judge import LAYER, WEIGHTS, Judge, JudgeTrunk, _states, log_odds
from rewards.scores import ScoreRequest
from rewards.segmentation import sub_sentences

PASSAGES = (Passage(title="Ostra", text="Ostra has 4000 people. It lies on the Lind. The mill burned in 1911."),)
TEXTS = ("The mill burned in 1911. Nobody was hurt 😀 that day.", "It lies on the Lind.", "")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base():
    return resolve_base(None).path


@pytest.fixture(scope="module")
def trunk(base):
    return JudgeTrunk(base)


@pytest.fixture(scope="module")
def fitted(trunk, base, tmp_path_factory):
    """The file of a judge fitted on the sample."""
    path = tmp_path_factory.mktemp("judge") / "judge.json"
    table = tabulate_states(load_feedback(SAMPLE / "feedback.json")[:10], trunk)
    weights, points = fit_judge(table, np.arange(table.questions))
    save_judge(
        path, weights, points, trunk=file_digest(base / "model.safetensors"), layer=LAYER, data={},
        questions=table.questions, agreement=judge_agreement(table),
    )  # fmt: skip
    return path


def test_states_are_means_and_last_tokens_of_their_spans():
    text = "One two three."
    hidden = torch.arange(8.0).reshape(4, 2)
    offsets = np.array([[0, 3], [3, 7], [7, 13], [13, 14]])
    states = _states(text, hidden, offsets)
    assert states.sentences.tolist() == [[3.0, 4.0, 6.0, 7.0]]
    assert states.response.tolist() == [3.0, 4.0, 6.0, 7.0]


def test_a_response_reads_the_same_alone_and_in_a_batch(trunk):
    requests = [ScoreRequest("What burned?", PASSAGES, text) for text in TEXTS]
    together = trunk.read(requests)
    for request, in_batch in zip(requests, together, strict=True):
        (alone,) = trunk.read([request])
        assert alone.sub_sentences.shape == (len(sub_sentences(request.response)), len(in_batch.response))
        # bfloat16 has three digits, and sums are in another order
        assert np.allclose(alone.response, in_batch.response, rtol=0.05, atol=0.05 * np.abs(in_batch.response).max())


def test_a_fitted_judge_judges_every_segment(fitted, base):
    judge = Judge.load(base, fitted)
    requests = [ScoreRequest("What burned?", PASSAGES, text) for text in (*TEXTS, "word " * 1500)]
    for request, judgement in zip(requests, judge.judge(requests), strict=True):
        assert len(judgement.errors["relevance"]) == len(sub_sentences(request.response))
        assert np.isfinite(judgement.completeness)
    assert set(judge.fitted.agreement) == {"relevance", "factuality", "completeness"}


def test_weights_apply_with_their_bias_last():
    assert log_odds(np.array([1.0, 2.0, 0.5]), np.array([[1.0, 1.0], [0.0, 0.0]])).tolist() == [3.5, 0.5]


def test_a_judge_is_not_a_reward_model(fitted):
    with pytest.raises(FgctlError, match="must never train"):
        FeedbackRewards.load(fitted)


def test_a_changed_or_foreign_judge_is_refused(fitted, base, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"another")
    with pytest.raises(FgctlError, match="another base model"):
        Judge.load(tmp_path, fitted)
    copy = tmp_path / "judge.json"
    copy.write_bytes(fitted.read_bytes())
    with pytest.raises(FgctlError, match="cannot be loaded"):
        Judge.load(base, copy)
    weights = (fitted.parent / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(FgctlError, match="was changed"):
        Judge.load(base, copy)
