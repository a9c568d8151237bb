"""Rows: what goes in comes out, and what is no row is named."""

import io
from dataclasses import fields, replace

import pytest
import torch
from PIL import Image

from facegpt.data.schema import (
    DatasetError,
    FaceRow,
    decode_crop,
    decode_mask,
    encode_crop,
    encode_mask,
    features,
)


def row(**changes: object) -> FaceRow:
    whole = FaceRow(
        face_id="a/b.jpg:0",
        source="a/b.jpg",
        crop=b"jpeg",
        skin=b"png",
        validity=b"png",
        landmarks68_px=torch.rand(68, 2, generator=torch.Generator().manual_seed(0)) * 224,
        is_grey=True,
        theta=torch.linspace(-3, 3, 257),
        theta_method="fit",
        descriptions=("Élan.", "Zwei."),
        short="a man",
        conversations=(("Who?", "He."),),
        implicit=("This person waits.",),
        labels={"yaw": "left", "expression": "joy"},
        describer="file",
    )
    return replace(whole, **changes)


@pytest.mark.parametrize("changes", [{}, {"theta": None, "conversations": (), "labels": {}}])
def test_a_row_survives_its_record(changes: dict[str, object]) -> None:
    before = row(**changes)
    after = FaceRow.from_record(before.to_record())
    for field in fields(FaceRow):
        was, now = getattr(before, field.name), getattr(after, field.name)
        if isinstance(was, torch.Tensor):
            assert torch.equal(was, now)
        else:
            assert was == now


def test_a_record_has_the_documented_columns() -> None:
    record = row().to_record()
    assert list(record) == list(features())
    import facegpt.data.schema as schema

    for name in record:
        assert f"| `{name}` |" in (schema.__doc__ or "")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("landmarks68_px", [[1.0, 2.0]] * 67),
        ("theta", [0.0] * 12),
        ("labels", "no json"),
        ("conversations", [{"question": "without an answer"}]),
    ],
)
def test_a_record_that_is_no_row_is_named(column: str, value: object) -> None:
    with pytest.raises(DatasetError, match=r"a/b\.jpg:0"):
        FaceRow.from_record({**row().to_record(), column: value})
    with pytest.raises(DatasetError, match="is not one of a face data set"):
        FaceRow.from_record({k: v for k, v in row().to_record().items() if k != column})


def test_masks_come_back_exactly_in_few_bytes() -> None:
    mask = torch.zeros(224, 224, dtype=torch.bool)
    mask[30:200, 40:180] = True
    mask[50:60, 70:90] = False
    data = encode_mask(mask)
    assert torch.equal(decode_mask(data), mask)
    assert len(data) < 1000


def test_crops_come_back_almost_exactly() -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 224), torch.linspace(0, 1, 224), indexing="ij")
    red_edge = torch.stack([(x > 0.5).float(), y, x * y])
    crop = decode_crop(encode_crop(red_edge)).float() / 255
    assert (crop - red_edge).abs().mean() < 0.01
    # Without chroma subsampling an edge of pure colour stays where it is.
    assert crop[0, :, 110].max() < 0.15
    assert crop[0, :, 114].min() > 0.85


def test_damaged_pictures_are_refused() -> None:
    with pytest.raises(DatasetError, match="damaged"):
        decode_crop(b"no picture")
    buffer = io.BytesIO()
    Image.new("1", (10, 10)).save(buffer, "PNG")
    with pytest.raises(DatasetError, match="10"):
        decode_mask(buffer.getvalue())
