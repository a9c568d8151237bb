"""Faces of several photos are found beside each other and come back in order."""

import threading

import numpy as np
import pytest

from facegpt.fitting.found import find_faces_of
from facegpt.morphable.framing import FIVE_POINT_TEMPLATE_PX
from facegpt.perception.images import Photo, load_image
from facegpt.perception.landmarks import DetectedFace


class LateForTheFirst:
    """Finds as many faces as the photo is red, and is done with the first photo last."""

    licences = ()

    def __init__(self) -> None:
        self.second_is_done = threading.Event()

    def detect(self, photo: Photo) -> list[DetectedFace]:
        count = int(photo.rgb[0, 0, 0])
        if count == 0:
            raise RuntimeError("the photo that breaks the detector")
        if count == 1:
            assert self.second_is_done.wait(30)
        else:
            self.second_is_done.set()
        return [DetectedFace(np.array([0.0, 0, 200, 200]), 1.0, _points())] * count


def _points() -> np.ndarray:
    points = np.tile(np.array([112.0, 140.0]), (68, 1))
    points += np.random.default_rng(0).normal(0, 30, points.shape)
    left, right, nose, mouth_left, mouth_right = FIVE_POINT_TEMPLATE_PX
    points[36:42], points[42:48], points[30] = left, right, nose
    points[48], points[54] = mouth_left, mouth_right
    return points


def _photo(red: int) -> Photo:
    return load_image(np.full((224, 224, 3), (red, 80, 80), np.uint8))


def test_faces_come_back_with_their_photo_whoever_is_done_first(monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    found = find_faces_of([_photo(1), _photo(2), _photo(3)], LateForTheFirst())
    assert [len(faces) for faces in found] == [1, 2, 3]
    assert [face.photo.rgb[0, 0, 0] for faces in found for face in faces] == [1, 2, 2, 3, 3, 3]


def test_a_detector_that_breaks_is_heard(monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with pytest.raises(RuntimeError, match="breaks the detector"):
        find_faces_of([_photo(2), _photo(0)], LateForTheFirst())


def test_no_photo_and_one_photo_need_no_thread() -> None:
    assert find_faces_of([], LateForTheFirst()) == []
    assert [len(faces) for faces in find_faces_of([_photo(2)], LateForTheFirst())] == [2]
