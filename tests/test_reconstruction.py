"""Face records: exact round trips, and no damage that is not named."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from face_records import made_up_face, made_up_theta
from facegpt.reconstruction import (
    MAX_RECORD_BYTES,
    FaceReconstruction,
    read_record,
    write_record,
)
from facegpt.record_checks import FaceRecordError

RECORD = made_up_face().to_record()
IMAGINED = RECORD | {"errors": {}, "source": {"kind": "text", "text": "an old man", "seed": 3}}


def changed(path: list[str | int], value: object) -> Any:
    record = copy.deepcopy(RECORD)
    inner: Any = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return record


def test_record_has_the_fields_of_the_schema() -> None:
    assert RECORD["schema"] == "facegpt.face/1"
    assert list(RECORD["parameters"]) == ["shape", "expression", "albedo", "illumination", "camera"]
    assert [len(v) for v in RECORD["parameters"].values()] == [80, 64, 80, 27, 6]
    assert len(RECORD["landmarks68_px"]) == 68
    assert set(RECORD["errors"]) == {"photometric", "landmark_px", "landmark_nme"}


@pytest.mark.parametrize("seed", range(3))
def test_parameters_come_back_bit_for_bit(seed: int) -> None:
    face = made_up_face(made_up_theta(seed, scale=3.0), seed)
    record = json.loads(json.dumps(face.to_record(), allow_nan=False))
    again = FaceReconstruction.from_record(record)
    assert torch.equal(again.parameters.to_vector(), face.parameters.to_vector())
    assert torch.equal(again.landmarks68_px, face.landmarks68_px)
    assert torch.equal(again.crop_from_image, face.crop_from_image)
    assert again.to_record() == record


def test_file_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "face.json"
    write_record(path, made_up_face())
    assert read_record(path).to_record() == RECORD
    assert [p.name for p in path.parent.iterdir()] == ["face.json"]
    assert path.stat().st_size < 30_000


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "face.json"
    write_record(path, made_up_face())
    before = path.read_bytes()
    broken = made_up_theta()
    broken.shape[0, 3] = math.nan
    with pytest.raises(FaceRecordError, match=r"parameters\.shape\[3\]"):
        write_record(path, made_up_face(broken))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["face.json"]


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (["schema"], "facegpt.face/2", "schema"),
        (["schema"], {"a": []}, "schema"),
        (["method"], "", "method"),
        (["method"], "a\nb", "method"),
        (["morphable_model"], 5, "morphable_model"),
        (["parameters"], [], "parameters"),
        (["parameters", "shape"], [0.0] * 79, "parameters.shape"),
        (["parameters", "shape", 7], math.nan, "parameters.shape[7]"),
        (["parameters", "camera", 5], math.inf, "parameters.camera[5]"),
        (["parameters", "albedo", 0], 1e30, "parameters.albedo[0]"),
        (["parameters", "albedo", 0], 10**400, "parameters.albedo[0]"),
        (["parameters", "albedo", 0], True, "parameters.albedo[0]"),
        (["parameters", "albedo", 0], "1", "parameters.albedo[0]"),
        (["arkit", "jawOpen"], 1.5, "arkit.jawOpen"),
        (["arkit", "jawOpen"], None, "arkit.jawOpen"),
        (["landmarks68_px"], [[0, 0]] * 67, "landmarks68_px"),
        (["landmarks68_px", 4], [0, 0, 0], "landmarks68_px[4]"),
        (["box_px", 2], "x", "box_px[2]"),
        (["image_size"], [300, 0], "image_size"),
        (["image_size"], [300.5, 20], "image_size"),
        (["crop_from_image"], [[0, 0, 0], [0, 0, 0], [0, 0, 1]], "crop_from_image"),
        (["crop_from_image"], [[1, 0, 0], [0, 1, 0], [0, 1, 1]], "crop_from_image"),
        (["camera", "opencv"], math.nan, "camera.opencv"),
        (["semantics", "x" * 500], 1, "semantics"),
        (["semantics", "smile"], [[[[[[[[1]]]]]]]], "semantics.smile[0][0][0][0][0][0]"),
        (["semantics", "smile"], [0] * 10_000, "semantics.smile[4998]"),
        (["errors", "landmark_px"], None, "errors.landmark_px"),
        (["licences"], "CC0", "licences"),
    ],
)
def test_damage_is_named(path: list[str | int], value: object, named: str) -> None:
    with pytest.raises(FaceRecordError) as caught:
        FaceReconstruction.from_record(changed(path, value))
    assert caught.value.path == named
    assert named in str(caught.value)


@pytest.mark.parametrize("field", list(RECORD))
def test_missing_fields_are_named(field: str) -> None:
    record = {k: v for k, v in RECORD.items() if k != field}
    with pytest.raises(FaceRecordError, match="missing") as caught:
        FaceReconstruction.from_record(record)
    assert caught.value.path == field


def test_unknown_fields_are_passed_over() -> None:
    assert FaceReconstruction.from_record(RECORD | {"note": 1}).to_record() == RECORD


def test_an_imagined_face_says_what_it_was_made_from() -> None:
    face = FaceReconstruction.from_record(IMAGINED)
    assert face.is_imagined
    assert face.source["text"] == "an old man"
    assert face.errors == {}
    assert face.to_record() == IMAGINED


def test_a_record_without_a_source_is_that_of_a_photo() -> None:
    assert "source" not in RECORD
    assert not FaceReconstruction.from_record(RECORD).is_imagined
    said = FaceReconstruction.from_record(RECORD | {"source": {"kind": "photo"}})
    assert said.to_record() == RECORD


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"source": "text"}, "source"),
        ({"source": {}}, "source.kind"),
        ({"source": {"kind": "dream"}}, "source.kind"),
        ({"source": {"kind": "text"}}, "source.text"),
        ({"source": {"kind": "text", "text": " "}}, "source.text"),
        ({"source": {"kind": "text", "text": 3}}, "source.text"),
        ({"source": {"kind": "text", "text": "x" * 2001}}, "source.text"),
        ({"source": {"kind": "text", "text": "x", "words": [[[[[[[1]]]]]]]}}, None),
        ({"source": {"kind": "photo"}}, "errors.photometric"),
        ({"errors": RECORD["errors"]}, "errors"),
    ],
)
def test_damage_of_an_imagined_face_is_named(change: dict[str, Any], named: str | None) -> None:
    with pytest.raises(FaceRecordError) as caught:
        FaceReconstruction.from_record(IMAGINED | change)
    assert named is None or caught.value.path == named


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"[]", b"3", b"{", b'{"schema": NaN}', b"[" * 100_000, b"9" * 5000],
    ids=["empty", "binary", "list", "number", "cut", "nan", "deep", "long number"],
)
def test_files_that_are_no_records(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "face.json"
    path.write_bytes(data)
    with pytest.raises(FaceRecordError):
        read_record(path)


def test_files_that_are_too_large(tmp_path: Path) -> None:
    path = tmp_path / "face.json"
    path.write_bytes(b" " * (MAX_RECORD_BYTES + 1))
    with pytest.raises(FaceRecordError, match="larger than"):
        read_record(path)
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "none.json")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(field=st.sampled_from(list(RECORD)), value=JSON_VALUES)
def test_any_value_is_taken_or_refused(field: str, value: object) -> None:
    try:
        face = FaceReconstruction.from_record(RECORD | {field: value})
    except FaceRecordError:
        return
    assert face.to_record()[field] == value
