import pytest
import torch

from trainer.packing import Group, pack
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe

ROW = [Group([*range(100, 110)], [[5, 6, 7], [8, 9]])]


def gradients(base, *, recompute):
    """The adapter's gradients, and how often the last layer ran."""
    model = PolicyModel(base, LoraRecipe(top_layers=2), recompute=recompute)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.policy_parameters().values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    layers = getattr(model.peft.get_base_model().get_decoder(), "layers", None)
    attention = (model.peft.get_base_model().get_decoder().h if layers is None else layers)[-1].get_submodule
    runs = []
    attention("self_attn" if layers is not None else "attn").register_forward_hook(lambda *_: runs.append(1))
    (-model.evaluate(pack(ROW), grad=True).logprobs.sum()).backward()
    return [p.grad.clone() for p in model.policy_parameters().values()], len(runs)


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2"])
def test_gradients_are_the_same_when_layers_run_a_second_time(make_base, architecture):
    base = make_base(architecture)
    kept, once = gradients(base, recompute=False)
    again, twice = gradients(base, recompute=True)
    assert (once, twice) == (1, 2)
    assert any(gradient.abs().max() > 1e-4 for gradient in kept)
    for gradient, recomputed in zip(kept, again, strict=True):
        torch.testing.assert_close(gradient, recomputed, rtol=1e-4, atol=1e-6)
