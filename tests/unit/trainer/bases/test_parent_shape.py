import pytest

from rewards.errors import FgctlError
from trainer.bases.parent_shape import parent_shape
from trainer.policy_model import PolicyModel
from trainer.recipe import LoraRecipe, load_recipe


@pytest.fixture
def parent(tiny, tmp_path):
    """An adapter of rank 16 on the last of two layers."""
    PolicyModel(tiny, LoraRecipe(rank=16, alpha=32, top_layers=1)).save_adapter(tmp_path / "parent")
    return tmp_path / "parent"


def test_a_policy_has_and_records_its_parents_shape(tiny, parent):
    shape = parent_shape(load_recipe("cpu").lora, parent, tiny)
    assert shape.model_dump() == {
        "rank": 16, "alpha": 32, "target_modules": ("k_proj", "o_proj", "q_proj", "v_proj"), "top_layers": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rank=8", "lora.rank is 8, but the parent's adapter has 16"),
        ("alpha=16", r"lora.alpha is 16.0, but the parent's adapter has 32.0"),
        ("top_layers=2", "lora.top_layers is 2, but the parent's adapter has 1"),
        ('target_modules=["q_proj"]', "lora.target_modules is q_proj, but the parent's adapter has k_proj, o_proj, q_"),
        ("target_modules=all-linear", "lora.target_modules is down_proj, gate_proj, k_proj"),
    ],
)
def test_a_shape_that_is_not_the_parents_is_refused(tiny, parent, override, message):
    with pytest.raises(FgctlError, match=f"^{message}.*leave lora.{override.partition('=')[0]} out"):
        parent_shape(load_recipe("cpu", [f"lora.{override}"]).lora, parent, tiny)


def test_a_shape_that_is_named_and_the_parents_own_is_accepted(tiny, parent):
    overrides = ["lora.rank=16", "lora.alpha=32", "lora.top_layers=1", "lora.target_modules=attention"]
    assert parent_shape(load_recipe("cpu", overrides).lora, parent, tiny).rank == 16
