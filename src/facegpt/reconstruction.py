"""What every method returns for one face, and its exact JSON form (`facegpt.face/1`).

Records are read from anywhere, so `from_record` trusts nothing. This module knows no renderer and
no detector; what the blocks of theta mean is the business of `morphable` and `geometry`.

The JSON object has these fields (unknown ones are passed over):

- `schema`: `"facegpt.face/1"`; `method`, `morphable_model`: names.
- `parameters`: `shape` (80 numbers), `expression` (64), `albedo` (80), `illumination` (27, harmonic
  by harmonic, RGB), `camera` (6: pitch, yaw, roll in radians, x, y in half crops, log scale).
- `arkit`: blendshape name -> weight in [0, 1]. `semantics`: name -> object of plain values.
- `landmarks68_px` (68 x [x, y]) and `box_px` ([x0, y0, x1, y1]) in pixels of the original image,
  whole numbers at pixel centres; `image_size`: [width, height].
- `crop_from_image`: 3 x 3, pixels of the original image to pixels of the aligned 224 crop.
- `camera`: `opencv`, `opengl`, `blender`, each an object of numbers, lists and matrices.
- `errors`: `photometric` (mean RGB distance), `landmark_px` (of the 224 crop), `landmark_nme`.
- `licences`: list of names, or of objects of strings, that shaped the result.
- `source` (may be missing: a photo): `{"kind": "text", "text": ...}` for a face that was imagined,
  with `words`, `sample` and `seed` where there are some. There is no photo then: the image is the
  224 crop itself, landmarks and box are those of the mesh, and `errors` is empty. A face that was
  changed has `changes` (objects with `semantics` and `arkit`); then, too, landmarks and box are
  those of the mesh and `errors` is empty.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters
from facegpt.record_checks import (
    FaceRecordError,
    child,
    matrix,
    member,
    name_of,
    number,
    numbers,
    plain,
)

SCHEMA = "facegpt.face/1"

ERROR_NAMES = ("photometric", "landmark_px", "landmark_nme")

MAX_RECORD_BYTES = 1 << 20
"""A record takes about 20 kB; anything much larger is not one."""

_MAX_NAMES = 300
_LARGEST_COEFFICIENT = 1e4
_LARGEST_IMAGE_SIDE = 1_000_000
_SOURCES = ("photo", "text")


@dataclass(frozen=True)
class FaceReconstruction:
    """One face of a photo or of a text: theta, what it means, where it lies, how well it fits, what
    shaped it."""

    method: str
    morphable_model: str
    parameters: FaceParameters
    """A batch of one."""
    arkit: Mapping[str, float]
    """Blendshape name -> weight in [0, 1]."""
    semantics: Mapping[str, Any]
    landmarks68_px: Float[Tensor, "68 2"]
    """The detected iBUG points in pixels of the original image (after EXIF rotation); without a
    photo those of the mesh in the 224 crop."""
    box_px: Float[Tensor, "4"]
    """x0, y0, x1, y1 in pixels of the original image."""
    image_size: tuple[int, int]
    """Width and height of the original image (after EXIF rotation)."""
    crop_from_image: Float[Tensor, "3 3"]
    """Pixels of the original image to pixels of the aligned 224 crop, float64."""
    camera: Mapping[str, Any]
    """`opencv`, `opengl` and `blender` cameras that put the mesh back on the original image."""
    errors: Mapping[str, float]
    """`photometric`, `landmark_px` and `landmark_nme`; empty without a photo to compare with."""
    licences: Sequence[Any] = field(default=())
    """The ledger of `facegpt.assets`: what shaped this result, under which licence."""
    source: Mapping[str, Any] = field(default_factory=lambda: {"kind": "photo"})
    """`kind` is photo or text; an imagined face also has `text`, and perhaps `words` that the model
    said before, `sample` and `seed`; a changed one has `changes`."""

    @property
    def is_imagined(self) -> bool:
        """Made from a text: there is no photo."""
        return self.source["kind"] == "text"

    def to_record(self) -> dict[str, Any]:
        """The JSON object of this face; reading it back gives equal numbers.

        Raises:
            FaceRecordError: A number is not finite or a field has the wrong size.
        """
        record = {
            "schema": SCHEMA,
            "method": self.method,
            "morphable_model": self.morphable_model,
            "parameters": {k: _listed(v[0]) for k, v in self.parameters.blocks().items()},
            "arkit": {k: _rounded(v, 6) for k, v in self.arkit.items()},
            "semantics": _jsonable(self.semantics),
            "landmarks68_px": _listed(self.landmarks68_px),
            "box_px": _listed(self.box_px),
            "image_size": [int(side) for side in self.image_size],
            "crop_from_image": self.crop_from_image.double().tolist(),
            "camera": _jsonable(self.camera),
            "errors": {k: _rounded(v, 6) for k, v in self.errors.items()},
            "licences": _jsonable(list(self.licences)),
        }
        if self.source != {"kind": "photo"}:
            record["source"] = _jsonable(self.source)
        FaceReconstruction.from_record(record)
        return record

    @staticmethod
    def from_record(record: object) -> "FaceReconstruction":
        """The face of a JSON object from an unknown hand; every field is checked.

        Raises:
            FaceRecordError: Names the field that is missing, too large or not what it should be.
        """
        schema = member(record, "schema", "")
        if schema != SCHEMA:
            raise FaceRecordError("schema", f"expected {SCHEMA!r}, got {str(schema)[:60]!r}")
        source = _source(record)
        return FaceReconstruction(
            method=name_of(member(record, "method", ""), "method"),
            morphable_model=name_of(member(record, "morphable_model", ""), "morphable_model"),
            parameters=_parameters(child(record, "parameters")),
            arkit=_weights(child(record, "arkit")),
            semantics=plain(child(record, "semantics"), "semantics"),
            landmarks68_px=_tensor(matrix(record, "landmarks68_px", 68, 2)),
            box_px=_tensor(numbers(member(record, "box_px", ""), "box_px", 4)),
            image_size=_image_size(record),
            crop_from_image=_similarity(matrix(record, "crop_from_image", 3, 3)),
            camera=plain(child(record, "camera"), "camera"),
            errors=_errors(child(record, "errors"), source),
            licences=_licences(member(record, "licences", "")),
            source=source,
        )


@runtime_checkable
class FaceReconstructor(Protocol):
    """A method that finds faces in a photo and reconstructs them."""

    @property
    def name(self) -> str:
        """What `FaceReconstruction.method` says."""
        ...

    def reconstruct(self, image: Path | np.ndarray) -> list[FaceReconstruction]:
        """Every face in the image, largest first; an empty list when there is none.

        Args:
            image: A file, or uint8 sRGB pixels (height, width, 3).
        """
        ...


def write_record(path: Path, reconstruction: FaceReconstruction) -> None:
    """Write the JSON record; the file is there in full or not at all."""
    text = json.dumps(reconstruction.to_record(), indent=1, allow_nan=False, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_record(path: Path) -> FaceReconstruction:
    """Read a JSON record that `write_record` or somebody else wrote.

    Raises:
        FileNotFoundError: There is no such file.
        FaceRecordError: It is not a record; the message names the field.
    """
    with path.open("rb") as file:
        data = file.read(MAX_RECORD_BYTES + 1)
    if len(data) > MAX_RECORD_BYTES:
        raise FaceRecordError("", f"{path} is larger than {MAX_RECORD_BYTES} bytes")
    try:
        record = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FaceRecordError("", f"{path} is not JSON ({str(error)[:80]})") from error
    return FaceReconstruction.from_record(record)


def _parameters(blocks: object) -> FaceParameters:
    values = {}
    for name, size in BLOCK_SIZES.items():
        path = f"parameters.{name}"
        listed = numbers(member(blocks, name, "parameters."), path, size, _LARGEST_COEFFICIENT)
        values[name] = _tensor(listed)[None]
    return FaceParameters(**values)


def _weights(arkit: Mapping[str, object]) -> dict[str, float]:
    if len(arkit) > _MAX_NAMES:
        raise FaceRecordError("arkit", f"more than {_MAX_NAMES} names")
    weights = {}
    for name, value in arkit.items():
        path = f"arkit.{name_of(name, 'arkit')}"
        weights[name] = number(value, path)
        if not 0 <= weights[name] <= 1:
            raise FaceRecordError(path, f"a weight lies in [0, 1], got {weights[name]}")
    return weights


def _image_size(record: object) -> tuple[int, int]:
    width, height = numbers(member(record, "image_size", ""), "image_size", 2)
    for side in (width, height):
        if side != int(side) or not 1 <= side <= _LARGEST_IMAGE_SIDE:
            raise FaceRecordError("image_size", f"not the size of an image: {width} x {height}")
    return int(width), int(height)


def _similarity(rows: list[list[float]]) -> Float[Tensor, "3 3"]:
    transform = torch.tensor(rows, dtype=torch.float64)
    area = float(transform[0, 0] * transform[1, 1] - transform[0, 1] * transform[1, 0])
    if rows[2] != [0.0, 0.0, 1.0] or not 1e-12 < area < 1e12:
        raise FaceRecordError("crop_from_image", "not an affine map that keeps orientation")
    return transform


def _source(record: object) -> dict[str, Any]:
    if isinstance(record, dict) and "source" not in record:
        return {"kind": "photo"}
    source = plain(child(record, "source"), "source")
    kind = member(source, "kind", "source.")
    if kind not in _SOURCES:
        raise FaceRecordError("source.kind", f"expected one of {_SOURCES}, got {str(kind)[:60]!r}")
    if kind == "text":
        text = member(source, "text", "source.")
        if not isinstance(text, str) or not text.strip():
            raise FaceRecordError("source.text", "expected the text that the face was made from")
    changes = source.get("changes", [])
    if not isinstance(changes, list) or not all(isinstance(c, dict) for c in changes):
        raise FaceRecordError("source.changes", "expected a list of objects")
    return source


def _errors(errors: Mapping[str, object], source: Mapping[str, Any]) -> dict[str, float]:
    if source["kind"] == "text" or source.get("changes"):
        if errors:
            raise FaceRecordError(
                "errors", "a face that was made from a text or changed has no photo to differ from"
            )
        return {}
    return {k: number(member(errors, k, "errors."), f"errors.{k}") for k in ERROR_NAMES}


def _licences(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise FaceRecordError("licences", f"expected a list, got {type(value).__name__}")
    return plain(value, "licences")


def _tensor(values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _listed(values: Tensor) -> list[Any]:
    """Nested lists with nine digits, which is what a float32 needs to come back unchanged."""
    if values.ndim > 1:
        return [_listed(row) for row in values]
    return [float(f"{v:.9g}") for v in values.detach().float().tolist()]


def _rounded(value: float, digits: int) -> float:
    return float(f"{float(value):.{digits}g}")


def _jsonable(value: object) -> Any:
    """Tensors, arrays, tuples and mappings as what JSON knows; everything else unchanged."""
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return _jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    return value
