"""How far two faces are apart in what can be said of them: smile, mouth, turn, skin, nose ...

Words fix a few measurements of a face and leave most coefficients of theta open. An L1 distance of
all coefficients then teaches their medians, the average face; this term asks for the measurements
themselves. Beyond the paper (its eq. 5 has none). Knows no sentence: every measurement counts that
the target knows, whether the text spoke of it or not.
"""

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters
from facegpt.morphable.population import Population, default_population
from facegpt.morphable.semantics import MEASUREMENTS, available, measure

FIRST_SAID: Mapping[str, float] = {
    "smile": 16.0,
    "mouth_open": 16.0,
    "brow_raise": 2.0,
    "brow_furrow": 3.0,
    "frown": 2.0,
    "skin_lightness": 12.0,
    "skin_typology_angle": 12.0,
    "yaw": 3.0,
    "light_side": 2.0,
}
"""What people say of a face before anything else counts this much more within its block."""

_BLOCK_SHARES: Mapping[str, float] = {
    "shape": 4.0,
    "expression": 2.0,
    "albedo": 2.0,
    "illumination": 0.5,
    "camera": 1.0,
}
"""How much a block counts beside the others. Equal shares and importances of 3 to 6 left the
lightness of the skin 4 % of the term, and texts about dark skin made light faces. Shape has 34
measurements of which a text names two or three, so each counts little: with a share of 1 a head
learnt skin and smile and hardly a nose."""

_LEFT_OUT = frozenset(("light_azimuth", "light_elevation"))
"""Angles of a direction that may be any: they jump."""


class MeasuredTerm:
    """Smooth L1 distance of measurements in standard deviations of the population."""

    def __init__(self, model: MorphableModel, population: Population | None = None) -> None:
        """Choose the measurements.

        Args:
            model: Faces are of this model.
            population: Gives the unit of every measurement; the model's own by default.
        """
        self.model = model
        self.names = tuple(n for n in available(model) if n not in _LEFT_OUT)
        people = population or default_population(model)
        self._deviation = torch.tensor([max(people.deviation(n), 1e-3) for n in self.names])
        self._importance = torch.tensor([FIRST_SAID.get(n, 1.0) for n in self.names])
        self._blocks = {
            block: torch.tensor([MEASUREMENTS[n].block == block for n in self.names])
            for block in BLOCK_SIZES
        }

    def __call__(
        self,
        theta: Float[Tensor, "face 257"],
        wanted: Float[Tensor, "face 257"],
        known: Bool[Tensor, "face 257"],
        is_grey: Bool[Tensor, "face"],
    ) -> Float[Tensor, "face"]:
        """The distance of each face: the weighted mean over its known blocks of that within.

        Args:
            wanted: The faces that are meant.
            known: Which of their coefficients are known; a block with a gap is not judged.
            is_grey: Faces seen without colour: their skin is a guess and is not judged.

        Returns:
            Zero where no block is known.
        """
        # A smile is measured on a shape: where the expression alone is meant, the shape is that of
        # the prediction and learns nothing from it.
        given = theta.detach()
        seen = self._measured(torch.where(known, theta, given))
        with torch.no_grad():
            meant = self._measured(torch.where(known, wanted.nan_to_num(), given))
        distance = torch.nn.functional.smooth_l1_loss(seen, meant, reduction="none")
        total = theta.new_zeros(len(theta))
        count = theta.new_zeros(len(theta))
        for block, is_known in self._known_blocks(known, is_grey):
            importance = (self._importance * self._blocks[block]).to(theta)
            if not importance.any():
                continue
            mean = (distance * importance).sum(dim=1) / importance.sum()
            share = _BLOCK_SHARES[block]
            total = total + share * torch.where(is_known, mean, 0.0)
            count = count + share * is_known
        return total / count.clamp(min=min(_BLOCK_SHARES.values()))

    def _measured(self, theta: Tensor) -> Float[Tensor, "face measurement"]:
        values = measure(FaceParameters.from_vector(theta), self.model, self.names)
        return torch.stack([values[n] for n in self.names], dim=1) / self._deviation.to(theta)

    @staticmethod
    def _known_blocks(known: Tensor, is_grey: Tensor) -> Iterable[tuple[str, Tensor]]:
        parts = known.split(list(BLOCK_SIZES.values()), dim=1)
        for block, part in zip(BLOCK_SIZES, parts, strict=True):
            whole = part.all(dim=1)
            yield block, whole & ~is_grey if block == "albedo" else whole
