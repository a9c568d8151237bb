"""How faces that fit one text differ: the residuals of predictions from text, as a Gaussian.

A sample is theta + z @ factor with z ~ N(0, I), where factor.T @ factor is the covariance of
(fitted - predicted) over held-out photos whose descriptions were given, cut to its strongest
directions. Shape, expression and albedo vary; light and camera stay. It knows no text: an unusual
text spreads as far as any.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from facegpt.morphable.parameters import BLOCK_SIZES, PARAMETER_COUNT
from facegpt.pipeline.errors import SpreadMissingError, WeightsError

SPREAD_FILE = "spread.safetensors"
_FACTOR = "factor"
_VARYING = ("shape", "expression", "albedo")


@dataclass(frozen=True, eq=False)
class Spread:
    """A Gaussian around a prediction."""

    factor: Float[Tensor, "rank 257"]

    @classmethod
    def load(cls, folder: Path) -> "Spread | None":
        """The spread that lies beside weights; None where there is none.

        Raises:
            WeightsError: The file is damaged or another one.
        """
        file = folder / SPREAD_FILE
        if not file.is_file():
            return None
        try:
            factor = load_file(file)[_FACTOR].float()
        except (SafetensorError, KeyError) as error:
            raise WeightsError(
                f"{file} cannot be used ({error}); make it again with scripts/build_spread.py"
            ) from error
        if factor.ndim != 2 or factor.shape[1] != PARAMETER_COUNT or not factor.isfinite().all():
            raise WeightsError(
                f"{file} must hold finite rows of {PARAMETER_COUNT} numbers, got "
                f"{tuple(factor.shape)}; make it again with scripts/build_spread.py"
            )
        return cls(factor)

    def save(self, folder: Path) -> Path:
        """Write it beside weights."""
        file = folder / SPREAD_FILE
        save_file({_FACTOR: self.factor.contiguous()}, file)
        file.chmod(0o644)
        return file

    def around(
        self, theta: Float[Tensor, "257"], count: int, generator: torch.Generator
    ) -> Float[Tensor, "count 257"]:
        """So many faces around one."""
        drawn = torch.randn(count, len(self.factor), generator=generator)
        return theta + drawn @ self.factor


def needed(spread: Spread | None) -> Spread:
    """The spread, or an error that says how to do without.

    Raises:
        SpreadMissingError: There is none.
    """
    if spread is None:
        raise SpreadMissingError(
            f"these weights come without {SPREAD_FILE}, so several faces of one text cannot be "
            "drawn; leave --samples and --seed out for the likeliest face, or make the file with "
            "scripts/build_spread.py"
        )
    return spread


def residual_factor(
    predicted: Float[Tensor, "face 257"], fitted: Float[Tensor, "face 257"], rank: int = 64
) -> Float[Tensor, "rank 257"]:
    """The strongest directions of fitted - predicted, each as long as its standard deviation.

    Args:
        predicted: Theta from descriptions alone.
        fitted: Theta of the photos that were described.
        rank: Directions to keep; fewer where there are fewer faces.

    Raises:
        ValueError: There are fewer than two faces.
    """
    if len(predicted) < 2:
        raise ValueError(f"a spread needs at least two faces, got {len(predicted)}")
    residual = (fitted - predicted).double()
    residual = (residual - residual.mean(dim=0)) * _varying_mask().double()
    _, lengths, directions = torch.linalg.svd(residual, full_matrices=False)
    rank = min(rank, len(residual) - 1, len(lengths))
    scale = lengths[:rank, None] / (len(residual) - 1) ** 0.5
    return (scale * directions[:rank]).float()


def _varying_mask() -> Float[Tensor, "257"]:
    blocks = [torch.full((size,), float(name in _VARYING)) for name, size in BLOCK_SIZES.items()]
    return torch.cat(blocks)
