"""The faces that FaceGPT makes in answers: of a text alone, or of a photo in a conversation.

Both know the morphable model that gives them their mesh, and save themselves. Knows no language
model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.assets import licence_ledger
from facegpt.geometry.camera import camera_matrices, project_orthographic
from facegpt.morphable.blendshapes import arkit_weights
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.semantics import describe_records
from facegpt.perception.images import Photo
from facegpt.reconstruction import FaceReconstruction


@dataclass(frozen=True, eq=False)
class ImaginedFace:
    """A face that was made from words."""

    reconstruction: FaceReconstruction
    """Its record; there is no photo, so landmarks and camera are those of the 224 crop."""
    model: MorphableModel

    @property
    def text(self) -> str:
        """What it was made from."""
        return self.reconstruction.source["text"]

    @property
    def words(self) -> str:
        """What the model said about the face before it made it; empty if nothing."""
        return self.reconstruction.source.get("words", "")

    @property
    def theta(self) -> FaceParameters:
        """A batch of one."""
        return self.reconstruction.parameters

    @property
    def arkit(self) -> Mapping[str, float]:
        """Blendshape name -> weight in [0, 1]."""
        return self.reconstruction.arkit

    @property
    def semantics(self) -> Mapping[str, Any]:
        """Named measurements."""
        return self.reconstruction.semantics

    def to_record(self) -> dict[str, Any]:
        """The JSON object, schema `facegpt.face/1`."""
        return self.reconstruction.to_record()

    def save(self, directory: Path, formats: Sequence[str] | None = None) -> list[Path]:
        """Write head.glb, head.obj, head.ply, portrait.png and face.json, or some of them."""
        return _save(self.reconstruction, self.model, None, directory, formats)


@dataclass(frozen=True, eq=False)
class PhotoFace:
    """A face that was made from a photo in a conversation."""

    reconstruction: FaceReconstruction
    model: MorphableModel
    photo: Photo

    @property
    def theta(self) -> FaceParameters:
        """A batch of one."""
        return self.reconstruction.parameters

    def to_record(self) -> dict[str, Any]:
        """The JSON object, schema `facegpt.face/1`."""
        return self.reconstruction.to_record()

    def save(self, directory: Path, formats: Sequence[str] | None = None) -> list[Path]:
        """Write head.glb, head.obj, head.ply, overlay.png and face.json, or some of them."""
        return _save(self.reconstruction, self.model, self.photo, directory, formats)


AnsweredFace = ImaginedFace | PhotoFace


def _save(
    face: FaceReconstruction,
    model: MorphableModel,
    photo: Photo | None,
    directory: Path,
    formats: Sequence[str] | None,
) -> list[Path]:
    # Textures, portraits and file formats take a third of a second to import: not before a save.
    from facegpt.rendering.results import save_reconstruction

    return save_reconstruction(face, model, photo, directory, formats)


def imagined_faces(
    theta: FaceParameters,
    model: MorphableModel,
    sources: Sequence[Mapping[str, Any]],
    *,
    method: str,
    licences: Sequence[str],
) -> list[ImaginedFace]:
    """The results for theta that texts gave.

    Args:
        sources: Of each face `text`, and what else its record shall keep of where it comes from.
        licences: Names of the assets that shaped theta, beside those of the model.
    """
    if not len(theta):
        return []
    landmarks = mesh_landmarks_px(theta, model)
    semantics = describe_records(theta, model)
    size, crop_from_image = (CROP_SIZE, CROP_SIZE), torch.eye(3, dtype=torch.float64)
    ledger = licence_ledger(dict.fromkeys((*model.licences, *licences)))
    return [
        ImaginedFace(
            FaceReconstruction(
                method=method,
                morphable_model=model.name,
                parameters=face,
                arkit=arkit_weights(model, face.expression),
                semantics=measured,
                landmarks68_px=points,
                box_px=torch.cat([points.min(dim=0).values, points.max(dim=0).values]),
                image_size=size,
                crop_from_image=crop_from_image,
                camera=camera_matrices(face.camera[0], model.pixels_per_mm, crop_from_image, size),
                errors={},
                licences=ledger,
                source={"kind": "text", **source},
            ),
            model,
        )
        for face, measured, points, source in zip(theta, semantics, landmarks, sources, strict=True)
    ]


def mesh_landmarks_px(theta: FaceParameters, model: MorphableModel) -> Float[Tensor, "face 68 2"]:
    """The 68 points of the mesh, in pixels of the 224 crop."""
    with torch.no_grad():
        points_mm = model.vertices_mm(theta.shape, theta.expression)[:, model.landmarks68]
        projected = project_orthographic(points_mm, theta.camera, CROP_SIZE, model.pixels_per_mm)
    return projected[..., :2]
