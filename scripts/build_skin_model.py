"""Fit the skin colour model that ships: two Gaussian mixtures over YCbCr.

    python scripts/build_skin_model.py DATA

DATA is a folder of colour photos with index.csv (name, split, ethnicity) and landmarks.npz. Skin is
taken from cheeks, nose and chin of the train split, the rest from outside the outline of the face.
Every ethnicity group gives equally many pixels, so that no group is a rounding error.
"""

import csv
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from sklearn.mixture import GaussianMixture

from facegpt.morphable.framing import CROP_SIZE
from facegpt.perception.alignment import align
from facegpt.perception.images import load_image
from facegpt.perception.skin import face_outline, ycbcr

PHOTOS_PER_GROUP = 150
PIXELS_PER_PHOTO = 300
COMPONENTS = 4
OUTPUT = Path(__file__).parent.parent / "src/facegpt/perception/assets/skin_colour.npz"


def certain_skin(points: np.ndarray) -> np.ndarray:
    """Cheeks, nose and upper lip: where there is skin in every photo."""
    picture = Image.new("1", (CROP_SIZE, CROP_SIZE))
    draw = ImageDraw.Draw(picture)
    draw.polygon([tuple(points[i]) for i in (2, 4, 48, 33, 54, 12, 14, 46, 28, 41)], fill=1)
    return np.array(picture)


def collect(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Colours of skin and of everything else, balanced over the groups."""
    random = np.random.default_rng(0)
    stored = np.load(data / "landmarks.npz")
    landmarks = dict(zip(stored["names"].tolist(), stored["landmarks"], strict=True))
    groups: dict[str, list[str]] = defaultdict(list)
    with (data / "index.csv").open() as file:
        for row in csv.DictReader(file):
            if row["split"] == "train" and row["name"] in landmarks:
                groups[row["ethnicity"]].append(row["name"])
    skin, other = [], []
    for names in groups.values():
        for name in random.permutation(names)[:PHOTOS_PER_GROUP]:
            # As a grey photo: the outline alone, so that no earlier colour model is needed.
            photo = replace(load_image(data / str(name)), is_grey=True)
            face = align(photo, landmarks[str(name)])
            rgb = (face.crop.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            points = face.landmarks68_px.numpy().astype(np.float64)
            inside = certain_skin(points)
            outside = ~face_outline(points) & face.validity.numpy()
            for mask, found in ((inside, skin), (outside, other)):
                colours = ycbcr(rgb[mask])
                found.append(colours[random.integers(0, len(colours), PIXELS_PER_PHOTO)])
    return np.concatenate(skin), np.concatenate(other)


def main() -> None:
    """Fit and write."""
    arrays = {}
    for name, colours in zip(("skin", "other"), collect(Path(sys.argv[1])), strict=True):
        mixture = GaussianMixture(COMPONENTS, random_state=0, reg_covar=4.0).fit(colours)
        arrays[f"{name}_weights"] = mixture.weights_
        arrays[f"{name}_means"] = mixture.means_
        arrays[f"{name}_precisions"] = mixture.precisions_
    np.savez_compressed(OUTPUT, **arrays)
    print(f"wrote {OUTPUT} ({OUTPUT.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
