from hypothesis import given
from hypothesis import strategies as st

from trainer.packing import Group, bins, pack, split


def test_packing_by_hand():
    packed = pack([Group([5, 6], [[7, 8], [9]])])
    assert packed.input_ids.tolist() == [[5, 6, 7, 8, 9]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 2]]
    assert packed.predicted_at.tolist() == [1, 2, 1]
    assert packed.targets.tolist() == [7, 8, 9]
    assert packed.mask[0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


def test_a_sequence_alone_needs_no_mask():
    assert pack([Group([5, 6], [[7, 8]])]).mask is None


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 80))
def test_bins_hold_every_group_once_within_the_limit(sizes, limit):
    groups = [Group([1] * size, []) for size in sizes]
    rows = bins(groups, limit)
    assert sorted(i for row in rows for i in row) == list(range(len(groups)))
    assert all(len(row) == 1 or sum(groups[i].tokens for i in row) <= limit for row in rows)


@given(st.lists(st.integers(), min_size=1, max_size=20), st.integers(1, 6))
def test_minibatches_cut_into_even_parts(items, parts):
    cut = split(items, parts)
    assert [x for part in cut for x in part] == items
    assert all(cut)
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
