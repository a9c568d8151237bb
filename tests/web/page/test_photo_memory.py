"""Photos in memory, and the files that were uploaded."""

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegpt.perception.images import load_image
from facegpt.web.errors import UnreadableRequestError
from facegpt.web.page.photos import PhotoMemory, around_face, data_uri
from facegpt.web.page.uploads import delete_old_uploads, empty, take_uploads


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def test_a_large_photo_is_reduced_and_keeps_its_coordinates() -> None:
    photo = load_image(picture(3000, 1500))
    memory = PhotoMemory()
    held = memory.find(memory.hold(photo, b"file"))
    assert held is not None
    assert held.photo.rgb.shape == (640, 1280, 3)
    assert held.photo.original_size == (3000, 1500)
    there = held.photo.from_original(np.array([[1499.5, 749.5]]))
    np.testing.assert_allclose(there, [[639.5, 319.5]])
    assert held.file == b"file"


def test_the_photo_that_nobody_asked_for_goes_first() -> None:
    size = 100 * 100 * 3
    memory = PhotoMemory(most_bytes=2 * size)
    first = memory.hold(load_image(picture(100, 100)), b"")
    second = memory.hold(load_image(picture(100, 100)), b"")
    assert memory.find(first) is not None
    third = memory.hold(load_image(picture(100, 100)), b"")
    assert memory.find(second) is None
    assert memory.find(first) is not None
    memory.forget([first, third, "unknown"])
    assert len(memory) == 0
    assert memory.find(None) is None
    # The room is there again.
    again = [memory.hold(load_image(picture(100, 100)), b"") for _ in range(2)]
    assert all(memory.find(key) for key in again)


def test_a_photo_of_a_conversation_that_was_left_goes() -> None:
    now = [0.0]
    memory = PhotoMemory(keep_seconds=100.0, clock=lambda: now[0])
    left, used = (memory.hold(load_image(picture(10, 10)), b"") for _ in range(2))
    now[0] = 60.0
    assert memory.find(used) is not None
    now[0] = 120.0
    memory.forget_old()
    assert memory.find(left) is None
    assert memory.find(used) is not None


def test_a_photo_in_the_page_is_small() -> None:
    head, _, data = data_uri(picture(2000, 1000)).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert small.size == (360, 180)


def test_around_a_face_there_is_as_much_again() -> None:
    photo = load_image(picture(400, 300))
    part = around_face(photo, [100.0, 100.0, 150.0, 160.0])
    np.testing.assert_array_equal(part, photo.rgb[40:221, 40:211])
    whole = around_face(photo, [0.0, 0.0, 399.0, 299.0])
    assert whole.shape == photo.rgb.shape


def test_uploads_are_read_once_and_are_gone(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    empty(folder)
    file = folder / "a" / "photo.png"
    file.parent.mkdir()
    file.write_bytes(b"photo")
    assert take_uploads([str(file)], folder) == [b"photo"]
    assert not file.exists()
    with pytest.raises(UnreadableRequestError, match="attach it again"):
        take_uploads([str(file)], folder)
    file.write_bytes(b"left over")
    empty(folder)
    assert list(folder.iterdir()) == []


def test_what_was_never_sent_goes_after_a_while(tmp_path: Path) -> None:
    old, new = tmp_path / "a" / "old.png", tmp_path / "b" / "new.png"
    for path in (old, new):
        path.parent.mkdir()
        path.write_bytes(b"photo")
    os.utime(old, (0, 0))
    delete_old_uploads(tmp_path, 600.0)
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("way", ["../secret", "/etc/passwd", "a/../../secret", "."])
def test_nothing_else_is_read_or_deleted(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "uploads"
    empty(folder)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    with pytest.raises(UnreadableRequestError, match="uploaded here"):
        take_uploads([str(folder / way)], folder)
    assert secret.read_bytes() == b"secret"
