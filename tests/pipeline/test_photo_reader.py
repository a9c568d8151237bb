"""Photos: every face, the same alone and in a batch, closer when refined."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegpt.fitting.photos import PhotoReconstructor, fit_photos, plan_tasks
from facegpt.morphable.model import MorphableModel
from facegpt.perception.images import ImageError
from facegpt.pipeline import FaceGPT, NoFaceError
from facegpt.reconstruction import FaceReconstruction, FaceReconstructor
from tiny_facegpt import CORNER_PX, face_photo, nobody, tiny_facegpt


def test_it_is_a_method_for_photos(facegpt: FaceGPT) -> None:
    for method in (facegpt, facegpt.reader, facegpt.refining_reader):
        assert isinstance(method, FaceReconstructor)
        assert isinstance(method, PhotoReconstructor)
    assert (facegpt.name, facegpt.refining_reader.name) == ("nano", "nano+refine")


def test_one_photo(facegpt: FaceGPT, photo: np.ndarray) -> None:
    [face] = facegpt.reconstruct(photo)
    _, points = face_photo(facegpt.model)
    np.testing.assert_allclose(face.landmarks68_px.numpy(), points, atol=1e-3)
    assert face.method == "nano"
    assert face.image_size == (400, 300)
    assert face.errors["landmark_px"] > 0
    assert not face.is_imagined
    licences = {row["name"] for row in face.licences}
    assert {"smollm2", "nano", "points-of-a-test", *facegpt.model.licences} <= licences
    assert FaceReconstruction.from_record(face.to_record()).errors == pytest.approx(
        face.errors, rel=1e-5
    )


def test_a_batch_gives_what_single_photos_give(facegpt: FaceGPT, photo: np.ndarray) -> None:
    darker = (photo * 0.5).astype(np.uint8)
    [[first], [], [second]] = facegpt.reconstruct([photo, nobody(), darker])
    [alone] = facegpt.reconstruct(darker)
    torch.testing.assert_close(
        second.parameters.to_vector(), alone.parameters.to_vector(), atol=1e-5, rtol=1e-4
    )
    change = first.parameters.to_vector() - second.parameters.to_vector()
    assert change.abs().max() > 1e-4
    assert facegpt.reconstruct(nobody()) == []
    assert facegpt.reconstruct([]) == []


def test_every_face_of_a_photo(tiny_face_model: MorphableModel, photo: np.ndarray) -> None:
    crowd = tiny_facegpt(tiny_face_model, faces=19)
    assert len(crowd.reconstruct(photo)) == 19


def test_refining_comes_closer(facegpt: FaceGPT, photo: np.ndarray) -> None:
    [predicted] = facegpt.reconstruct(photo)
    [refined] = facegpt.reconstruct(photo, refine=True)
    assert refined.method == "nano+refine"
    assert refined.errors["landmark_px"] < 0.6 * predicted.errors["landmark_px"]
    assert refined.errors["photometric"] < predicted.errors["photometric"]


def test_the_folder_runner_works_with_it(
    facegpt: FaceGPT, photo: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(photo).save(tmp_path / "in" / "her.png")
    Image.fromarray(nobody()).save(tmp_path / "in" / "wall.png")
    tasks = plan_tasks([tmp_path / "in"], tmp_path / "out")
    her, wall = fit_photos(facegpt.refining_reader, tasks, ("json", "overlay"))
    assert {p.name for p in her.directories[0].iterdir()} == {"face.json", "overlay.png"}
    assert wall.has_no_face


def test_the_face_lies_on_the_photo(facegpt: FaceGPT, photo: np.ndarray) -> None:
    [face] = facegpt.reconstruct(photo)
    image_from_crop = torch.linalg.inv(face.crop_from_image)
    centre = image_from_crop[:2, :2] @ torch.full((2,), 111.5).double() + image_from_crop[:2, 2]
    assert (centre - torch.tensor(CORNER_PX) - 111.5).norm() < 20


def test_photos_that_cannot_be_used(facegpt: FaceGPT, tmp_path: Path) -> None:
    with pytest.raises(NoFaceError, match="no face found; a face should be at least 40 pixels"):
        facegpt.look(nobody())
    Image.fromarray(nobody()).save(tmp_path / "wall.png")
    with pytest.raises(NoFaceError, match=r"wall\.png: no face"):
        facegpt.describe(tmp_path / "wall.png")
    with pytest.raises(ImageError):
        facegpt.reconstruct(tmp_path / "nowhere.png")
