"""The default head: shapes from MakeHuman's CC0 sliders, colours from photos or from pigments.

One npz holds the shapes on some 4,000 control vertices and the sparse matrix that makes the fine
mesh of them. How it was built: `scripts/build_face_model.py`. What the statistics are worth:
MODEL_CARD.md. Knows the file, not how faces are fitted or drawn.
"""

import functools
import zipfile
import zlib
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from facegpt.morphable.framing import place_in_crop
from facegpt.morphable.model import MorphableModel

ASSET_PATH = Path(__file__).parent / "assets" / "face_model.npz"
_FORMAT = 1


class FaceModelFileError(ValueError):
    """The file of the default model is missing, damaged or of another format."""


@functools.cache
def load_default() -> MorphableModel:
    """The whole head with colours learnt from photos; do not change its tensors, they are shared.

    Raises:
        FaceModelFileError: The shipped file is missing or damaged.
    """
    return read_face_model(ASSET_PATH, colours="albedo", name="default")


@functools.cache
def load_default_procedural() -> MorphableModel:
    """The same head with colours composed of pigments: no photo took part.

    Raises:
        FaceModelFileError: The shipped file is missing or damaged.
    """
    return read_face_model(ASSET_PATH, colours="procedural", name="default-procedural")


def read_face_model(path: Path, *, colours: str, name: str) -> MorphableModel:
    """Read a file that `scripts/build_face_model.py` wrote.

    Args:
        path: The npz.
        colours: Which block of colours: `albedo` (photos) or `procedural`.
        name: Name of the model, and of the asset its licence stands under.

    Raises:
        FaceModelFileError: Missing, damaged, of another format, or without these colours.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            blocks = {key: file[key] for key in file.files if _wanted(key, colours)}
        return _assemble(blocks, colours, name)
    except FileNotFoundError:
        raise FaceModelFileError(
            f"the face model is not there: no file at {path}. {_REMEDY}"
        ) from None
    except _DAMAGE as error:
        raise FaceModelFileError(f"the face model {path} is damaged: {error}. {_REMEDY}") from error


_REMEDY = (
    "Reinstall facegpt, or in a clone run: python scripts/build_face_model.py "
    "and python scripts/build_albedo.py"
)


_DAMAGE = (
    *(OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, IndexError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What numpy, zipfile and our own reading raise on bytes that are no face model."""


def _wanted(key: str, colours: str) -> bool:
    return not key.startswith(("albedo_", "procedural_")) or key.startswith(f"{colours}_")


def _assemble(blocks: dict[str, np.ndarray], colours: str, name: str) -> MorphableModel:
    if int(blocks["format"]) != _FORMAT:
        raise ValueError(f"format {int(blocks['format'])}, this version reads format {_FORMAT}")
    mean, identity, arkit, expression = _shapes(blocks)
    landmarks68 = _integers(blocks["landmarks68"])
    offset, pixels_per_mm = place_in_crop(mean, landmarks68)
    scale = torch.from_numpy(blocks[f"{colours}_scale"])[:, None, None]
    return MorphableModel(
        name=name,
        mean_mm=mean + offset,
        identity_mm=identity,
        expression_mm=expression,
        albedo_mean=torch.from_numpy(blocks[f"{colours}_mean"].astype(np.float32) / 65535),
        albedo_basis=torch.from_numpy(blocks[f"{colours}_basis"]).float() * scale,
        triangles=_integers(blocks["triangles"]),
        uv=torch.from_numpy(blocks["uv"]),
        uv_triangles=_integers(blocks["uv_triangles"]),
        landmarks68=landmarks68,
        mirror=_integers(blocks["mirror"]),
        part=_integers(blocks["part"]),
        part_names=tuple(str(part) for part in blocks["part_names"]),
        arkit_mm=arkit,
        arkit_names=tuple(str(shape) for shape in blocks["arkit_names"]),
        pixels_per_mm=pixels_per_mm,
        licences=(name,),
    )


def _shapes(blocks: dict[str, np.ndarray]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean (V, 3), identity (80, V, 3), ARKit shapes (52, V, 3) and expression (64, V, 3) in mm."""
    shapes = np.concatenate([blocks["control_arkit_mm"], blocks["control_further_mm"]])
    axes = blocks["expression_from_shapes"] @ shapes.astype(np.float32).reshape(len(shapes), -1)
    stacks = [
        blocks["control_mean_mm"][None],
        blocks["control_identity_mm"],
        blocks["control_arkit_mm"],
        axes.reshape(len(axes), -1, 3),
    ]
    starts = np.cumsum([len(stack) for stack in stacks])[:-1].tolist()
    controls = np.concatenate([stack.astype(np.float32) for stack in stacks])
    count = controls.shape[1]
    stencil = sp.csr_matrix(
        (
            blocks["stencil_values"],
            blocks["stencil_columns"].astype(np.int32),
            blocks["stencil_starts"],
        ),
        (len(blocks["stencil_starts"]) - 1, count),
    )
    # the sparse product wants the vertices in front and runs fastest over long contiguous rows
    fine = stencil @ np.ascontiguousarray(controls.transpose(1, 0, 2)).reshape(count, -1)
    fine = fine.reshape(fine.shape[0], len(controls), 3).transpose(1, 0, 2)
    pieces = [torch.from_numpy(np.ascontiguousarray(part)) for part in np.split(fine, starts)]
    mean, identity, arkit, expression = pieces
    return mean[0], identity, arkit, expression


def _integers(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))
