from trainer.experience import make_batch
from trainer.rollouts.sampler import Sampled

EOS = 0


def row_tokens(row):
    return zip(row.samples.tolist(), row.steps.tolist(), strict=True)


def test_a_batch_knows_lengths_truncation_and_prompts():
    sampled = [[Sampled([4, EOS], [-1.0, -2.0]), Sampled([4, 5, 6], [-1.0] * 3)], [Sampled([], [])]]
    batch = make_batch([[1], [2, 3]], sampled, EOS)
    assert batch.lengths.tolist() == [2, 3, 0]
    assert batch.truncated.tolist() == [False, True, True]
    assert batch.prompts.tolist() == [0, 0, 1]
    assert batch.sampler_logprobs[0].tolist() == [-1.0, -2.0, 0.0]
    ((row,),) = batch.minibatches([0, 1], 1, 100)
    assert sorted(row_tokens(row)) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (1, 2),
    ]


def test_minibatches_hold_every_token_once_and_no_row_without_any():
    sampled = [[Sampled([4, 5, EOS], [0.0] * 3)] * 2, [Sampled([], [])], [Sampled([6], [0.0])]]
    batch = make_batch([[1], [2, 3], [4]], sampled, EOS)
    minibatches = batch.minibatches([2, 1, 0], 3, 4)
    assert [[[g.prompt for g in row.groups] for row in rows] for rows in minibatches] == [[[[4]]], [[[1]]]]
    held = [at for rows in minibatches for row in rows for at in row_tokens(row)]
    assert sorted(held) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (3, 0)]
    assert batch.minibatches([1], 2, 4) == []
