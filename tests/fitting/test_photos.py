"""Many photos: names that clash, photos that are broken, faceless or finished."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from facegpt.fitting import photos as photos_module
from facegpt.fitting.photos import PhotoTask, fit_photos, plan_tasks


def picture(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), 90, np.uint8)).save(path)
    return path


def test_folders_are_searched_and_names_never_clash(tmp_path: Path) -> None:
    for name in ("a/x.jpg", "b/x.png", "c/x.png", "b/y.png"):
        picture(tmp_path / name)
    (tmp_path / "b/notes.txt").write_text("not a picture")
    tasks = plan_tasks([tmp_path / "a/x.jpg", tmp_path / "b", tmp_path / "c/x.png"], tmp_path / "o")
    assert [t.path.name for t in tasks] == ["x.jpg", "x.png", "y.png", "x.png"]
    assert [t.directory.name for t in tasks] == ["x", "x_png", "y", "x_png_2"]


def test_the_same_photo_twice_is_one_task(tmp_path: Path) -> None:
    path = picture(tmp_path / "x.jpg")
    assert len(plan_tasks([path, path, tmp_path], tmp_path / "o")) == 1


def test_missing_and_empty_inputs_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file or folder: .*nobody\.jpg"):
        plan_tasks([tmp_path / "nobody.jpg"], tmp_path / "o")
    with pytest.raises(FileNotFoundError, match="no picture in the folder"):
        plan_tasks([tmp_path], tmp_path / "o")


@dataclass
class CountingReconstructor:
    """Stands for the fit: so many faces per photo, by the width of the photo."""

    faces_of_width: dict[int, int]
    calls: int = 0
    model: object = None

    def reconstruct_photos(self, photos: list) -> list[list[SimpleNamespace]]:
        self.calls += len(photos)
        return [
            [SimpleNamespace(number=k) for k in range(self.faces_of_width[photo.rgb.shape[1]])]
            for photo in photos
        ]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was saved, in order: (folder, number of the face)."""
    saved: list[tuple[str, int]] = []

    def save(face, model, photo, directory: Path, *, formats) -> None:
        directory.mkdir(parents=True)
        (directory / "face.json").write_text("{}")
        saved.append((directory.name, face.number))

    monkeypatch.setattr(photos_module, "save_reconstruction", save)
    monkeypatch.setattr(
        photos_module, "is_complete", lambda directory, formats: (directory / "face.json").exists()
    )
    return saved


def test_broken_and_faceless_photos_do_not_stop_the_others(
    tmp_path: Path, written: list[tuple[str, int]]
) -> None:
    picture(tmp_path / "in/crowd.png", (50, 40))
    picture(tmp_path / "in/nobody.png", (60, 40))
    (tmp_path / "in/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but not really")
    tasks = plan_tasks([tmp_path / "in"], tmp_path / "out")
    fit = CountingReconstructor({50: 2, 60: 0})
    broken, crowd, nobody = fit_photos(fit, tasks, ("json",))
    assert "broken.png" in broken.error
    assert [d.name for d in crowd.directories] == ["crowd", "crowd-2"]
    assert nobody.has_no_face
    assert not crowd.has_no_face
    assert written == [("crowd-2", 1), ("crowd", 0)]  # the largest face last
    assert not (tmp_path / "out/nobody").exists()


def test_finished_photos_are_skipped(tmp_path: Path, written: list[tuple[str, int]]) -> None:
    picture(tmp_path / "in/one.png", (50, 40))
    tasks = plan_tasks([tmp_path / "in"], tmp_path / "out")
    fit = CountingReconstructor({50: 1})
    list(fit_photos(fit, tasks, ("json",)))
    [again] = fit_photos(fit, tasks, ("json",))
    assert again.skipped
    assert fit.calls == 1
    assert len(written) == 1


def test_second_faces_keep_out_of_other_photos_folders(
    tmp_path: Path, written: list[tuple[str, int]]
) -> None:
    first, second = picture(tmp_path / "in/x.png", (50, 40)), picture(tmp_path / "in/x-2.png")
    tasks = [
        PhotoTask(first, tmp_path / "out/x"),
        PhotoTask(second, tmp_path / "out/x-2"),
    ]
    crowd, alone = fit_photos(CountingReconstructor({50: 3, 40: 1}), tasks, ("json",))
    assert [d.name for d in crowd.directories] == ["x", "x-3", "x-4"]
    assert [d.name for d in alone.directories] == ["x-2"]
    assert len(written) == 4
