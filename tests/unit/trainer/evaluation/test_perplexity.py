"""The base's view of a policy's text, against one plain forward pass a response."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from trainer.evaluation import perplexity
from trainer.evaluation.perplexity import base_nll


def test_it_is_that_of_the_base_alone_and_leaves_the_policy_as_it_was(tiny, tiny_model):
    model = tiny_model()
    prompts = [[5, 6, 7], [8] * 600, [9, 10], [11]]
    responses = [[20, 21, 22, 23], [24] * 500, [], [25]]
    plain = AutoModelForCausalLM.from_pretrained(tiny.path, dtype=torch.bfloat16).eval()
    expected = []
    for prompt, response in zip(prompts, responses, strict=True):
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            logits = plain(torch.tensor([prompt + response])).logits[0].float()
        logprobs = [logits[len(prompt) - 1 + t].log_softmax(-1)[token].item() for t, token in enumerate(response)]
        expected.append(-sum(logprobs) / max(1, len(logprobs)))
    nll = base_nll(model, prompts, responses)
    assert nll == pytest.approx(expected, rel=0.01)
    assert nll[2] == 0
    assert nll == pytest.approx(base_nll(tiny_model(0.0), prompts, responses))
    assert base_nll(model, prompts[2:3], [[]]) == [0]
    policy = model.peft(torch.tensor([prompts[0]])).logits.float()
    assert not torch.allclose(policy, plain(torch.tensor([prompts[0]])).logits.float(), atol=0.1)


def test_different_responses_to_a_prompt_share_a_pass_and_equal_ones_are_read_once(tiny_model, monkeypatch):
    model = tiny_model()
    prompts = [[5, 6, 7], [8, 9], [5, 6, 7], [5, 6, 7]]
    responses = [[20, 21], [22], [23, 24, 25], [20, 21]]
    alone = [base_nll(model, [prompt], [response])[0] for prompt, response in zip(prompts, responses, strict=True)]
    read = []
    packed = perplexity.pack
    monkeypatch.setattr(perplexity, "pack", lambda groups: read.extend(groups) or packed(groups))
    reported = []
    nll = base_nll(model, prompts, responses, lambda done, total: reported.append((done, total)))
    assert nll == pytest.approx(alone, rel=1e-3)
    assert nll[0] == nll[3]
    assert sorted((group.prompt, group.responses) for group in read) == [
        ((5, 6, 7), [(20, 21), (23, 24, 25)]), ((8, 9), [(22,)]),
    ]  # fmt: skip
    assert reported[-1] == (2, 2)
