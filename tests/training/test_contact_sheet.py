"""Pictures for the eye: what is on a sheet, and where."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegpt.morphable.model import MorphableModel
from facegpt.rendering.renderer import Renderer
from facegpt.training.contact_sheet import contact_sheet, write_sheet
from facegpt.training.debug import RenderedFaces, rendered_faces
from facegpt.training.objective import FaceObjective, TargetBatch

SIDE, GAP = 64, 4


@pytest.fixture(scope="module")
def objective(tiny_face_model: MorphableModel) -> FaceObjective:
    return FaceObjective(Renderer(tiny_face_model.restricted_to(), SIDE))


@pytest.fixture(scope="module")
def faces(objective: FaceObjective) -> RenderedFaces:
    return rendered_faces(objective.renderer, 2, generator=torch.Generator().manual_seed(0))


def batch(faces: RenderedFaces, theta: bool) -> TargetBatch:
    known = faces.theta.to_vector() if theta else None
    points = faces.landmarks68_px.clone()
    points[1] = float("nan")
    return TargetBatch(faces.photo, faces.skin, points, torch.tensor([False, True]), known, None)


def tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    height = sheet.shape[0] // 2
    top, left = row * height + GAP, GAP + column * (SIDE + GAP)
    return sheet[top : top + SIDE, left : left + SIDE]


def red(pixels: np.ndarray) -> int:
    return int((pixels == (255, 60, 60)).all(axis=-1).sum())


def green(pixels: np.ndarray) -> int:
    return int((pixels == (40, 220, 90)).all(axis=-1).sum())


def test_photo_prediction_target(objective: FaceObjective, faces: RenderedFaces) -> None:
    sheet = contact_sheet(
        objective, faces.theta.to_vector(), batch(faces, theta=False), ["image: who?", "text: ö"]
    )
    photo = (faces.photo[0] * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(tile(sheet, 0, 0), photo)
    assert red(tile(sheet, 0, 1)) > 100
    assert green(tile(sheet, 0, 2)) > 100
    # Unknown points are not drawn; a grey photo is met by a grey face.
    assert green(tile(sheet, 1, 2)) == 0
    shown = tile(sheet, 1, 1)
    plain = shown[~(shown == (255, 60, 60)).all(axis=-1)]
    face = plain[(plain != 128).any(axis=-1)]
    assert len(face) > 200
    assert (face.max(axis=-1) == face.min(axis=-1)).all()


def test_outside_the_mask_the_target_is_dark(
    objective: FaceObjective, faces: RenderedFaces
) -> None:
    theta = torch.zeros(2, 257)
    sheet = contact_sheet(objective, theta, batch(faces, theta=False), ["", ""])
    assert tile(sheet, 1, 2)[0, 0].tolist() == [32, 32, 32]  # a quarter of the grey wall


def test_known_theta_is_rendered_as_target(objective: FaceObjective, faces: RenderedFaces) -> None:
    wrong = torch.zeros(2, 257)
    targets = batch(faces, theta=True)
    sheet = contact_sheet(objective, wrong, targets, ["", ""])
    target = tile(sheet, 0, 2)
    photo = tile(sheet, 0, 0)
    same = (target == photo).all(axis=-1)
    # Rendered anew it is the photo again, but for the points.
    assert same[~(target == (40, 220, 90)).all(axis=-1)].all()


def test_file_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "sheets" / "step-000001.png"
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    write_sheet(path, pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), pixels)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
