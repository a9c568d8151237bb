"""The book of a run: every term of the loss, by name and by kind of data, between two log lines.

It adds up, across batches and processes, and refuses numbers that are none. It knows no loss.
"""

from collections.abc import Callable, Sequence
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.data.examples import Kind

KINDS: tuple[str, ...] = get_args(Kind)

TERMS = ("text", "face", "pixel", "perceptual", "landmark", "regularisation", "theta", "measured")
"""`text` is L_txt per token, `face` is L_face per face; the others are its terms, unweighted."""


class NonFiniteTermError(ValueError):
    """A term of the loss is NaN or infinite: the weights of the last step are untouched (but by
    DeepSpeed, which takes the step before it tells the length of the gradient)."""

    def __init__(self, term: str, kind: str, step: int, checkpoint: str) -> None:
        """Say which term it was.

        Args:
            term: Name of the term, or `gradient of NAME`.
            kind: Kind of the example it came from.
            step: The step that was not taken.
            checkpoint: Where the last good weights are.
        """
        self.term, self.kind, self.step = term, kind, step
        super().__init__(
            f"the term {term!r} is not finite at step {step} for the kind {kind!r}; training "
            f"stopped and nothing of this step was saved. Last good weights: {checkpoint}. Lower "
            f"--optimiser.learning-rate, or look at the example, then run the same command again"
        )


class TermBook:
    """Sums and counts of every term and kind."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._sums = torch.zeros(2, len(TERMS), len(KINDS), dtype=torch.float64)

    def add(self, term: str, values: Float[Tensor, "entry"], kinds: Sequence[str]) -> None:
        """Enter one value per face or token, with the kind of the example it belongs to.

        Raises:
            ValueError: There is no such term or kind.
        """
        columns = torch.tensor([KINDS.index(kind) for kind in kinds], dtype=torch.long)
        row = TERMS.index(term)
        entered = values.detach().double().cpu()
        self._sums[0, row].index_add_(0, columns, entered)
        self._sums[1, row].index_add_(0, columns, torch.ones_like(entered))

    def add_sum(self, term: str, kind: str, total: float, count: int) -> None:
        """Enter many values of one kind at once."""
        place = TERMS.index(term), KINDS.index(kind)
        self._sums[0][place] += total
        self._sums[1][place] += count

    def close(self, reduce: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
        """Means since the last time: `pixel`, and `pixel/image` for each kind; then start anew.

        Args:
            reduce: Adds the book up over the processes of the run.
        """
        sums, counts = self._sums if reduce is None else reduce(self._sums)
        means = {}
        for row, term in enumerate(TERMS):
            if counts[row].sum() > 0:
                means[term] = float(sums[row].sum() / counts[row].sum())
            for column, kind in enumerate(KINDS):
                if counts[row, column] > 0:
                    means[f"{term}/{kind}"] = float(sums[row, column] / counts[row, column])
        self._sums = torch.zeros_like(self._sums)
        return means


def first_non_finite(values: Float[Tensor, "entry"], kinds: Sequence[str]) -> str | None:
    """Kind of the first entry that is NaN or infinite, if there is one."""
    bad = (~values.detach().isfinite()).nonzero()
    return kinds[int(bad[0])] if len(bad) else None
