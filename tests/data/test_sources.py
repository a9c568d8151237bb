"""Which photos are taken, and what is said when none can be."""

from pathlib import Path

import numpy as np
import pytest

from facegpt.data.schema import DatasetError
from facegpt.data.sources import fingerprint, plan_photos, read_known_landmarks


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three files with names of pictures, one of them in a folder below, and a text."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for name in ("b.jpg", "a.PNG", "more/c.jpg", "notes.txt"):
        (folder / name).write_bytes(name.encode())
    return folder


def index_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "index.csv"
    path.write_text(text)
    return path


def test_pictures_are_found_below_in_the_order_of_their_names(images: Path) -> None:
    assert [task.source for task in plan_photos(images)] == ["a.PNG", "b.jpg", "more/c.jpg"]
    assert [task.source for task in plan_photos(images, limit=2)] == ["a.PNG", "b.jpg"]


def test_an_index_chooses_and_labels(images: Path, tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        "name,split,mood,dup_of\nmore/c.jpg,train,sad,\nb.jpg,val,glad,\na.PNG,train,,b.jpg\n"
        "gone.jpg,train,sad,\n",
    )
    tasks = plan_photos(images, index=index, split="train")
    assert [task.source for task in tasks] == ["gone.jpg", "more/c.jpg"]
    assert tasks[1].labels == {"index.mood": "sad"}
    assert tasks[1].problem == ""
    assert "no such file" in tasks[0].problem


def test_known_landmarks_go_to_their_photos(images: Path, tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((3, 68, 2)).astype(np.float32)
    path = tmp_path / "points.npz"
    np.savez(path, names=np.array(["b.jpg", "a.PNG", "b.jpg"]), landmarks=points)
    first, second, third = plan_photos(images, landmarks=path)
    assert first.landmarks68_px is not None
    np.testing.assert_array_equal(first.landmarks68_px[0], points[1])
    assert second.landmarks68_px is not None
    np.testing.assert_array_equal(np.stack(second.landmarks68_px), points[[0, 2]])
    assert "no points" in third.problem


def test_the_fingerprint_sees_every_change(images: Path, tmp_path: Path) -> None:
    before = fingerprint(plan_photos(images))
    assert fingerprint(plan_photos(images)) == before
    labelled = plan_photos(images, index=index_of(tmp_path, "name,x\na.PNG,1\nb.jpg,\nmore/c.jpg,"))
    assert fingerprint(labelled) != before
    (images / "b.jpg").write_bytes(b"another length")
    assert fingerprint(plan_photos(images)) != before


@pytest.mark.parametrize(
    ("text", "split", "sentence"),
    [
        ("file,split\na,b\n", None, "needs a column `name`"),
        ("name\na.PNG\n", "train", "needs a column `split`"),
        ("name,split\na.PNG,val\n", "train", r"it has \['val'\]"),
        ("name\nelsewhere.jpg\n", None, "none of the 1 photos"),
        ("", None, "it has nothing"),
    ],
)
def test_an_index_that_does_not_help_is_explained(
    images: Path, tmp_path: Path, text: str, split: str | None, sentence: str
) -> None:
    with pytest.raises(DatasetError, match=sentence):
        plan_photos(images, index=index_of(tmp_path, text), split=split)


def test_a_folder_without_pictures_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no picture"):
        plan_photos(tmp_path)
    with pytest.raises(DatasetError, match="no folder"):
        plan_photos(tmp_path / "gone")
    with pytest.raises(DatasetError, match="--index"):
        plan_photos(tmp_path, split="train")


@pytest.mark.parametrize("kind", ["text", "pickle", "shape", "names"])
def test_landmarks_that_are_none_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "points.npz"
    if kind == "text":
        path.write_text("no npz")
    elif kind == "pickle":
        np.savez(path, names=np.array([{"a": 1}], dtype=object), landmarks=np.zeros((1, 68, 2)))
    elif kind == "shape":
        np.savez(path, names=np.array(["a"]), landmarks=np.zeros((1, 5, 2)))
    else:
        np.savez(path, landmarks=np.zeros((1, 68, 2)))
    with pytest.raises(DatasetError, match=r"points\.npz"):
        read_known_landmarks(path)
