"""What a situation tells of theta: the expression and nothing else.

Blendshape weights become delta, and a mask says that no other coefficient of theta is known. Knows
the morphable model, not the files that situations come from.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facegpt.data.schema import DatasetError
from facegpt.data.situations import Situation
from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES, PARAMETER_COUNT

_START = BLOCK_SIZES["shape"]

EXPRESSION = slice(_START, _START + BLOCK_SIZES["expression"])
"""Where delta lies in a flat theta."""


def expressions_of(
    model: MorphableModel, situations: Sequence[Situation]
) -> Float[Tensor, "situation expression"]:
    """delta of every situation: the smallest that comes closest to its blendshapes.

    Raises:
        DatasetError: The model has no blendshape of a name that is used.
    """
    names = sorted({name for situation in situations for name in situation.arkit})
    if not names:
        return torch.zeros(len(situations), BLOCK_SIZES["expression"])
    try:
        # The least-squares fit is linear in the weights: one delta per blendshape is enough.
        rows = [expression_from_arkit(model, {name: 1.0})[0] for name in names]
    except ValueError as error:
        raise DatasetError(f"a situation cannot be shown: {error}") from error
    weights = torch.tensor([[s.arkit.get(name, 0.0) for name in names] for s in situations])
    return weights @ torch.stack(rows).float()


def expression_mask() -> Bool[Tensor, "257"]:
    """True for the coefficients of delta."""
    mask = torch.zeros(PARAMETER_COUNT, dtype=torch.bool)
    mask[EXPRESSION] = True
    return mask
