"""Between delta and the named ARKit blendshapes: weights that animation tools understand, and back.

The two spans differ a little (64 principal components against 52 named shapes with weights in
[0, 1]), so both directions are least-squares fits and the residual in mm is part of the answer.
This module knows no identity: blendshape offsets are the same for everybody.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.model import MorphableModel

_INDEPENDENT = 1e-9
"""Directions weaker than this share of the strongest one are taken as linearly dependent."""


@dataclass(frozen=True)
class BlendshapeFit:
    """A delta in blendshape weights."""

    weights: dict[str, float]
    """Name -> weight in [0, 1], every blendshape of the model, in the model's order."""
    residual_mm: float
    """Root mean square over the vertices of what the weights cannot say."""
    residual_max_mm: float
    """The same at the worst vertex."""


def fit_blendshapes(
    model: MorphableModel, expression: Float[Tensor, "1 expression"]
) -> BlendshapeFit:
    """The blendshape weights that come closest to an expression, by bounded least squares.

    A model without blendshapes gives no weights and the whole expression as the residual.
    """
    offset = (expression.detach() @ model.expression_mm.flatten(1)).double()[0]
    if not model.arkit_names:
        return BlendshapeFit({}, *_lengths_mm(offset))
    named = arkit_weights(model, expression)
    weights = torch.tensor(list(named.values()), dtype=torch.float64)
    rest = offset - weights @ model.arkit_mm.flatten(1).double()
    return BlendshapeFit(named, *_lengths_mm(rest))


@dataclass(frozen=True)
class _Span:
    """The blendshapes of a model, without its vertices. A fit has as many unknowns as shapes and
    three equations per vertex; |root @ weights - target @ delta| is smallest for the same weights.
    """

    root: Float[Tensor, "direction shape"]
    target: Float[Tensor, "direction expression"]


_SPANS: "WeakKeyDictionary[MorphableModel, _Span]" = WeakKeyDictionary()


def _span_of(model: MorphableModel) -> _Span:
    """Found once and kept as long as the model."""
    if model not in _SPANS:
        shapes = model.arkit_mm.flatten(1).double()
        values, directions = torch.linalg.eigh(shapes @ shapes.T)
        strong = values > _INDEPENDENT * values[-1]
        roots = values[strong].sqrt()
        directions = directions[:, strong]
        products = shapes @ model.expression_mm.flatten(1).double().T
        _SPANS[model] = _Span((directions * roots).T, (directions / roots).T @ products)
    return _SPANS[model]


def arkit_weights(
    model: MorphableModel, expression: Float[Tensor, "1 expression"]
) -> dict[str, float]:
    """The weights of `fit_blendshapes` alone, which no vertex is needed for."""
    if not model.arkit_names:
        return {}
    from scipy.optimize import lsq_linear  # half a second that is not spent on import facegpt

    span = _span_of(model)
    wanted = span.target @ expression.detach()[0].double()
    solution = lsq_linear(span.root.numpy(), wanted.numpy(), bounds=(0.0, 1.0), method="bvls")
    weights = np.clip(solution.x, 0.0, 1.0)
    return {name: float(w) for name, w in zip(model.arkit_names, weights, strict=True)}


def expression_from_arkit(
    model: MorphableModel, weights: Mapping[str, float]
) -> Float[Tensor, "1 expression"]:
    """The smallest delta that comes closest to some blendshape weights.

    Args:
        weights: Name -> weight in [0, 1]; names left out are 0.

    Raises:
        ValueError: The model has no such blendshape, or a weight lies outside [0, 1].
    """
    offset = blendshape_offset_mm(model, weights).flatten().double()
    basis = model.expression_mm.flatten(1).double()
    inverse = torch.linalg.pinv(basis @ basis.T, hermitian=True, rtol=_INDEPENDENT)
    return (inverse @ (basis @ offset)).to(model.mean_mm.dtype)[None]


def blendshape_offset_mm(
    model: MorphableModel, weights: Mapping[str, float]
) -> Float[Tensor, "vertex 3"]:
    """What the weighted blendshapes add to every vertex, in mm.

    Raises:
        ValueError: The model has no such blendshape, or a weight lies outside [0, 1].
    """
    rows = {name: row for row, name in enumerate(model.arkit_names)}
    vector = torch.zeros(len(rows), dtype=model.mean_mm.dtype)
    for name, weight in weights.items():
        if name not in rows:
            raise ValueError(_unknown(name, model))
        if not 0.0 <= weight <= 1.0:
            raise ValueError(f"the weight of blendshape {name} must be in [0, 1], got {weight}")
        vector[rows[name]] = weight
    return torch.einsum("b,bvc->vc", vector, model.arkit_mm)


def _unknown(name: str, model: MorphableModel) -> str:
    if not model.arkit_names:
        return f"the model {model.name} has no named blendshapes, so {name!r} cannot be set"
    [nearest] = difflib.get_close_matches(name, model.arkit_names, n=1, cutoff=0)
    known = ", ".join(model.arkit_names)
    return f"no blendshape {name!r}; did you mean {nearest!r}? Known: {known}"


def _lengths_mm(offset: Float[Tensor, "flat"]) -> tuple[float, float]:
    square = offset.view(-1, 3).square().sum(dim=1)
    return float(square.mean().sqrt()), float(square.max().sqrt())
