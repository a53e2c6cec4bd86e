"""The model of the perplexity."""

import dataclasses

from policies.store import PolicyStore
from policies.trunk import trunk_of
from trainer.evaluation.fluency import fluency_model


def test_without_a_parent_it_is_the_base(tiny, tmp_path):
    assert fluency_model(tiny, PolicyStore(tmp_path / "policies")) == tiny


def test_with_a_parent_of_another_base_it_is_the_base(tiny, trunk_store):
    other = dataclasses.replace(tiny, name="other", digest="0" * 64)
    assert fluency_model(other, trunk_store) == other


def test_with_a_merged_parent_it_is_the_trunk(tiny, trunk_store):
    assert fluency_model(tiny, trunk_store) == trunk_of(tiny, trunk_store)


def test_a_parent_that_is_an_adapter_is_merged_for_it(tiny, tiny_parents, write_adapter, trunk_store):
    trunk_store.promote("sft", write_adapter(trunk_store, "sft", tiny_parents[1], tiny).version)
    model = fluency_model(tiny, trunk_store)
    assert model.digest not in (tiny.digest, trunk_of(tiny, trunk_store).digest)
    assert (model.path / "model.safetensors").read_bytes() != (tiny.path / "model.safetensors").read_bytes()
