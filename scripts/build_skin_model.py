"""Fit the skin colour model that ships: two Gaussian mixtures over relative YCbCr.

    python scripts/build_skin_model.py --data DATA [--output FILE]

DATA is a folder of colour photos with index.csv (name, split, ethnicity, dup_of) and landmarks.npz
(names, landmarks). Skin is taken from cheeks and nose of the train split, the rest from hair and
background, both after the gain that makes the face's own skin typical. Every ethnicity group gives
equally many pixels. Half of the photos are seen in another exposure, so that noise and clipping of
dark and bright photos are known, too. Only the statistics are written.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.cluster.vq import kmeans2

from facegpt.morphable.framing import CROP_SIZE
from facegpt.perception.alignment import align
from facegpt.perception.images import load_image
from facegpt.perception.skin import certain_skin, face_outline, own_skin_colour, relative_colours

PHOTOS_PER_GROUP = 200
PIXELS_PER_PHOTO = 150
COMPONENTS = 4
ITERATIONS = 60
EXPOSURES = (0.35, 1.25)
# Below this variance a component describes the quantisation of few photos.
SMALLEST_VARIANCE = 9.0
OUTPUT = Path(__file__).parent.parent / "src/facegpt/perception/assets/skin_colour.npz"


def not_skin(points: np.ndarray, validity: np.ndarray) -> np.ndarray:
    """Hair, and what shows beside it: around the outline but behind the ears, and above the mouth,
    where there is no neck. What lies far from a face is never taken for it."""
    outline = face_outline(points, 0.45)
    behind_ears = ~ndimage.binary_dilation(outline, iterations=22)
    around = ndimage.binary_dilation(outline, iterations=48)
    picture = Image.new("1", (CROP_SIZE, CROP_SIZE))
    limit = float(points[[3, 13], 1].mean())
    ImageDraw.Draw(picture).rectangle((0, 0, CROP_SIZE, limit), fill=1)
    return behind_ears & around & np.array(picture) & validity


def read_groups(data: Path) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
    """Names of the train photos of every group, and the landmarks by name."""
    stored = np.load(data / "landmarks.npz")
    landmarks = dict(zip(stored["names"].tolist(), stored["landmarks"], strict=True))
    groups: dict[str, list[str]] = defaultdict(list)
    with (data / "index.csv").open() as file:
        for row in csv.DictReader(file):
            if row["split"] == "train" and not row.get("dup_of") and row["name"] in landmarks:
                groups[row["ethnicity"]].append(row["name"])
    return groups, landmarks


def collect(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Relative colours of skin and of everything else, balanced over the groups."""
    random = np.random.default_rng(0)
    groups, landmarks = read_groups(data)
    skin, other = [], []
    for names in groups.values():
        for i, name in enumerate(random.permutation(names)[:PHOTOS_PER_GROUP]):
            face = align(load_image(data / str(name)), landmarks[str(name)])
            rgb = (face.crop.permute(1, 2, 0).numpy() * 255).round()
            if i % 2:
                rgb = np.clip(rgb * random.uniform(*EXPOSURES), 0, 255).round()
            rgb = rgb.astype(np.uint8)
            points, validity = face.landmarks68_px.numpy().astype(np.float64), face.validity.numpy()
            certain, far = certain_skin(points) & validity, not_skin(points, validity)
            own = own_skin_colour(rgb[certain])
            for mask, found in ((certain, skin), (far, other)):
                colours = relative_colours(rgb[mask], own)
                if len(colours):
                    found.append(colours[random.integers(0, len(colours), PIXELS_PER_PHOTO)])
    return np.concatenate(skin), np.concatenate(other)


def fit_mixture(colours: np.ndarray) -> dict[str, np.ndarray]:
    """Expectation maximisation of a Gaussian mixture, begun by k-means."""
    means, labels = kmeans2(colours, COMPONENTS, seed=0, minit="++")
    shares = np.eye(COMPONENTS)[labels]
    for _ in range(ITERATIONS):
        counts = shares.sum(axis=0) + 1e-9
        means = (shares.T @ colours) / counts[:, None]
        offsets = colours[:, None] - means
        covariances = np.einsum("nk,nki,nkj->kij", shares, offsets, offsets) / counts[:, None, None]
        precisions = np.linalg.inv(covariances + SMALLEST_VARIANCE * np.eye(3))
        square = np.einsum("nki,kij,nkj->nk", offsets, precisions, offsets)
        log = np.log(counts / len(colours)) + 0.5 * np.linalg.slogdet(precisions)[1] - 0.5 * square
        shares = np.exp(log - np.logaddexp.reduce(log, axis=1, keepdims=True))
    return {"weights": counts / counts.sum(), "means": means, "precisions": precisions}


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    arrays = {}
    for name, colours in zip(("skin", "other"), collect(arguments.data), strict=True):
        for key, value in fit_mixture(colours).items():
            arrays[f"{name}_{key}"] = value
        print(f"{name}: {len(colours)} pixels, means {arrays[f'{name}_means'].round().tolist()}")
    np.savez_compressed(arguments.output, **arrays)
    print(f"wrote {arguments.output} ({arguments.output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
