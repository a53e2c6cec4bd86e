"""What is packed of a layer's adapters, and how a step plans its multiplications."""

import torch

from service.engine.packed_adapters import BASE, Packed, Step

SLOTS, RANK, IN, OUT = 4, 8, 16, (12, 6, 6)


def pack(ranks, slices=(0, 1, 2)):
    """The packed adapters of a layer: random weights of so many ranks in each slot, in some slices only."""
    torch.manual_seed(0)
    a = [torch.zeros(SLOTS, 1, RANK, IN) for _ in OUT]
    b = [torch.zeros(SLOTS, 1, size, RANK) for size in OUT]
    for slot, rank in ranks.items():
        for i in slices:
            a[i][slot, 0, :rank] = torch.randn(rank, IN)
            b[i][slot, 0, :, :rank] = torch.randn(OUT[i], rank)
    return Packed.of(a, b)


def test_ranks_slots_and_slices_without_effect_are_not_packed():
    packed = pack({0: 2, 3: RANK})
    assert packed.spans == {0: (0, 6), 3: (6, 30)}
    assert (packed.a.shape, packed.b.shape) == ((30, IN), (30, sum(OUT)))
    packed = pack({1: RANK}, slices=[1])
    assert packed.spans == {1: (0, 8)}
    assert not packed.b[:, : OUT[0]].any()
    assert packed.b[:, OUT[0] : OUT[0] + OUT[1]].all()


def test_layers_that_no_adapter_of_the_step_changes_have_no_turns():
    layers = [pack({}), pack({0: RANK}), pack({0: RANK, 1: RANK, 3: RANK})]

    def turns(slots):
        return [len(Step(slots).turns(packed)) for packed in layers]

    assert turns([1, BASE, 3]) == [0, 0, 1]
    assert turns([BASE, BASE]) == [0, 0, 0]
    assert turns([0, 0]) == [0, 1, 1]


def test_a_batch_of_a_single_adapter_needs_no_mask():
    packed = pack({0: RANK, 3: RANK})
    (turn,) = Step([3, 3]).turns(packed)
    assert (turn.rows, turn.mask) == (None, None)
    assert turn.a_t.shape == (IN, 3 * RANK)
    (turn,) = Step([3, BASE]).turns(packed)
    assert turn.mask.sum(1).tolist() == [3 * RANK, 0]


def test_groups_are_slices_where_rows_are_adjacent():
    groups = Step([BASE, 2, 2, 0, 1, 0]).groups()
    assert [slot for slot, _ in groups] == [0, 1, 2]
    assert groups[0][1].tolist() == [3, 5]
    assert groups[1][1] == slice(4, 5)
    assert groups[2][1] == slice(1, 3)
