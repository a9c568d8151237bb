"""Expressions that muscles can make: blendshape weights belong into [0, 1].

delta ~ N(0, 1) is symmetric, faces are not: nobody lowers the brows by a negative raise. Where the
morphable model has named blendshapes, weights outside [0, 1] cost extra, in every stage of a fit.
This goes beyond L_reg of eq. 3; it makes the fitted expression one that a rig can play back.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.model import MorphableModel

DEVIATION = 0.05
"""How far, in blendshape weight, an expression may easily leave [0, 1]."""


@dataclass(frozen=True)
class ExpressionPrior:
    """The linear map from delta to blendshape weights, and what it costs to leave [0, 1]."""

    weights_from_delta: Float[Tensor, "blendshape expression"]
    """Least squares; no rows for a model without blendshapes."""

    @classmethod
    def of(cls, model: MorphableModel) -> "ExpressionPrior":
        """The prior of a model, in float64."""
        delta_mm = model.expression_mm.flatten(1).double()
        if not model.arkit_names:
            return cls(delta_mm.new_zeros(0, len(delta_mm)))
        shapes_mm = model.arkit_mm.flatten(1).double()
        # Blendshapes in units of delta first: there they are far from parallel, in mm they are not.
        gram = delta_mm @ delta_mm.T
        gram = gram + 1e-9 * gram.diagonal().mean() * torch.eye(len(gram)).to(gram)
        delta_from_weights = torch.linalg.solve(gram, delta_mm @ shapes_mm.T)
        return cls(torch.linalg.pinv(delta_from_weights, rtol=1e-3))

    def outside(
        self, delta: Float[Tensor, "batch expression"]
    ) -> Float[Tensor, "batch blendshape"]:
        """How far each weight lies outside [0, 1]: negative below 0, positive above 1."""
        weights = delta @ self.weights_from_delta.T.to(delta.dtype)
        return weights - weights.clamp(0, 1)

    def term(self, delta: Float[Tensor, "batch expression"]) -> Float[Tensor, "batch"]:
        """Squared distance from [0, 1] in deviations, as a mean over the coefficients of delta."""
        return (self.outside(delta) / DEVIATION).square().sum(dim=-1) / delta.shape[-1]
