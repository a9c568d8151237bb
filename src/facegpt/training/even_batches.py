"""Batches of one update, shared out so that little of them is padding.

Rows of a batch are as long as its longest. The loss of an update is a sum over its examples,
divided by the tokens and faces of all of them, so it does not matter which example goes through the
model beside which: short ones go together. Knows lengths, not examples.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def even_batches(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Which examples go together, so that as few positions as possible are padding.

    Batches are neighbours in order of length; where to cut is found by dynamic programming. None
    takes more positions than the longest example in a batch of equal size does, so memory does not
    grow.

    Args:
        lengths: Tokens of every example, at least one each.
        count: Number of batches.

    Returns:
        The numbers of the examples of each batch, every example once; longest batches first. Fewer
        examples than batches go alone.

    Raises:
        ValueError: There is no example, or no batch.
    """
    if not lengths or count < 1:
        raise ValueError(f"{len(lengths)} examples cannot be shared out over {count} batches")
    count = min(count, len(lengths))
    order = sorted(range(len(lengths)), key=lambda example: -lengths[example])
    cost = _positions(np.array([lengths[example] for example in order], dtype=float))
    cost[cost > -(-len(lengths) // count) * cost[0, 0]] = np.inf
    ends = _cuts(cost, count)
    starts = [0, *ends[:-1]]
    return [order[start:end] for start, end in zip(starts, ends, strict=True)]


def _positions(sorted_lengths: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n n"]:
    """[i, j]: positions of a batch of the examples i to j, both included; infinite for j < i."""
    place = np.arange(len(sorted_lengths))
    rows = place[None, :] - place[:, None] + 1
    return np.where(rows > 0, rows * sorted_lengths[:, None], np.inf)


def _cuts(cost: Float[np.ndarray, "n n"], count: int) -> list[int]:
    """Where each of the batches ends, for the least sum of costs."""
    best = cost[0]
    last_starts: list[np.ndarray] = []
    for _ in range(count - 1):
        # [i, j]: the examples before i as they are best, and a batch of i to j.
        sums = best[:-1, None] + cost[1:]
        starts = sums.argmin(axis=0)
        last_starts.append(starts + 1)
        best = sums[starts, np.arange(len(best))]
    ends = [len(best)]
    for starts in reversed(last_starts):
        ends.append(int(starts[ends[-1] - 1]))
    return ends[::-1]
