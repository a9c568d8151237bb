"""Faces of a real photo (the astronaut that scikit-image ships), and photos without one."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
from PIL import Image

from facegpt.assets import ASSETS, AssetMissingError
from facegpt.perception import detection, dlib_models
from facegpt.perception.detection import DetectedFace, DlibDetector
from facegpt.perception.images import load_image
from facegpt.perception.landmarks import LandmarkDetector, dlib_landmarks

EYES_PX = np.array([(203.0, 101.0), (246.0, 103.5)])
"""Where a person sees the centres of her eyes (image left first), give or take a pixel."""


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return skimage.data.astronaut()


def eyes(face: DetectedFace) -> np.ndarray:
    points = face.landmarks68_px
    return np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0)])


def detect(rgb: np.ndarray) -> list[DetectedFace]:
    return DlibDetector().detect(load_image(rgb))


def test_one_face_with_eyes_where_they_are(astronaut: np.ndarray) -> None:
    [face] = detect(astronaut)
    assert np.abs(eyes(face) - EYES_PX).max() < 3
    left, top, right, bottom = face.box_px
    assert left < EYES_PX[0, 0] < EYES_PX[1, 0] < right
    assert top < EYES_PX[0, 1] < bottom
    assert face.score > 0


@pytest.mark.parametrize("scale", [0.4, 3.0])
def test_landmarks_scale_with_the_photo(astronaut: np.ndarray, scale: float) -> None:
    [reference] = detect(astronaut)
    side = round(512 * scale)
    resized = np.asarray(Image.fromarray(astronaut).resize((side, side), Image.Resampling.LANCZOS))
    [face] = detect(resized)
    expected = (reference.landmarks68_px + 0.5) * scale - 0.5
    distance = np.linalg.norm(face.landmarks68_px - expected, axis=1) / scale
    assert distance.mean() < 2
    assert distance[17:].mean() < 1.2


def test_faces_are_largest_first_and_found_twice(astronaut: np.ndarray) -> None:
    head = astronaut[10:210, 130:330]
    small = np.asarray(Image.fromarray(head).resize((110, 110), Image.Resampling.LANCZOS))
    both = np.full((260, 400, 3), 120, np.uint8)
    both[20:130, 10:120] = small
    both[40:240, 170:370] = head
    faces = detect(both)
    assert len(faces) == 2
    assert faces[0].landmarks68_px[:, 0].mean() > 170
    widths = [face.box_px[2] - face.box_px[0] for face in faces]
    assert widths[0] > widths[1]


def test_a_face_that_touches_the_border_is_found(astronaut: np.ndarray) -> None:
    tight = astronaut[70:172, 170:276]
    faces = detect(tight)
    assert len(faces) == 1
    assert np.abs(eyes(faces[0]) + (170, 70) - EYES_PX).max() < 4


def test_the_padded_steps_of_the_cascade_agree(
    astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = astronaut[10:210, 130:330]
    [reference] = detect(head)
    for attempt in (detection._padded_hog, detection._padded_cnn):
        [(box, _)] = list(detection._distinct(attempt(head)))
        assert detection._overlap(box, reference.box_px) > 0.7
        points = dlib_landmarks(head, box)
        assert np.linalg.norm(points - reference.landmarks68_px, axis=1).mean() < 4


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 400, 3), (400, 1, 3), (7, 9, 3), (33, 33, 3), (200, 300, 3)]
)
def test_no_face_is_an_empty_list(shape: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert detect(noise) == []


def test_large_photos_are_looked_at_in_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Watching:
        def run(self, picture: np.ndarray, *_: object) -> tuple[list, list, list]:
            seen.append(picture.shape[0] * picture.shape[1])
            return [], [], []

        def __call__(self, picture: np.ndarray, *_: object) -> list:
            seen.append(picture.shape[0] * picture.shape[1])
            return []

    monkeypatch.setattr(detection, "_frontal_detector", Watching)
    monkeypatch.setattr(detection, "_cnn_detector", Watching)
    assert detect(np.zeros((3000, 4000, 3), np.uint8)) == []
    assert len(seen) == 3
    assert max(seen) <= 3_010_000
    assert seen[2] <= 201_000


def test_threads_find_the_same(astronaut: np.ndarray) -> None:
    photo = load_image(astronaut[10:210, 130:330])
    detector = pickle.loads(pickle.dumps(DlibDetector()))  # noqa: S301
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(detector.detect, [photo] * 4))
    for [face] in found:
        np.testing.assert_array_equal(face.landmarks68_px, found[0][0].landmarks68_px)


def test_missing_dlib_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(AssetMissingError, match="pip install dlib-bin"):
        dlib_models.import_dlib()


def test_licences_are_in_the_ledger() -> None:
    detector = DlibDetector()
    assert isinstance(detector, LandmarkDetector)
    assert "dlib-landmarks68" in detector.licences
    assert set(detector.licences) <= set(ASSETS)


def test_what_only_hog_takes_for_a_face_is_dropped(astronaut: np.ndarray) -> None:
    """At this size HOG sees a second face in the emblem of the suit, with a score near zero."""
    small = np.asarray(Image.fromarray(astronaut).resize((205, 205), Image.Resampling.LANCZOS))
    boxes = list(detection._distinct(detection._hog(small)))
    assert len(boxes) > 1
    assert len(list(detection._confirmed(small, boxes))) == 1
