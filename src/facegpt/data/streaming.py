"""The order in which rows of files come that must be fetched: shuffled, and few files at a time.

Files come in random order, some of them make a window, and the rows of a window are shuffled. So
every row comes once, neighbours come from few files, and which row is at which place depends on the
generator alone: a training goes on at any place without having read what came before.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class StreamSettings:
    """How files that lie elsewhere are read."""

    window: int = 4
    """Files whose rows are shuffled together."""
    memory_mb: int = 1024
    """For fetched files, per process."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                flag = name.replace("_", "-")
                raise ValueError(f"--stream-{flag} must be at least 1, got {value}")


def windowed_order(
    files: Int[Tensor, "row"], window: int, generator: torch.Generator
) -> Int[Tensor, "row"]:
    """An order of rows, as places in `files`.

    Args:
        files: The file of every row; those of a file need not be neighbours.
        window: Files that are shuffled together.
    """
    if len(files) == 0:
        return files.clone()
    known, inverse = files.unique(return_inverse=True)
    turn = torch.randperm(len(known), generator=generator)
    windows = (turn // window)[inverse]
    # Sorted by window, and by chance within one: the shuffle first, and a sort that keeps it.
    mixed = torch.randperm(len(files), generator=generator)
    return mixed[torch.argsort(windows[mixed], stable=True)]
