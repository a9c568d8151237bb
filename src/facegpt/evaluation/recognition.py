"""Is it still the same person? Relative face recognition rate (RFRR; paper, A.5).

The paper renders prediction and truth "with the same pose and the lighting" and takes the cosine
of their ArcFace descriptors. It names neither pose nor light; here the head is seen from the front
in the middle of the crop (camera c = 0) in the light of an average photo (`losses.mean_light`), on
black. Every face keeps its own shape, expression and albedo.

Any `IdentityEncoder` will do, but numbers of two encoders cannot be compared. ArcFace is the user's
to bring. Descriptors of dlib share a large common direction, so that all faces have a high cosine
(0.89 between 24 random heads of the default model, -0.06 around their centre): subtract a centre,
or go by the L2 distance.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from facegpt.evaluation.checks import check_any, check_finite, check_pairs
from facegpt.evaluation.metrics import cosines
from facegpt.losses import mean_light
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.identity import IdentityEncoder
from facegpt.rendering.renderer import Renderer

_BATCH = 16


@dataclass(frozen=True)
class IdentityAgreement:
    """How much each predicted face is the person of its truth."""

    cosine: Float[np.ndarray, "face"]
    """The paper's RFRR, -1 to 1; the 14.0 to 64.88 of its tables must be hundredths. NaN where a
    descriptor is zero, or is the centre."""
    distance: Float[np.ndarray, "face"]
    """L2 distance of the descriptors, which no centre changes. dlib takes less than 0.6 for the
    same person on photos."""


def recognition(
    renderer: Renderer,
    predicted: FaceParameters,
    truth: FaceParameters,
    encoder: IdentityEncoder,
    *,
    centre: Float[np.ndarray, "feature"] | None = None,
) -> IdentityAgreement:
    """Render both under one pose and one light and compare what the encoder sees.

    Args:
        renderer: Usually of `MorphableModel.restricted_to()`, the face region, at 224 pixels.
        centre: As in `identity_agreement`.

    Raises:
        MeasureError: As `identity_agreement`.
        ValueError: Theta is not finite, as `Renderer` says.
    """
    check_pairs("predicted and true faces", predicted, truth)
    descriptors = [identity_descriptors(renderer, theta, encoder) for theta in (predicted, truth)]
    return identity_agreement(*descriptors, centre=centre)


def identity_descriptors(
    renderer: Renderer, theta: FaceParameters, encoder: IdentityEncoder
) -> Float[np.ndarray, "face feature"]:
    """What the encoder says of every face, seen from the front in the light of an average photo.

    The points by which encoders cut a face out are those of the mesh, so no detector takes part.

    Raises:
        MeasureError: There is no face.
    """
    check_any("faces to describe", theta)
    parts = []
    with torch.no_grad():
        for first in range(0, len(theta), _BATCH):
            seen = renderer(_posed(theta[first : first + _BATCH]))
            parts.append(encoder.encode(seen.image.clamp(0, 1), seen.landmarks_px))
    return torch.cat(parts).double().cpu().numpy()


def identity_agreement(
    predicted: Float[np.ndarray, "face feature"],
    truth: Float[np.ndarray, "face feature"],
    *,
    centre: Float[np.ndarray, "feature"] | None = None,
) -> IdentityAgreement:
    """Compare descriptors, face by face.

    Args:
        centre: Subtracted from both before the cosine, such as the mean descriptor of many true
            faces (not of the predictions: they would be flattered); nothing in the paper.

    Raises:
        MeasureError: There are no faces or not as many of both, or a descriptor is not finite.
    """
    check_pairs("predicted and true descriptors", predicted, truth)
    check_finite("descriptors of predicted faces", predicted)
    check_finite("descriptors of true faces", truth)
    middle = 0.0 if centre is None else centre
    return IdentityAgreement(
        cosines(predicted - middle, truth - middle),
        np.linalg.norm(predicted - truth, axis=1),
    )


def identity_agreement_by_faces(
    predicted: Float[np.ndarray, "face feature"],
    truth: Float[np.ndarray, "face feature"],
    *,
    centre: Float[np.ndarray, "feature"] | None = None,
) -> IdentityAgreement:
    """The same, face by face in so many words."""
    middle = np.zeros(predicted.shape[1]) if centre is None else centre
    found = []
    for a, b in zip(predicted, truth, strict=True):
        p, q = a - middle, b - middle
        length = float(np.sqrt((p * p).sum()) * np.sqrt((q * q).sum()))
        cosine = float((p * q).sum()) / length if length > 1e-12 else float("nan")
        found.append([cosine, float(np.sqrt(((a - b) ** 2).sum()))])
    return IdentityAgreement(*np.array(found).T)


def _posed(theta: FaceParameters) -> FaceParameters:
    light = mean_light(dtype=theta.illumination.dtype, device=theta.illumination.device)
    return theta.replace(
        camera=torch.zeros_like(theta.camera),
        illumination=light.expand_as(theta.illumination),
    )
