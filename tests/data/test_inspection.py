"""A look into a data set shows what is in it."""

from pathlib import Path

import numpy as np
import pytest
from photo_folder import PhotoFolder
from PIL import Image

from facegpt.data.build import BuildProgress, BuildSettings, build_dataset
from facegpt.data.inspection import contact_sheet, inspect_dataset
from facegpt.data.schema import DatasetError
from facegpt.data.table import FaceTable


def test_text_and_sheet(faces: FaceTable, tmp_path: Path) -> None:
    [folder] = faces.folders
    sheet = tmp_path / "sheets/sheet.png"
    found = inspect_dataset(folder, samples=6, sheet=sheet)
    assert "6 faces of 6 photos (of 6; finished), 2 shards" in found.text
    assert "with descriptions 5, with conversations 5" in found.text
    assert "described by: writes 5, nobody 1" in found.text
    assert "c.png:0: no description: it said nothing" in found.text
    for sentence in (
        "short: a man of d.png",
        "He is the man of d.png.",
        "- Is it a cat? No, d.png",
    ):
        assert sentence in found.text
    assert found.sheet == sheet
    with Image.open(sheet) as picture:
        assert picture.size == (4 * 448, 2 * 478)
    few = inspect_dataset(folder, samples=2, seed=1)
    assert few.sheet is None
    assert few.text.count("short:") <= 2
    assert few.text == inspect_dataset(folder, samples=2, seed=1).text


def test_the_sheet_shows_the_crop_with_its_points(faces: FaceTable) -> None:
    sheet = contact_sheet([faces[0]])
    x, y = ((faces[0].row.landmarks68_px[30] + 0.5) * 2 - 0.5).round().long().tolist()
    np.testing.assert_array_equal(sheet[y, x], (60, 220, 255))
    outside = ~faces[0].validity.numpy()
    assert outside.any()
    rows, columns = np.argwhere(outside).T
    share = (sheet[rows * 2, columns * 2] == (200, 30, 30)).all(axis=1).mean()
    assert share > 0.5
    with pytest.raises(DatasetError, match="no face to show"):
        contact_sheet([])


def test_an_unfinished_build_can_be_looked_at(photos: PhotoFolder, tmp_path: Path) -> None:
    settings = BuildSettings(
        photos.images, tmp_path / "out", landmarks=photos.landmarks, shard_photos=1
    )

    def stop(progress: BuildProgress) -> None:
        if progress.photos_done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_dataset(settings, progress=stop)
    text = inspect_dataset(settings.output).text
    assert "2 faces of 2 photos (of 6; NOT FINISHED), 2 shards" in text


def test_what_cannot_be_looked_at(faces: FaceTable, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set"):
        inspect_dataset(tmp_path)
    with pytest.raises(DatasetError, match="--samples"):
        inspect_dataset(faces.folders[0], samples=-1)
