"""Batches of little padding."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegpt.training.even_batches import even_batches

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=9)


def positions(lengths: list[int], batches: list[list[int]]) -> int:
    return sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)


def least_of_all(lengths: list[int], count: int) -> int:
    """Slow twin: every way to cut the sorted examples, under the same bound of memory."""
    ordered = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    bound = -(-len(lengths) // count) * max(lengths)
    found = []
    for cuts in combinations(range(1, len(lengths)), count - 1):
        edges = [0, *cuts, len(lengths)]
        batches = [ordered[a:b] for a, b in pairwise(edges)]
        if all(len(b) * max(lengths[i] for i in b) <= bound for b in batches):
            found.append(positions(lengths, batches))
    return min(found)


@given(LENGTHS, st.integers(1, 6))
def test_every_example_comes_once_and_the_padding_is_the_least(lengths: list[int], count: int):
    batches = even_batches(lengths, count)
    count = min(count, len(lengths))
    assert len(batches) == count
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert positions(lengths, batches) == least_of_all(lengths, count)


@given(LENGTHS, st.integers(1, 6))
def test_no_batch_is_larger_than_the_longest_example_makes_one(lengths: list[int], count: int):
    count = min(count, len(lengths))
    for batch in even_batches(lengths, count):
        assert positions(lengths, [batch]) <= -(-len(lengths) // count) * max(lengths)


def test_short_examples_keep_company():
    assert even_batches([5, 90, 6, 100, 7, 95], 2) == [[3, 5, 1], [4, 2, 0]]


@pytest.mark.parametrize(("lengths", "count"), [([], 1), ([3], 0)])
def test_nothing_to_share_out(lengths: list[int], count: int):
    with pytest.raises(ValueError, match="cannot be shared out"):
        even_batches(lengths, count)
