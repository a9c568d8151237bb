"""One row per face: the columns of the data set at rest, and the way to tensors and back.

| column | type | what |
| --- | --- | --- |
| `face_id` | string | `<source>:<number>`; 0 is the largest face of a photo |
| `source` | string | the photo, relative to the folder of photos, with forward slashes |
| `crop` | binary | JPEG, quality 95, no chroma subsampling: the aligned crop of 224 x 224 pixels |
| `skin` | binary | PNG of one bit per pixel: the mask A, inside the photo |
| `validity` | binary | PNG of one bit per pixel: inside the photo |
| `landmarks68_px` | float32[68][2] | the iBUG points, in pixels of the crop |
| `is_grey` | bool | a photo without colour |
| `theta` | float32[257] or null | known or fitted parameters, in the order of the paper |
| `theta_method` | string | where theta is from: `fit`, `rendered` ...; empty without theta |
| `descriptions` | list of strings | full descriptions, each complete in itself |
| `short` | string | a noun phrase, "a man with ..."; may be empty |
| `conversations` | list of {question, answer} | about the face |
| `implicit` | list of strings | situations in which a face would look like this |
| `labels` | string | a JSON object of strings by name |
| `describer` | string | who described: `measured`, `file`, `openai` ...; empty for nobody |

This module knows rows, not the files they lie in.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.parameters import PARAMETER_COUNT

if TYPE_CHECKING:
    from datasets import Features

CROP_QUALITY = 95
LANDMARK_COUNT = 68


class DatasetError(ValueError):
    """A data set, or what one shall be built from, cannot be used."""


@dataclass(frozen=True, eq=False)
class FaceRow:
    """One face as it is stored."""

    face_id: str
    source: str
    crop: bytes
    skin: bytes
    validity: bytes
    landmarks68_px: Float[Tensor, "68 2"]
    """In pixels of the crop."""
    is_grey: bool
    theta: Float[Tensor, "257"] | None = None
    theta_method: str = ""
    descriptions: tuple[str, ...] = ()
    short: str = ""
    conversations: tuple[tuple[str, str], ...] = ()
    """Questions and their answers."""
    implicit: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    describer: str = ""

    def to_record(self) -> dict[str, Any]:
        """The row as the columns of the table above."""
        pairs = [{"question": q, "answer": a} for q, a in self.conversations]
        return {
            "face_id": self.face_id,
            "source": self.source,
            "crop": self.crop,
            "skin": self.skin,
            "validity": self.validity,
            "landmarks68_px": self.landmarks68_px.tolist(),
            "is_grey": self.is_grey,
            "theta": None if self.theta is None else self.theta.tolist(),
            "theta_method": self.theta_method,
            "descriptions": list(self.descriptions),
            "short": self.short,
            "conversations": pairs,
            "implicit": list(self.implicit),
            "labels": json.dumps(dict(self.labels), sort_keys=True, ensure_ascii=False),
            "describer": self.describer,
        }

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> "FaceRow":
        """The row of a record that `to_record` made.

        Raises:
            DatasetError: A column is missing or holds something else.
        """
        try:
            return _row(record)
        except (KeyError, TypeError, ValueError) as error:
            name = record.get("face_id", "?")
            raise DatasetError(
                f"the row of face {name!r} is not one of a face data set: {error!r}; build the "
                f"data again with: facegpt data build"
            ) from error


def _row(record: Mapping[str, Any]) -> FaceRow:
    landmarks = torch.tensor(record["landmarks68_px"], dtype=torch.float32)
    theta = record["theta"]
    if landmarks.shape != (LANDMARK_COUNT, 2):
        raise ValueError(f"landmarks68_px of shape {tuple(landmarks.shape)}")
    if theta is not None and len(theta) != PARAMETER_COUNT:
        raise ValueError(f"theta of {len(theta)} numbers")
    return FaceRow(
        face_id=record["face_id"],
        source=record["source"],
        crop=record["crop"],
        skin=record["skin"],
        validity=record["validity"],
        landmarks68_px=landmarks,
        is_grey=record["is_grey"],
        theta=None if theta is None else torch.tensor(theta, dtype=torch.float32),
        theta_method=record["theta_method"],
        descriptions=tuple(record["descriptions"]),
        short=record["short"],
        conversations=tuple((pair["question"], pair["answer"]) for pair in record["conversations"]),
        implicit=tuple(record["implicit"]),
        labels=dict(json.loads(record["labels"])),
        describer=record["describer"],
    )


def features() -> "Features":
    """The columns as `datasets` names them.

    Raises:
        DatasetError: The package `datasets` is not installed.
    """
    datasets = import_datasets()
    string, number = datasets.Value("string"), datasets.Value("float32")
    columns = dict.fromkeys(("face_id", "source"), string)
    columns |= {name: datasets.Value("binary") for name in ("crop", "skin", "validity")}
    columns |= {
        "landmarks68_px": datasets.List(datasets.List(number, length=2), length=LANDMARK_COUNT),
        "is_grey": datasets.Value("bool"),
        "theta": datasets.List(number),
        "theta_method": string,
        "descriptions": datasets.List(string),
        "short": string,
        "conversations": datasets.List({"question": string, "answer": string}),
        "implicit": datasets.List(string),
        "labels": string,
        "describer": string,
    }
    return datasets.Features(columns)


def import_datasets() -> Any:
    """The package `datasets`, which is large and therefore an extra.

    Raises:
        DatasetError: It is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise DatasetError(
            f"face data sets need the package `datasets` ({error}); install it with: "
            "pip install 'facegpt[train]'"
        ) from error
    return datasets


def encode_crop(crop: Float[Tensor, "3 height width"]) -> bytes:
    """JPEG bytes of a crop in [0, 1]."""
    pixels = (crop.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        buffer, "JPEG", quality=CROP_QUALITY, subsampling=0
    )
    return buffer.getvalue()


def decode_crop(data: bytes) -> UInt8[Tensor, "3 224 224"]:
    """The pixels of a stored crop.

    Raises:
        DatasetError: The bytes are no picture of this size.
    """
    pixels = _pixels(data, "RGB")
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def encode_mask(mask: Bool[Tensor, "224 224"]) -> bytes:
    """PNG bytes of a mask, one bit per pixel."""
    buffer = io.BytesIO()
    Image.fromarray(mask.numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def decode_mask(data: bytes) -> Bool[Tensor, "224 224"]:
    """A stored mask.

    Raises:
        DatasetError: The bytes are no picture of this size.
    """
    return torch.from_numpy(_pixels(data, "1"))


def _pixels(data: bytes, mode: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
            if picture.size != (CROP_SIZE, CROP_SIZE):
                raise DatasetError(f"a stored crop has {picture.size} pixels, not {CROP_SIZE}")
            return np.array(picture.convert(mode))
    except OSError as error:
        raise DatasetError(f"a stored picture is damaged: {error}; build the data again") from error
