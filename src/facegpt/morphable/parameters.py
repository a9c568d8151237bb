"""Theta: the 257 numbers that describe a face, as named blocks.

The blocks and their order are those of the paper, theta = [alpha, delta, gamma, phi, c] (section
3.1). This module knows sizes and order only; what a number means is the business of `model.py`,
`geometry/lighting.py` and `geometry/camera.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK_SIZES = {"shape": 80, "expression": 64, "albedo": 80, "illumination": 27, "camera": 6}
"""Block name -> size, in the order of the paper: alpha, delta, gamma, phi, c."""

PARAMETER_COUNT = sum(BLOCK_SIZES.values())
"""257."""


@dataclass(frozen=True)
class FaceParameters:
    """A batch of faces as named blocks of theta (paper, section 3.1).

    Zero everywhere is the mean face, neutral, seen from the front in an aligned crop under white
    ambient light.
    """

    shape: Float[Tensor, "batch identity"]
    """alpha, in standard deviations: N(0, 1) is the prior."""
    expression: Float[Tensor, "batch expression"]
    """delta, in standard deviations around the neutral face."""
    albedo: Float[Tensor, "batch albedo"]
    """gamma, in standard deviations."""
    illumination: Float[Tensor, "batch 27"]
    """phi, 9 spherical harmonics x 3 colours, harmonic-major, as offsets from white ambient
    light."""
    camera: Float[Tensor, "batch 6"]
    """c = pitch, yaw, roll (radians), x, y (half crops), log of the scale."""

    @classmethod
    def zeros(
        cls, batch: int, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> "FaceParameters":
        """The mean face, `batch` times."""
        return cls(
            **{k: torch.zeros(batch, n, dtype=dtype, device=device) for k, n in BLOCK_SIZES.items()}
        )

    @classmethod
    def from_vector(cls, theta: Float[Tensor, "batch parameter"]) -> "FaceParameters":
        """Cut a flat theta into its blocks.

        Raises:
            ValueError: The last dimension is not 257.
        """
        if theta.ndim != 2 or theta.shape[-1] != PARAMETER_COUNT:
            raise ValueError(
                f"theta must have shape (batch, {PARAMETER_COUNT}), got {tuple(theta.shape)}"
            )
        blocks = theta.split(list(BLOCK_SIZES.values()), dim=-1)
        return cls(**dict(zip(BLOCK_SIZES, blocks, strict=True)))

    def to_vector(self) -> Float[Tensor, "batch parameter"]:
        """The blocks side by side, in the order of the paper."""
        return torch.cat(list(self.blocks().values()), dim=-1)

    def blocks(self) -> dict[str, Tensor]:
        """Block name -> tensor, in the order of the paper."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def replace(self, **blocks: Tensor) -> "FaceParameters":
        """A copy with some blocks exchanged."""
        return replace(self, **blocks)

    def detach(self) -> "FaceParameters":
        """A copy that carries no gradient and shares no memory."""
        return FaceParameters(**{k: v.detach().clone() for k, v in self.blocks().items()})

    def to(self, target: torch.dtype | torch.device | str) -> "FaceParameters":
        """All blocks on another device or in another dtype."""
        return FaceParameters(**{k: v.to(target) for k, v in self.blocks().items()})

    def __len__(self) -> int:
        return self.shape.shape[0]

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> "FaceParameters":
        """Some faces of the batch; an integer keeps the batch dimension."""
        if isinstance(index, int):
            index = [index]
        return FaceParameters(**{k: v[index] for k, v in self.blocks().items()})

    def __iter__(self) -> Iterator["FaceParameters"]:
        return (self[i] for i in range(len(self)))

    @staticmethod
    def cat(parts: Sequence["FaceParameters"]) -> "FaceParameters":
        """Several batches one after the other."""
        return FaceParameters(**{k: torch.cat([getattr(p, k) for p in parts]) for k in BLOCK_SIZES})
