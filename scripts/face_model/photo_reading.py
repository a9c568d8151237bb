"""Training photos as aligned crops: which ones, with which points, and which pixels can be skin."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.spatial import ConvexHull

from facegpt.morphable.framing import CROP_SIZE
from facegpt.perception.alignment import align
from facegpt.perception.images import load_image

_EVENING = 0.6
"""Groups of n photos weigh n ** (1 - 0.6) together: small ones count, without one photo of them
counting like twenty others."""
_OPEN_MOUTH_PX = 6.0
_WIDE_YAW = 0.35
_OPEN_EYE_PX2 = 60
_FOREHEAD = 0.38
"""The mask A ends this share of the way from chin to nose bridge above the brows."""


@dataclass(frozen=True)
class PhotoEntry:
    """One row of the index."""

    path: Path
    group: str
    """Ethnicity as the index has it."""
    gender: str
    yaw: float
    landmarks68_px: NDArray[np.float32]
    """(68, 2) in pixels of the photo."""


@dataclass(frozen=True)
class AlignedPhoto:
    """A crop of 224 pixels and what can be used of it."""

    crop: NDArray[np.uint8]
    """(224, 224, 3)."""
    usable: NDArray[np.bool_]
    """(224, 224): may be skin, lips, brows or beard of the face; wider than the mask A."""
    landmarks68_px: NDArray[np.float32]
    """(68, 2) in pixels of the crop."""


def entries(images: Path, landmarks: Path, index: Path, split: str) -> list[PhotoEntry]:
    """The photos of a split that show a face and are no duplicates.

    Args:
        landmarks: npz with `names` and `landmarks` (photo, 68, 2).
        index: csv with name, gender, ethnicity, detected, split, yaw_proxy, dup_of.
    """
    with np.load(landmarks) as file:
        points = dict(zip(file["names"].tolist(), file["landmarks"], strict=True))
    with index.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == split]
    return [
        PhotoEntry(
            images / row["name"],
            row["ethnicity"],
            row["gender"],
            float(row["yaw_proxy"] or 0),
            points[row["name"]].astype(np.float32),
        )
        for row in rows
        if row["detected"] == "1" and not row["dup_of"] and row["name"] in points
    ]


def read_photos(chosen: Sequence[PhotoEntry]) -> Iterator[AlignedPhoto]:
    """Aligned crops, one by one."""
    for entry in chosen:
        face = align(load_image(entry.path), entry.landmarks68_px)
        crop = (face.crop.permute(1, 2, 0) * 255).round().byte().numpy()
        points = face.landmarks68_px.numpy()
        usable = _usable(crop, points, face.skin.numpy()) & face.validity.numpy()
        yield AlignedPhoto(crop, usable, points)


def people_weights(chosen: Sequence[PhotoEntry], photos: Sequence[AlignedPhoto]) -> NDArray:
    """(photo,) mean 1: groups evened out; open mouths and turned heads count less."""
    cells = [(entry.group, entry.gender) for entry in chosen]
    size = Counter(cells)
    weight = np.array([size[cell] ** -_EVENING for cell in cells])
    points = np.stack([photo.landmarks68_px for photo in photos])
    gap = np.linalg.norm(points[:, 62] - points[:, 66], axis=1)
    yaw = np.array([entry.yaw for entry in chosen])
    weight *= np.where(gap > _OPEN_MOUTH_PX, 0.5, 1) * np.exp(-((yaw / _WIDE_YAW) ** 2))
    return (weight / weight.mean()).astype(np.float32)


def iris_srgb(photo: AlignedPhoto) -> NDArray[np.float64]:
    """(3,) colour of the rings around the dark middles of both eyes; nan for closed eyes."""
    found = []
    y, x = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    for eye in (range(36, 42), range(42, 48)):
        inside = _polygon(photo.landmarks68_px[list(eye)])
        if inside.sum() < _OPEN_EYE_PX2:
            continue
        brightness = photo.crop.mean(-1)
        dark = np.where(inside, np.quantile(brightness[inside], 0.35) - brightness, 0).clip(0)
        middle = (dark * x).sum() / dark.sum(), (dark * y).sum() / dark.sum()
        distance = np.hypot(x - middle[0], y - middle[1])
        # lashes and the lid shade the upper half
        ring = photo.crop[inside & (distance > 2.0) & (distance < 4.3) & (y > middle[1] - 1)]
        if len(ring) > 8:
            low, high = np.quantile(ring.mean(1), (0.45, 0.85))
            found.append(ring[(ring.mean(1) >= low) & (ring.mean(1) <= high)])
    return np.concatenate(found).mean(0) / 255 if found else np.full(3, np.nan)


def _usable(
    crop: NDArray[np.uint8], points: NDArray[np.float32], skin: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The mask A, whatever lies between brows and mouth, beards, and what has the colour of this
    skin outside the outline of A; no eyes, no mouth.
    """
    features = _polygon(_hull(points[17:]))
    bearded = _polygon(_hull(np.concatenate([points[2:15], points[31:36]])))
    brows_raised = points[17:27] + (points[27] - points[8]) * _FOREHEAD
    outside = ~_polygon(_hull(np.concatenate([points, brows_raised])))
    distance = _distance_from_skin(crop, skin)
    usable = skin | (bearded & (distance < 14)) | (outside & (distance < 7))
    # the rim of a face is mixed with what lies behind it
    usable = binary_erosion(usable | features, iterations=2) | features
    for hole in (range(36, 42), range(42, 48), range(60, 68)):
        usable &= ~binary_dilation(_polygon(points[list(hole)]))
    return usable


def _distance_from_skin(crop: NDArray[np.uint8], skin: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(224, 224) squared Mahalanobis distance of each colour from those of the skin, as brightness
    and the logarithms of two ratios of colours."""
    r, g, b = (crop.astype(np.float32) + 8).transpose(2, 0, 1)
    features = np.stack([np.log(r + g + b), np.log(r / g), np.log(g / b)], axis=-1)
    if skin.sum() < 100:
        return np.full(skin.shape, np.inf, np.float32)
    own = features[skin]
    distance = np.zeros(len(own), np.float32)
    for _ in range(2):
        # without the hair and the background that the mask let in
        own = own[distance <= np.quantile(distance, 0.85)]
        offset = own - np.median(own, axis=0)
        precision = np.linalg.inv(np.cov(own.T) * 1.4 + 1e-4 * np.eye(3)).astype(np.float32)
        distance = ((offset @ precision) * offset).sum(-1)
    offset = features - np.median(own, axis=0)
    return ((offset @ precision) * offset).sum(-1)


def _hull(points: NDArray[np.float32]) -> NDArray[np.float32]:
    return points[ConvexHull(points).vertices]


def _polygon(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    picture = Image.new("1", (CROP_SIZE, CROP_SIZE))
    ImageDraw.Draw(picture).polygon([tuple(point) for point in points.tolist()], fill=1)
    return np.array(picture)
