"""From photos to records: every face in its own photo, every number in pixels of the original."""

import numpy as np
import pytest
import torch

from facegpt.fitting import AnalysisBySynthesis, FitSettings
from facegpt.fitting.reconstructor import BATCH_SIZE
from facegpt.geometry.camera import pixels_from_opencv
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import Photo
from facegpt.perception.landmarks import DetectedFace
from facegpt.reconstruction import FaceReconstruction, FaceReconstructor
from facegpt.rendering.renderer import Renderer

CORNER_PX = (90.0, 40.0)


class Knows:
    """A detector that was told where the faces are, by the width of the photo."""

    licences = ("points-of-a-test",)

    def __init__(self, landmarks68_px: np.ndarray, faces_of_width: dict[int, int]) -> None:
        self.landmarks68_px = landmarks68_px
        self.faces_of_width = faces_of_width

    def detect(self, photo: Photo) -> list[DetectedFace]:
        points = photo.from_original(self.landmarks68_px)
        box = np.concatenate([points.min(axis=0), points.max(axis=0)])
        return [DetectedFace(box, 1.0, points)] * self.faces_of_width[photo.original_size[0]]


class HearsNothing:
    """An encoder for which all people are one."""

    licences = ("default", "network-of-a-test")

    def encode(self, images: torch.Tensor, landmarks68_px: torch.Tensor) -> torch.Tensor:
        return 0 * images.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def picture(tiny_face_model: MorphableModel) -> tuple[np.ndarray, np.ndarray]:
    """A face of the model in a corner of a grey photo, and its points in that photo."""
    theta = FaceParameters.zeros(1)
    theta.camera[:, 1] = 0.2
    rendering = Renderer(tiny_face_model)(theta)
    face = (rendering.image[0].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
    rgb = np.full((300, 400, 3), 90, np.uint8)
    left, top = map(int, CORNER_PX)
    area = rgb[top : top + 224, left : left + 224]
    area[rendering.mask[0].numpy()] = face[rendering.mask[0].numpy()]
    return rgb, rendering.landmarks_px[0].numpy() + np.array(CORNER_PX, np.float32)


def photo_of(rgb: np.ndarray, width: int) -> Photo:
    return Photo(np.ascontiguousarray(rgb[:, :width]), False, (width, len(rgb)))


def method(
    model: MorphableModel, points: np.ndarray, faces: dict[int, int], steps: int = 0
) -> AnalysisBySynthesis:
    settings = FitSettings(steps=steps)
    return AnalysisBySynthesis(
        model, settings, detector=Knows(points, faces), encoder=HearsNothing()
    )


def test_the_mesh_lies_on_the_original_photo(
    tiny_face_model: MorphableModel, picture: tuple[np.ndarray, np.ndarray]
) -> None:
    rgb, points = picture
    [face] = method(tiny_face_model, points, {400: 1}, steps=5).reconstruct(rgb)
    np.testing.assert_allclose(face.landmarks68_px.numpy(), points, atol=1e-3)
    theta = face.parameters
    vertices = tiny_face_model.vertices_mm(theta.shape, theta.expression)[0]
    seen = pixels_from_opencv(face.camera["opencv"], vertices[tiny_face_model.landmarks68])
    assert (seen - face.landmarks68_px).norm(dim=1).mean() < 2.0
    assert face.errors["landmark_px"] < 2.0
    assert face.image_size == (400, 300)


def test_a_reduced_photo_is_answered_in_pixels_of_the_original(
    tiny_face_model: MorphableModel, picture: tuple[np.ndarray, np.ndarray]
) -> None:
    rgb, points = picture
    twice = (points + 0.5) * 2 - 0.5
    reduced = Photo(rgb, False, (800, 600), photo_from_original=0.5)
    [[face]] = method(tiny_face_model, twice, {800: 1}).reconstruct_photos([reduced])
    np.testing.assert_allclose(face.landmarks68_px.numpy(), twice, atol=1e-3)
    left, top, right, bottom = face.box_px.tolist()
    np.testing.assert_allclose((left, top), twice.min(axis=0), atol=1e-3)
    np.testing.assert_allclose((right, bottom), twice.max(axis=0), atol=1e-3)
    theta = face.parameters
    vertices = tiny_face_model.vertices_mm(theta.shape, theta.expression)[0]
    seen = pixels_from_opencv(face.camera["opencv"], vertices[tiny_face_model.landmarks68])
    assert (seen - face.landmarks68_px).norm(dim=1).mean() < 4.0


def test_faces_come_back_to_their_photos(
    tiny_face_model: MorphableModel, picture: tuple[np.ndarray, np.ndarray]
) -> None:
    rgb, points = picture
    widths = {400: 2, 399: 0, 398: BATCH_SIZE, 397: 1}
    photos = [photo_of(rgb, width) for width in widths]
    results = method(tiny_face_model, points, widths).reconstruct_photos(photos)
    assert [len(faces) for faces in results] == list(widths.values())
    for photo, faces in zip(photos, results, strict=True):
        assert all(face.image_size == photo.original_size for face in faces)


def test_a_record_names_all_that_shaped_it_once(
    tiny_face_model: MorphableModel, picture: tuple[np.ndarray, np.ndarray]
) -> None:
    rgb, points = picture
    grey = np.repeat(rgb.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    expected = {*tiny_face_model.licences, *Knows.licences, *HearsNothing.licences}
    for pixels, mask in ((rgb, {"skin-model"}), (grey, set())):
        [face] = method(tiny_face_model, points, {400: 1}).reconstruct(pixels)
        names = [row["name"] for row in face.licences]
        assert sorted(names) == sorted(expected | mask)
    again = FaceReconstruction.from_record(face.to_record())
    assert (again.method, again.morphable_model) == ("fit", tiny_face_model.name)


def test_it_is_a_face_reconstructor(tiny_face_model: MorphableModel) -> None:
    assert isinstance(method(tiny_face_model, np.zeros((68, 2)), {}), FaceReconstructor)
