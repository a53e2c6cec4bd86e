import pytest

from trainer.recipe import load_recipe
from trainer.sft import batch_order, cosine_schedule


def test_sft_batches_and_schedule():
    settings = load_recipe("cpu", ["sft.epochs=2", "sft.batch_size=4"]).sft
    order = batch_order(10, settings)
    assert sorted(i for batch in order[:3] for i in batch) == list(range(10))
    assert order == batch_order(10, settings)
    rates = [cosine_schedule(step, 100, 0.05) for step in range(100)]
    assert rates[4] == max(rates) == 1
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    assert rates[4:] == sorted(rates[4:], reverse=True)
