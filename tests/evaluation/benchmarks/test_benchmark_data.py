"""Which photos and texts count, and what damaged folders say."""

import json
from pathlib import Path

import numpy as np
import pytest

from facegpt.evaluation.benchmarks.errors import DataFolderError
from facegpt.evaluation.benchmarks.photo_data import Selection, read_photo_sets, read_texts
from facegpt.evaluation.json_lines import JsonFileError


def test_photos_of_the_split_without_duplicates(data) -> None:
    [photos] = read_photo_sets(data.folder, Selection())
    assert photos.name == "color"
    assert [item.path.name for item in photos.items] == list(data.names)
    assert [item.group for item in photos.items] == ["asian", "white"] * 2
    np.testing.assert_array_equal(photos.items[2].landmarks68_px, data.points[2])


def test_a_set_may_be_named_itself(data) -> None:
    assert read_photo_sets(data.folder / "color", Selection())[0].name == "color"


def test_every_and_limit(data) -> None:
    [photos] = read_photo_sets(data.folder, Selection(every=2, limit=1))
    assert [item.name for item in photos.items] == ["c0000"]
    with pytest.raises(DataFolderError, match="--every"):
        Selection(every=0)


def test_keys_follow_picture_and_points(data) -> None:
    def keys() -> list[str]:
        return [item.key for item in read_photo_sets(data.folder, Selection())[0].items]

    before = keys()
    assert len(set(before)) == 4
    moved = data.points.copy()
    moved[1] += 1
    np.savez(data.folder / "color" / "landmarks.npz", names=np.array(data.names), landmarks=moved)
    (data.folder / "color" / data.names[2]).write_bytes(b"another picture")
    assert [a == b for a, b in zip(before, keys(), strict=True)] == [True, False, False, True]


def test_small_and_doubtful_faces_are_left_out(data) -> None:
    lines = ["name,split,score,face_px", "c0000.png,val,0.3,200", "c0001.png,val,2,100"]
    lines += ["c0002.png,val,2,200"]
    (data.folder / "color" / "index.csv").write_text("\n".join(lines))
    [photos] = read_photo_sets(data.folder, Selection())
    assert [item.name for item in photos.items] == ["c0002"]
    (data.folder / "color" / "index.csv").write_text("\n".join([*lines, "c0003.png,val,x,200"]))
    with pytest.raises(DataFolderError, match=r"c0003\.png must be numbers"):
        read_photo_sets(data.folder, Selection())


def test_texts(data) -> None:
    explicit = read_texts(data.folder, Selection(), "explicit")
    assert (explicit[0].text, explicit[0].name) == ("Face 0.", "c0000")
    best = read_texts(data.folder, Selection(), "implicit")
    assert [item.text for item in best] == [f"This person lost key {i}." for i in range(3)]
    every = read_texts(data.folder, Selection(limit=1), "implicit", "all")
    assert len(every) == 2
    assert len({item.key for item in [*explicit, *best, *every]}) == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "nobody.png"}, "no set of"),
        ({"image": 7}, "'image' must be a text"),
        ({"implicit": []}, "list of sentences"),
        ({"best": 9}, "'best' must be"),
    ],
)
def test_damaged_descriptions(data, change: dict[str, object], message: str) -> None:
    path = data.folder / "descriptions" / "val.jsonl"
    record = json.loads(path.read_text().splitlines()[0]) | change
    path.write_text(json.dumps(record))
    with pytest.raises((DataFolderError, JsonFileError), match=message):
        read_texts(data.folder, Selection(), "implicit")


def test_damaged_sets(data, tmp_path: Path) -> None:
    folder = data.folder / "color"
    with pytest.raises(DataFolderError, match="no usable photo of the split 'test'"):
        read_photo_sets(data.folder, Selection("test"))
    with pytest.raises(DataFolderError, match="descriptions"):
        read_texts(data.folder, Selection("test"), "explicit")
    with pytest.raises(DataFolderError, match="there is no folder"):
        read_photo_sets(tmp_path / "nowhere", Selection())
    with pytest.raises(DataFolderError, match=r"holds no index\.csv"):
        read_photo_sets(tmp_path / "data" / "descriptions", Selection())
    index = (folder / "index.csv").read_text()
    for text, message in (
        ("name\nc0000.png\n", "name and split"),
        ("name,split\n../c0000.png,val\n", "no name of a file"),
    ):
        (folder / "index.csv").write_text(text)
        with pytest.raises(DataFolderError, match=message):
            read_photo_sets(data.folder, Selection())
    (folder / "index.csv").write_text(index)
    points = folder / "landmarks.npz"
    np.savez(points, names=np.array(data.names), landmarks=data.points[:, :5])
    with pytest.raises(DataFolderError, match="of shape"):
        read_photo_sets(data.folder, Selection())
    points.write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(DataFolderError, match="cannot be read"):
        read_photo_sets(data.folder, Selection())
    points.unlink()
    with pytest.raises(DataFolderError, match="there is no"):
        read_photo_sets(data.folder, Selection())
