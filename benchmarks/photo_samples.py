"""Photos of a data folder, aligned by their reference landmarks: what benchmarks of photos read.

A folder holds pictures, `index.csv` (columns name, split, score; optional face_px, dup_of, and
ethnicity or emotion, which name the groups) and `landmarks.npz` (names; landmarks, 68 points in
pixels). Exact duplicates are left out, and so are photos that the detector hardly took for faces
or that are small, where the index says how sure it was and how large they are.
"""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from facegpt.morphable.framing import five_points
from facegpt.perception.alignment import AlignedFace, align, similarity
from facegpt.perception.images import load_image

MIN_SCORE = 0.4
MIN_FACE_PX = 120


@dataclass(frozen=True)
class Sample:
    """One aligned photo and the group it is counted in."""

    face: AlignedFace
    group: str
    name: str


def read_samples(data: Path, split: str = "val", *, every: int = 1, limit: int = 0) -> list[Sample]:
    """Every usable photo of the split, aligned by its reference landmarks.

    Args:
        every: Only every n-th photo.
        limit: Only so many of them; 0 = all.
    """
    points = reference_points(data)
    with (data / "index.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if _is_usable(row, split)]
    rows = [row for row in rows if row["name"] in points][::every]
    return [
        Sample(
            align(load_image(data / row["name"]), points[row["name"]]),
            row.get("ethnicity") or row.get("emotion") or "all",
            row["name"],
        )
        for row in (rows[:limit] if limit else rows)
    ]


def _is_usable(row: dict[str, str], split: str) -> bool:
    too_hard = "face_px" in row and (
        float(row["score"] or 0) <= MIN_SCORE or float(row["face_px"] or 0) < MIN_FACE_PX
    )
    return row["split"] == split and not too_hard and not row.get("dup_of")


def reference_points(data: Path) -> dict[str, np.ndarray]:
    """The 68 points of every photo of a folder by its name, in pixels of the photo."""
    stored = np.load(data / "landmarks.npz")
    return dict(zip(stored["names"].tolist(), stored["landmarks"], strict=True))


def rows_by_group(groups: Sequence[str]) -> dict[str, list[int]]:
    """Numbers of the samples of each group in the order of its name, and of "all" at the end."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        found[group].append(number)
    return {**dict(sorted(found.items())), "all": list(range(len(groups)))}


def mean_shape_px(data: Path, split: str = "train") -> Float[np.ndarray, "68 2"]:
    """The constant answer: the mean of the aligned points of a split, in pixels of the 224 crop.

    No picture is read, so the pictures must be as small as `load_image` leaves them.
    """
    points = reference_points(data)
    with (data / "index.csv").open() as file:
        names = [row["name"] for row in csv.DictReader(file) if _is_usable(row, split)]
    return np.mean([_in_crop(points[name]) for name in names if name in points], axis=0)


def _in_crop(points_px: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "68 2"]:
    five = five_points(torch.from_numpy(np.asarray(points_px, np.float64))).numpy()
    crop_from_photo = similarity(five)
    return points_px @ crop_from_photo[:2, :2].T + crop_from_photo[:2, 2]
