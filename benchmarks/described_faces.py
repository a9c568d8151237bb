"""Fitted faces of described photos, kept in a folder so that they are fitted once.

    python benchmarks/described_faces.py DESCRIPTIONS.jsonl --images SHARED_DATA --fits CACHE_DIR

Every line of the file names a photo in `image`: cNNNN.jpg lies in SHARED_DATA/color, wNNNNN.jpg in
SHARED_DATA/wild, each folder with its `landmarks.npz`. What CACHE_DIR gets is told in
`fit_cache.py`; photos that are there are not fitted again. About a second per photo.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from fit_cache import cached_fits
from photo_samples import reference_points

from facegpt.fitting import FitResult
from facegpt.perception.alignment import AlignedFace, align
from facegpt.perception.images import load_image

_FOLDERS = {"c": "color", "w": "wild"}


@dataclass(frozen=True)
class Options:
    """What to fit and where to keep it."""

    descriptions: tyro.conf.Positional[Path]
    images: Path
    fits: Path
    limit: int = 0
    """Only the first photos; 0 = all."""


def read_descriptions(path: Path, limit: int = 0) -> list[dict[str, Any]]:
    """The first rows of a JSONL file; 0 = all."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return rows[:limit] if limit else rows


def is_colour(name: str) -> bool:
    """Whether a photo is one of the colour photos, by its name."""
    return _FOLDERS[name[0]] == "color"


def aligned_faces(images: Path, names: Sequence[str]) -> list[AlignedFace]:
    """The named photos, aligned by their reference landmarks."""
    folders = {images / _FOLDERS[name[0]] for name in names}
    points = {folder: reference_points(folder) for folder in folders}
    placed = [(images / _FOLDERS[name[0]], name) for name in names]
    return [align(load_image(folder / name), points[folder][name]) for folder, name in placed]


def fitted_faces(images: Path, names: Sequence[str], fits: Path) -> FitResult:
    """The fit of every named photo; those that are not in the folder yet are fitted now."""
    return cached_fits(names, lambda part: aligned_faces(images, part), fits)


def main() -> None:
    """Fit and say how good the fits are."""
    options = tyro.cli(Options, description=__doc__)
    names = [row["image"] for row in read_descriptions(options.descriptions, options.limit)]
    started = time.perf_counter()
    found = fitted_faces(options.images, names, options.fits)
    print(
        f"{len(names)} fits in {options.fits}: 68 points {found.landmark_px.mean():.2f} px, inner "
        f"51 {found.landmark_inner_px.mean():.2f} px, photometric {found.photometric.mean():.4f}; "
        f"{time.perf_counter() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
