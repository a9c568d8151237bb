"""Random access: the same faces in every order, from every process, in bounded memory."""

import pickle
from pathlib import Path

import pytest
import torch
from photo_folder import PhotoFolder
from torch.utils.data import DataLoader, Dataset

from facegpt.data.build import BuildSettings, build_dataset
from facegpt.data.schema import DatasetError
from facegpt.data.shards import read_rows
from facegpt.data.table import FaceTable


class Sums(Dataset[float]):
    """The brightness of every face, as a data set for workers."""

    def __init__(self, table: FaceTable) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> float:
        return float(self.table[index].photo.sum())


def test_rows_agree_with_datasets(faces: FaceTable, tmp_path: Path) -> None:
    [folder] = faces.folders
    rows = read_rows(folder, cache=tmp_path)
    assert len(rows) == len(faces) == 6
    for index in (5, 0, 3):
        record, row = rows[index], faces.row(index)
        assert record == row.to_record()
    assert rows["face_id"][:] == faces.column("face_id")


def test_the_cache_is_bounded_and_changes_nothing(faces: FaceTable) -> None:
    small = FaceTable(faces.folders, cached_faces=2)
    for index in (0, 4, 1, 0, 5, 5, 2):
        assert torch.equal(small[index].crop, faces[index].crop)
        assert len(small._faces) <= 2
    assert small[2] is small[2]
    uncached = FaceTable(faces.folders, cached_faces=0)
    assert uncached[1] is not uncached[1]


def test_workers_and_copies_see_the_same(faces: FaceTable) -> None:
    expected = [float(faces[index].photo.sum()) for index in range(len(faces))]
    copy = pickle.loads(pickle.dumps(faces))  # noqa: S301 - our own bytes
    assert [float(copy[index].photo.sum()) for index in range(len(copy))] == expected
    loaded = [float(v) for v in DataLoader(Sums(faces), batch_size=None, num_workers=1)]
    assert loaded == expected


def test_several_folders_are_one_table(
    faces: FaceTable, photos: PhotoFolder, tmp_path: Path
) -> None:
    settings = BuildSettings(photos.images, tmp_path / "one", landmarks=photos.landmarks, limit=1)
    build_dataset(settings)
    both = FaceTable([tmp_path / "one", *faces.folders])
    assert both.column("source") == ["a.png", *faces.column("source")]
    assert both.row(3).source == "c.png"
    assert both.with_text("conversations").tolist() == [1, 2, 4, 5, 6]


@pytest.mark.parametrize("index", [-1, 6])
def test_faces_that_are_not_there(faces: FaceTable, index: int) -> None:
    with pytest.raises(IndexError, match="a table of 6"):
        faces[index]
    with pytest.raises(IndexError, match="a table of 6"):
        faces.row(index)


def test_an_unknown_column_is_answered_with_the_known(faces: FaceTable) -> None:
    with pytest.raises(DatasetError, match="face_id"):
        faces.column("face")


def test_a_damaged_shard_is_named(faces: FaceTable, tmp_path: Path) -> None:
    [folder] = faces.folders
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    shard = tmp_path / "faces-00000.parquet"
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(DatasetError, match=r"faces-00000\.parquet cannot be read"):
        FaceTable(tmp_path)
