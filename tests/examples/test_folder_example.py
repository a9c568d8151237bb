"""examples/05_folder_to_table.py: bad files, a run that was cut off, the table."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from facegpt.morphable.model import MorphableModel
from facegpt.pipeline import FaceGPT
from tiny_facegpt import face_photo, nobody

FACES = ("a.png", "d.png", "e.jpg")


@pytest.fixture
def photos(tiny_face_model: MorphableModel, tmp_path: Path) -> Path:
    """Three photos of a face, a damaged one, a wall, and a folder."""
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    for name in FACES:
        Image.fromarray(face_photo(tiny_face_model)[0]).save(folder / name)
    (folder / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    Image.fromarray(nobody()).save(folder / "c.png")
    return folder


@pytest.fixture
def folder_to_table(
    example: Callable[[str], ModuleType], tiny: FaceGPT, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """The example with the tiny model, two photos at once."""
    module = example("05_folder_to_table")
    monkeypatch.setattr(module, "AT_ONCE", 2)
    return module


def table_of(output: Path) -> list[dict[str, str]]:
    with (output / "faces.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_file_is_in_the_table_and_a_bad_one_stops_nothing(
    folder_to_table: ModuleType, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    folder_to_table.main(photos, output)
    rows = {row["photo"]: row for row in table_of(output)}
    assert sorted(rows) == ["a.png", "b.jpg", "c.png", "d.png", "e.jpg"]
    assert "b.jpg" in rows["b.jpg"]["problem"]
    assert rows["c.png"]["problem"] == "no face found"
    for name in FACES:
        assert rows[name]["problem"] == ""
        assert rows[name]["folder"] == f"{name}/face-1"
        assert abs(float(rows[name]["yaw"])) < 90
        files = {path.name for path in (output / name / "face-1").iterdir()}
        assert files == {"face.json", "head.glb", "overlay.png"}


def test_a_run_that_was_cut_off_goes_on(
    folder_to_table: ModuleType,
    photos: Path,
    tmp_path: Path,
    tiny: FaceGPT,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folder_to_table, "FORMATS", ("json",))
    output = tmp_path / "out"
    folder_to_table.main(photos, output)
    table, journal = table_of(output), output / "photos.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[:-20])
    read = tiny.detector.asked
    for _ in range(2):
        folder_to_table.main(photos, output)
        assert tiny.detector.asked == read + 1
        assert table_of(output) == table
        assert journal.read_bytes() == content


@pytest.mark.slow
def test_it_runs_with_the_shipped_model(
    example: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    data = pytest.importorskip("skimage.data", reason="the photo lies in scikit-image")
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(data.astronaut()).save(photos / "astronaut.png")
    (photos / "notes.txt").write_text("no picture")
    example("05_folder_to_table").main(photos, tmp_path / "out")
    face, notes = table_of(tmp_path / "out")
    assert float(face["mouth_open"]) > 2
    assert "notes.txt" in notes["problem"]
