"""Several adapters and the base in one batch of the real engine, and adapters of every form."""

import asyncio
import json
import shutil
from itertools import combinations

import pytest

from service.domain.selection import Selection

QUESTIONS = ["Name three colours.", "What is a river?", "Who builds bridges?"]


ROUNDING = 0.25
"""Nats by which batches of different make-up may differ in bf16; adapters differ by far more."""


@pytest.fixture(scope="module")
def ask(app, loop):
    """Greedy answers, all in one batch: for each request its tokens, and the log-probabilities of each step's best."""
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    from service.engine.engine import _lora_request

    backend = app.state.backend
    engine, served = backend.core.engine, backend.roster.served
    formatter = backend.pipeline._formatting._formatter
    count = iter(range(1000))

    async def ask(profile, question):
        params = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True, logprobs=5)
        ids = list(formatter.format(question, []).token_ids)
        lora = _lora_request(served[profile] if profile else None)
        async for output in engine._llm.generate(
            TokensPrompt(prompt_token_ids=ids), params, request_id=f"test-{next(count)}", lora_request=lora
        ):
            final = output.outputs[0]
        return final.token_ids, [{token: lp.logprob for token, lp in step.items()} for step in final.logprobs]

    def several(requests):
        async def together():
            return await asyncio.gather(*(ask(*request) for request in requests))

        return loop.run(together())

    return several


def same_answer(first, second):
    """Whether two greedy answers are the same up to rounding: where they part, both tokens were as likely."""
    for a, b, of_a, of_b in zip(first[0], second[0], first[1], second[1], strict=True):
        if a not in of_b or abs(of_a[a] - of_b[a]) > ROUNDING:
            return False
        if a != b:
            return b in of_a and abs(of_a[a] - of_a[b]) < ROUNDING
    return True


def test_each_answers_in_a_mixed_batch_as_it_does_alone(ask):
    requests = [(profile, question) for question in QUESTIONS for profile in ("first", "second", None)]
    alone = [ask([request])[0] for request in requests]
    for mixed in (ask(requests), ask(requests[::-1])[::-1]):
        assert [same_answer(a, b) for a, b in zip(alone, mixed, strict=True)] == [True] * len(requests)


def test_the_adapters_and_the_base_answer_differently(ask):
    answers = {profile: ask([(profile, question) for question in QUESTIONS]) for profile in ("first", "second", None)}
    for first, second in combinations(answers.values(), 2):
        assert not all(map(same_answer, first, second))


def test_the_engine_computes_what_peft_computes(app, loop, base, store):
    """Adapters on the upper layers only, read from disk by both."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from service.engine.engine import PROBE

    policy = app.state.backend.roster.served["second"]
    probed = loop.run(app.state.backend.core.engine.probe(policy))
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32), policy.path)
    ids = AutoTokenizer.from_pretrained(base.path)(PROBE, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logprobs = model(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
    error = torch.tensor(probed).sub(logprobs).abs().mean().item()
    base_probed = loop.run(app.state.backend.core.engine.probe(None))
    moved = torch.tensor(probed).sub(torch.tensor(base_probed)).abs().mean().item()
    assert error < 0.1
    assert moved > 3 * error


@pytest.mark.parametrize(
    "written",
    [
        {
            "target_modules": r"model\.layers\.(1[5-9]|2\d)\.self_attn\.[qkvo]_proj",
            "layers_to_transform": None,
            "r": 1,
            "lora_alpha": 1,
            "rank_pattern": {r"\w+_proj": 8},
            "alpha_pattern": {"[qk]_proj": 16, "^model.*": 16},
        },
        {"use_rslora": True, "lora_alpha": 16 / 8**0.5},
    ],
    ids=["patterns", "rslora"],
)
def test_an_adapter_that_is_written_in_another_way_answers_the_same(app, loop, store, base, making, tmp_path, written):
    resolver, engine = app.state.backend.resolver, app.state.backend.core.engine
    served = resolver.roster.served["first"]
    shutil.copytree(served.path, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | written))
    version = making.policy(store, base, "first", tmp_path / "adapter", "1,1,2").version
    assert version != served.version
    policy = loop.run(resolver.resolve(Selection("first", version), ""))
    assert loop.run(engine.probe(policy)) == loop.run(engine.probe(served))
