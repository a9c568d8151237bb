"""A folder of rendered photos with known landmarks, and a data set that is built from it."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from photo_folder import PhotoFolder, Writes
from PIL import Image

from facegpt.data.build import BuildSettings, build_dataset
from facegpt.data.table import FaceTable
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.renderer import Renderer

SIDE = 224


@pytest.fixture(scope="session")
def make_photos(tiny_face_model: MorphableModel) -> Callable[[Path, int], PhotoFolder]:
    """Writes so many photos of a face into a folder, each turned otherwise."""

    def make(folder: Path, count: int) -> PhotoFolder:
        images = folder / "photos"
        images.mkdir(parents=True)
        theta = FaceParameters.zeros(count)
        theta.camera[:, 1] = 0.05 * torch.arange(count)
        rendering = Renderer(tiny_face_model)(theta)
        names = []
        for number in range(count):
            pixels = np.full((SIDE + 20, SIDE + 30, 3), (90, 120, 20 * number % 256), np.uint8)
            face = (rendering.image[number].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
            shown = rendering.mask[number].numpy()
            pixels[:SIDE, :SIDE][shown] = face[shown]
            names.append(f"{chr(ord('a') + number)}.png")
            Image.fromarray(pixels).save(images / names[-1])
        points = rendering.landmarks_px.numpy()
        np.savez(folder / "points.npz", names=np.array(names), landmarks=points)
        with (folder / "index.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["name", "split", "mood"])
            rows.writerows(
                [n, "val" if i % 3 == 2 else "train", "calm"] for i, n in enumerate(names)
            )
        return PhotoFolder(
            images, folder / "points.npz", folder / "index.csv", tuple(names), points
        )

    return make


@pytest.fixture(scope="session")
def photos(
    make_photos: Callable[[Path, int], PhotoFolder], tmp_path_factory: pytest.TempPathFactory
) -> PhotoFolder:
    """Six photos; do not write into their folder."""
    return make_photos(tmp_path_factory.mktemp("photos"), 6)


@pytest.fixture(scope="session")
def faces(photos: PhotoFolder, tmp_path_factory: pytest.TempPathFactory) -> FaceTable:
    """A finished data set of the six photos; the face of c.png has no words."""
    output = tmp_path_factory.mktemp("faces")
    settings = BuildSettings(photos.images, output, landmarks=photos.landmarks, shard_photos=4)
    build_dataset(settings, describer=Writes(silent_about="c.png"))
    return FaceTable(output)
