"""The tone of a photo spread over a whole head: a smooth correction of the model's colours.

Where the photo shows skin the correction follows it at the scale of a finger, elsewhere it
continues smoothly over the surface. This module knows no texture and no light.
"""

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float
from scipy.sparse.linalg import splu
from torch import Tensor

from facegpt.morphable.colour import LUMINANCE_WEIGHTS
from facegpt.morphable.model import MorphableModel

_STIFFNESS = 15.0
"""The correction is smooth over the square root of this many edges."""
_HOMESICK = 2e-3
"""Pull to the average tone where nothing is seen."""
_OUTLIER = 0.35
"""Log ratios further than this from the median are hair, brows or shadows."""
_LARGEST = 1.2


def luminance(colours: Float[Tensor, "point 3"]) -> Float[Tensor, "point 1"]:
    """Lightness of sRGB colours."""
    return colours @ colours.new_tensor(LUMINANCE_WEIGHTS)[:, None]


def spread_tone(
    model: MorphableModel,
    ratio: Float[Tensor, "vertex 3"],
    trust: Float[Tensor, "vertex"],
) -> Float[Tensor, "vertex 3"]:
    """Log ratios photo / model made smooth and continued over the surface (screened Poisson).

    Args:
        trust: How far each ratio is believed, in [0, 1]; all zero gives a correction of zero.
    """
    sure = trust > 0.5
    if int(sure.sum()) < 10:
        return torch.zeros_like(ratio)
    centre = ratio[sure].median(dim=0).values
    distance = (ratio - centre).norm(dim=1)
    weight = (trust / (1 + (distance / _OUTLIER).square()).square()).double().numpy()
    average = np.average(ratio.double().numpy(), axis=0, weights=weight)
    system = _STIFFNESS * _laplacian(model) + scipy.sparse.diags_array(weight + _HOMESICK)
    right = weight[:, None] * ratio.double().numpy() + _HOMESICK * average
    solved = splu(system.tocsc()).solve(right)
    bounded = np.clip(solved, average - _LARGEST, average + _LARGEST)
    return torch.from_numpy(np.clip(bounded, -_LARGEST, _LARGEST)).to(ratio.dtype)


def single_tone(ratio: Float[Tensor, "vertex"], trust: Float[Tensor, "vertex"]) -> float:
    """The median log ratio of what is believed; zero where nothing is."""
    sure = trust > 0.5
    if int(sure.sum()) < 10:
        return 0.0
    return float(ratio[sure].median().clamp(-_LARGEST, _LARGEST))


def _laplacian(model: MorphableModel) -> scipy.sparse.csc_array:
    """Graph Laplacian divided by the number of neighbours of an average vertex."""
    triangles, count = model.triangles.numpy(), len(model.mean_mm)
    start = triangles[:, [0, 1, 2]].ravel()
    end = triangles[:, [1, 2, 0]].ravel()
    ones = np.ones(len(start))
    links = scipy.sparse.coo_array((ones, (start, end)), shape=(count, count)).tocsr()
    links = ((links + links.T) > 0).astype(np.float64)
    degree = np.asarray(links.sum(axis=1)).ravel()
    return ((scipy.sparse.diags_array(degree) - links) / 6.0).tocsc()
