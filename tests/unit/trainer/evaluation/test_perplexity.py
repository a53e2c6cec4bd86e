"""The base's view of a policy's text, against one plain forward pass a response."""

import pytest
import torch
from transformers import AutoModelForCausalLM

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
