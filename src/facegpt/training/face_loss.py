"""L_face of predicted faces with everything that is weighed beside it, as one number per face.

The terms are those of `objective.py` and `measured_term.py`; here is how much each counts, and
for which kinds of examples. Knows no network.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.training.config import ObjectiveWeights
from facegpt.training.measured_term import MeasuredTerm
from facegpt.training.objective import FaceObjective, TargetBatch

Watch = Callable[[str, Tensor, tuple[str, ...]], None]
"""Sees every term: its name, its values and the kinds of their examples."""


def _look_away(term: str, values: Tensor, kinds: tuple[str, ...]) -> None:
    """Nobody watches."""


class FaceLoss:
    """lambda times term, added up (eq. 3), with L1 on theta and the distance in measurements."""

    def __init__(self, objective: FaceObjective, weights: ObjectiveWeights) -> None:
        """Judge with these terms and lambdas."""
        self.objective = objective
        self.weights = weights
        self._measured = MeasuredTerm(objective.renderer.model) if weights.measured > 0 else None

    def __call__(
        self,
        theta: Float[Tensor, "face 257"],
        targets: TargetBatch,
        kinds: tuple[str, ...],
        *,
        perceptual_times: int = 0,
        watch: Watch = _look_away,
    ) -> Float[Tensor, "face"]:
        """The loss of each face.

        Args:
            kinds: Kind of the example of each face.
            perceptual_times: How often L_perc counts; 0: it is left out.
        """
        terms = self.objective(theta, targets, perceptual=perceptual_times > 0)
        for name, values in terms.items():
            watch(name, values, kinds)
        if "perceptual" in terms:
            terms["perceptual"] = terms["perceptual"] * perceptual_times
        face = self.objective.weighted(terms) * self._shares(kinds).to(theta.device)
        if "theta" in terms:
            face = face + self.weights.theta * terms["theta"]
        face = face + self._measured_loss(theta, targets, kinds, watch)
        watch("face", face, kinds)
        return face

    def _measured_loss(
        self,
        theta: Float[Tensor, "face 257"],
        targets: TargetBatch,
        kinds: tuple[str, ...],
        watch: Watch,
    ) -> Float[Tensor, "face"]:
        """The weighted distance in measurements of faces made from words; zero for photos."""
        worded = torch.tensor([kind != "image" for kind in kinds])
        if self._measured is None or targets.theta is None or not worded.any():
            return theta.new_zeros(len(theta))
        known = targets.theta_mask
        if known is None:
            known = torch.ones_like(targets.theta, dtype=torch.bool)
        place = worded.nonzero().flatten().to(theta.device)
        values = self._measured(
            theta[place], targets.theta[place], known[place], targets.is_grey[place]
        )
        watch("measured", values, tuple(kind for kind in kinds if kind != "image"))
        return theta.new_zeros(len(theta)).index_put((place,), self.weights.measured * values)

    def _shares(self, kinds: tuple[str, ...]) -> Float[Tensor, "face"]:
        return torch.tensor([1.0 if kind == "image" else self.weights.from_text for kind in kinds])
