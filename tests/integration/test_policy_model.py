"""The policy and its trainer on the real base model, in this process, sampling by transformers."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from policies.weights import Weights
from rewards.dataset import SAMPLE, Example, Passage, load_examples
from rewards.errors import FgctlError
from rewards.scorer import Scorer
from trainer.packing import Group, pack
from trainer.policy_model import PolicyModel
from trainer.ppo import PpoTrainer
from trainer.recipe import LoraRecipe, load_recipe
from trainer.rollouts.transformers import TransformersSampler


@pytest.fixture(scope="module")
def model(base, store):
    torch.manual_seed(0)
    return PolicyModel(base, LoraRecipe(), store.path("sft", store.profile("sft").version), temperature=0.7)


@pytest.fixture(scope="module")
def logprobs(base):
    """Log-probabilities of packed responses under the base in float32, where nothing hides in rounding."""
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32).eval()

    def of(groups):
        packed = pack(groups)
        with torch.inference_mode():
            logits = model(
                input_ids=packed.input_ids,
                position_ids=packed.position_ids,
                attention_mask=None if packed.mask is None else packed.mask[None],
                logits_to_keep=packed.predicted_at,
            ).logits[0]
        return logits.log_softmax(-1).gather(-1, packed.targets[:, None])[:, 0]

    return of


def test_packed_responses_have_the_log_probabilities_they_have_alone(base, logprobs):
    encode = AutoTokenizer.from_pretrained(base.path)
    prompts = [encode(text)["input_ids"] for text in ("Where is the tower? It is", "Who wrote the book? It was")]
    responses = [encode(text)["input_ids"] for text in (" by the sea", " on a hill in the north", " a woman")]
    groups = [Group(prompts[0], responses[:2]), Group(prompts[1], [[], responses[2]])]
    alone = [logprobs([Group(g.prompt, [r])]) for g in groups for r in g.responses if r]
    torch.testing.assert_close(logprobs(groups), torch.cat(alone), rtol=1e-3, atol=1e-3)


def test_policy_and_reference_start_alike_and_the_ratio_is_one(model):
    group = pack([Group([1, 2, 3], [[4, 5, 6]])])
    reference = model.evaluate(group, "reference").logprobs
    policy = model.evaluate(group, "policy").logprobs
    with_gradient = model.evaluate(group, "policy", grad=True).logprobs
    assert torch.equal(reference, policy)
    assert torch.equal(policy, with_gradient.detach())
    with_gradient.sum().backward()
    gradients = {name: p.grad for name, p in model.policy_parameters().items()}
    assert all(g is not None for g in gradients.values())
    assert all(p.grad is None for name, p in model.peft.named_parameters() if ".policy." not in name)
    model.peft.zero_grad()


def test_a_pass_from_the_first_adapted_layer_on_is_a_whole_pass(base, store):
    model = PolicyModel(base, LoraRecipe(), store.path("sft", store.profile("sft").version))
    parameters = model.policy_parameters()
    with torch.no_grad():  # else policy and reference are one
        for p in parameters.values():
            p.add_(0.02 * torch.randn_like(p))
    row = pack([Group([1, 2, 3], [[4, 5, 6], [7]]), Group([8, 9], [[10, 11]])])
    below = model.evaluate(row, "reference").below
    assert below.shape == (1, row.input_ids.shape[1], model.hidden_size)

    def gradients(start):
        logprobs = model.evaluate(row, grad=True, below=start).logprobs
        logprobs.sum().backward()
        actual = [p.grad.clone() for p in parameters.values()]
        model.peft.zero_grad()
        return logprobs.detach(), actual

    whole, wanted = gradients(None)
    midway, actual = gradients(below)
    assert torch.equal(whole, midway)
    assert not torch.equal(whole, model.evaluate(row, "reference", below=below).logprobs)
    for expected, other in zip(wanted, actual, strict=True):
        torch.testing.assert_close(expected, other)


def test_a_base_that_cannot_begin_midway_runs_whole(base, store, monkeypatch):
    monkeypatch.setattr(PolicyModel, "_begins_midway", lambda self: False)
    model = PolicyModel(base, LoraRecipe(), store.path("sft", store.profile("sft").version))
    assert model.evaluate(pack([Group([1, 2, 3], [[4, 5, 6]])]), "reference").below is None


def test_the_transformers_sampler_reports_the_trainers_log_probabilities(model):
    sampler = TransformersSampler(model)
    prompt = model.tokenizer("Where is the tower?")["input_ids"]
    (samples,) = sampler.sample([prompt], 2, 12, seed=1)
    again = sampler.sample([prompt], 2, 12, seed=1)[0]
    assert [s.token_ids for s in samples] == [s.token_ids for s in again]
    packed = model.evaluate(pack([Group(prompt, [s.token_ids for s in samples])])).logprobs
    assert (packed - torch.tensor([lp for s in samples for lp in s.logprobs])).abs().mean() < 0.1


@pytest.fixture
def trainer(base, store):
    recipe = load_recipe("smoke")
    parent = store.path("sft", store.profile("sft").version)
    return PpoTrainer(
        PolicyModel(base, recipe.lora, parent, 0.7), Scorer.load(), Weights.parse("1,1,1"), recipe,
        load_examples(SAMPLE / "train.json"),
    )  # fmt: skip


def test_responses_are_judged_by_the_passages_the_policy_was_shown(trainer, monkeypatch):
    long = Passage(title="Ostra", text="Ostra lies on the river Lind. " * 100)
    trainer.examples = [Example(question=f"Where is Ostra, {i}?", passages=(long,), answer="") for i in range(4)]
    judged, score = [], trainer.scorer.score
    monkeypatch.setattr(trainer.scorer, "score", lambda requests: judged.extend(requests) or score(requests))
    trainer.step(0, TransformersSampler(trainer.model))
    assert len(judged) == 4
    for request in judged:
        (shown,) = request.passages
        assert long.text.startswith(shown.text)
        assert 0 < len(trainer.model.tokenizer(shown.text)["input_ids"]) < 160


def test_a_sampler_that_does_not_take_over_the_weights_is_caught(trainer):
    class Stale(TransformersSampler):
        def logprobs(self, tokens):
            return [-1.0]

    sampler = Stale(trainer.model)
    before = {name: p.detach().clone() for name, p in trainer.model.policy_parameters().items()}
    metrics = trainer.step(0, sampler)
    assert metrics["kl/response"] == 0
    assert metrics["policy/skipped"] == 0
    assert any(not torch.equal(before[name], p) for name, p in trainer.model.policy_parameters().items())
    with torch.no_grad():  # as many updates would
        for parameter in trainer.model.policy_parameters().values():
            parameter.add_(0.05)
    with pytest.raises(FgctlError, match="still has the old weights"):
        trainer.step(1, sampler)
