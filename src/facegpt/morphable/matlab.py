"""Named tables of a MATLAB 5 file, each no larger than asked."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.io import loadmat, whosmat

from facegpt.morphable.default import FaceModelFileError

_MAX_BYTES = 1 << 30


def variables_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape as the file declares it.

    Raises:
        FileNotFoundError: There is no such file.
        FaceModelFileError: It is damaged, too large or of version 7.3.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; see: facegpt doctor")
    if path.stat().st_size > _MAX_BYTES:
        raise FaceModelFileError(f"{path} is larger than {_MAX_BYTES} bytes")
    try:
        return {name: shape for name, shape, _ in whosmat(path)}
    # scipy's reader fails in many ways on a damaged file.
    except (Exception, MemoryError) as error:
        raise FaceModelFileError(f"{path} is damaged or no MATLAB 5 file: {error}") from error


def read_mat(path: Path, most: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Variables of a file as arrays.

    Args:
        most: Name -> most values; every name must be there.

    Raises:
        FileNotFoundError: There is no such file.
        FaceModelFileError: As `variables_of`; or a variable is missing, too large or no table of
            finite numbers.
    """
    _check_shapes(path, most, variables_of(path))
    try:
        found = loadmat(path, variable_names=list(most))
    except (Exception, MemoryError) as error:
        raise FaceModelFileError(f"{path} is damaged: {error}") from error
    return {name: _table(path, name, found.get(name)) for name in most}


def _check_shapes(
    path: Path, most: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    for name, limit in most.items():
        if name not in shapes:
            raise FaceModelFileError(f"{path} has no {name!r}; it has {sorted(shapes)[:20]}")
        count = int(np.prod([int(side) for side in shapes[name]], dtype=np.float64))
        if not 0 < count <= limit:
            raise FaceModelFileError(f"{path}: {name} has shape {shapes[name]}")


def _table(path: Path, name: str, value: object) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise FaceModelFileError(f"{path}: {name} is no table of numbers")
    if not np.isfinite(value).all():
        raise FaceModelFileError(f"{path}: {name} holds numbers that are not finite")
    return value
