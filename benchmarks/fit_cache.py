"""Fitted faces of photos, kept in a folder so that every photo is fitted once.

The folder gets one safetensors file per photo, its name without suffix: `theta` (257),
`photometric`, `landmark_px` and `landmark_inner_px` (numbers, eq. 8 and 9), all float32. Fits are
those of `facegpt fit`, from the reference landmarks.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from facegpt.fitting import FaceBatch, FitResult, fit_faces
from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.alignment import AlignedFace
from facegpt.perception.identity import DlibIdentity
from facegpt.rendering.renderer import Renderer

_BATCH = 8
_NUMBERS = ("photometric", "landmark_px", "landmark_inner_px")

Load = Callable[[Sequence[str]], list[AlignedFace]]
"""Aligned photos by their names."""


def cached_fits(names: Sequence[str], load: Load, fits: Path) -> FitResult:
    """The fit of every named photo; those that are not in the folder yet are fitted now, about a
    second each.
    """
    fits.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not fit_file(fits, name).exists()]
    if missing:
        renderer, encoder = Renderer(load_default().restricted_to()), DlibIdentity()
        for first in range(0, len(missing), _BATCH):
            part = missing[first : first + _BATCH]
            found = fit_faces(renderer, FaceBatch.of(load(part)), encoder=encoder)
            _keep(fits, part, found)
    return read_fits(names, fits)


def read_fits(names: Sequence[str], fits: Path) -> FitResult:
    """The fits of photos that are all in the folder."""
    stored = [load_file(fit_file(fits, name)) for name in names]
    joined = {key: torch.stack([one[key] for one in stored]) for key in ("theta", *_NUMBERS)}
    return FitResult(FaceParameters.from_vector(joined.pop("theta")), **joined)


def fit_file(fits: Path, name: str) -> Path:
    """Where the fit of a photo lies, or will lie."""
    return fits / f"{Path(name).stem}.safetensors"


def _keep(fits: Path, names: Sequence[str], found: FitResult) -> None:
    theta = found.parameters.to_vector()
    for i, name in enumerate(names):
        tensors = {"theta": theta[i]} | {key: getattr(found, key)[i] for key in _NUMBERS}
        unfinished = fit_file(fits, name).with_suffix(".part")
        save_file({key: value.clone() for key, value in tensors.items()}, unfinished)
        unfinished.replace(fit_file(fits, name))
