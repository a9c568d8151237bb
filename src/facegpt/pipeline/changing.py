"""Faces changed by meaning: a wider nose, an open jaw, lighter skin.

Measurements move by standard deviations of the population (`morphable.editing`), blendshapes are
set to weights. What was changed stands in the record, so the same face can be made again.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.blendshapes import arkit_weights
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.registry import load_morphable_model
from facegpt.morphable.semantics import MEASUREMENTS, Shift, describe_record, edit
from facegpt.pipeline.faces import mesh_landmarks_px
from facegpt.reconstruction import FaceReconstruction, read_record
from facegpt.rendering.restage import Staging, staged
from facegpt.rendering.results import IMAGINED_FORMATS, load_texture, save_reconstruction
from facegpt.rendering.texture import recoloured

LARGEST_SHIFT = 4.0
"""Standard deviations; beyond, faces of the model are no longer faces."""


@dataclass(frozen=True)
class Change:
    """What shall be different."""

    semantics: Mapping[str, float] = field(default_factory=dict)
    """Name of a measurement -> by how many standard deviations of the population it moves."""
    arkit: Mapping[str, float] = field(default_factory=dict)
    """Blendshapes to set, weights in [0, 1]; the others stay."""

    def __post_init__(self) -> None:
        for name, shift in self.semantics.items():
            if name not in MEASUREMENTS:
                [nearest] = difflib.get_close_matches(name, MEASUREMENTS, n=1, cutoff=0)
                raise ValueError(f"no measurement {name[:50]!r}; did you mean {nearest!r}?")
            if not (math.isfinite(shift) and abs(shift) <= LARGEST_SHIFT):
                raise ValueError(
                    f"{name} moves by at most {LARGEST_SHIFT:g} standard deviations, got {shift}"
                )
        for name, weight in self.arkit.items():
            if not 0 <= weight <= 1:
                raise ValueError(f"the weight of {name[:50]} lies between 0 and 1, got {weight}")

    @staticmethod
    def of_pairs(pairs: Sequence[str], model: MorphableModel) -> "Change":
        """The change that NAME=VALUE pairs ask for.

        Raises:
            ValueError: A pair is none, or its name is neither a measurement nor a blendshape.
        """
        semantics, arkit = {}, {}
        for pair in pairs:
            name, _, value = pair.partition("=")
            try:
                number = float(value)
            except ValueError:
                raise ValueError(
                    f"a change is NAME=VALUE such as nose_width=+1.5 or jawOpen=0.5, got {pair!r}"
                ) from None
            if name not in MEASUREMENTS and name not in model.arkit_names:
                names = (*MEASUREMENTS, *model.arkit_names)
                [nearest] = difflib.get_close_matches(name, names, n=1, cutoff=0)
                raise ValueError(
                    f"no measurement or blendshape {name[:50]!r}; did you mean {nearest!r}?"
                )
            (semantics if name in MEASUREMENTS else arkit)[name] = number
        return Change(semantics, arkit)


def changed_theta(
    model: MorphableModel, face: FaceReconstruction, change: Change
) -> FaceParameters:
    """Theta of the changed face.

    Raises:
        ValueError: The model has no such blendshape, or the measurements cannot be had together.
    """
    theta = staged(model, face.parameters, face.arkit, Staging(arkit=change.arkit))
    targets = {name: Shift(float(shift)) for name, shift in change.semantics.items() if shift}
    return edit(theta, model, targets) if targets else theta


def changed_face(
    face: FaceReconstruction, model: MorphableModel, change: Change
) -> FaceReconstruction:
    """The changed face: its landmarks are those of the mesh, and no photo tells how well it fits.

    Raises:
        ValueError: As `changed_theta`.
    """
    theta = changed_theta(model, face, change)
    points = _in_original(mesh_landmarks_px(theta, model)[0], face.crop_from_image)
    done = {"semantics": dict(change.semantics), "arkit": dict(change.arkit)}
    return replace(
        face,
        parameters=theta,
        arkit=arkit_weights(model, theta.expression),
        semantics=describe_record(theta, model),
        landmarks68_px=points,
        box_px=torch.cat([points.min(dim=0).values, points.max(dim=0).values]),
        errors={},
        source={**face.source, "changes": [*face.source.get("changes", ()), done]},
    )


def edit_record(record: Path, pairs: Sequence[str], output: Path) -> list[Path]:
    """Change a saved face; the texture beside its record is kept and recoloured.

    Args:
        pairs: NAME=VALUE.
        output: Folder of the new head.

    Returns:
        The files written.

    Raises:
        FaceRecordError: The record is damaged.
        ValueError: As `Change.of_pairs` and `changed_theta`.
        AssetMissingError: The morphable model of the record is not installed.
    """
    face = read_record(record)
    model = load_morphable_model(face.morphable_model)
    new = changed_face(face, model, Change.of_pairs(pairs, model))
    texture = load_texture(record.parent)
    if texture is not None:
        texture = recoloured(texture, model, face.parameters, new.parameters)
    return save_reconstruction(new, model, None, output, IMAGINED_FORMATS, texture)


def _in_original(
    points_px: Float[Tensor, "68 2"], crop_from_image: Float[Tensor, "3 3"]
) -> Float[Tensor, "68 2"]:
    whole = torch.cat([points_px.double(), torch.ones(len(points_px), 1, dtype=torch.float64)], 1)
    return (whole @ torch.linalg.inv(crop_from_image.double()).mT)[:, :2].to(points_px)
