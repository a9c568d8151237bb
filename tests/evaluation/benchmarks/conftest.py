"""A data folder of rendered faces, and methods that know the answers."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegpt.baselines.estimated import EstimatedFaces
from facegpt.evaluation import methods
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.alignment import AlignedFace
from facegpt.rendering.renderer import Renderer

SIDE = 224
COUNT = 4


@dataclass(frozen=True)
class Made:
    """What lies in the folder."""

    folder: Path
    theta: FaceParameters
    points: np.ndarray
    names: tuple[str, ...]


def faces(count: int) -> FaceParameters:
    theta = FaceParameters.zeros(count)
    theta.camera[:, 1] = 0.05 * torch.arange(count)
    theta.shape[:, 0] = torch.linspace(-1, 1, count)
    theta.expression[:, 0] = torch.linspace(1, -1, count)
    return theta


@pytest.fixture
def data(tiny_face_model: MorphableModel, tmp_path: Path) -> Made:
    """The set `color` with four photos of two groups and a duplicate, and descriptions of three."""
    folder = tmp_path / "data"
    (folder / "color").mkdir(parents=True)
    theta = faces(COUNT)
    rendering = Renderer(tiny_face_model)(theta)
    names = tuple(f"c{i:04d}.png" for i in range(COUNT))
    for number, name in enumerate(names):
        pixels = np.full((SIDE, SIDE, 3), (90, 120, 60 * number), np.uint8)
        face = (rendering.image[number].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
        shown = rendering.mask[number].numpy()
        pixels[shown] = face[shown]
        Image.fromarray(pixels).save(folder / "color" / name)
    points = rendering.landmarks_px.double().numpy()
    np.savez(folder / "color" / "landmarks.npz", names=np.array(names), landmarks=points)
    rows = [[name, "val", ("asian", "white")[i % 2], ""] for i, name in enumerate(names)]
    rows += [["copy.png", "val", "white", names[0]], ["other.png", "train", "white", ""]]
    with (folder / "color" / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["name", "split", "ethnicity", "dup_of"], *rows])
    (folder / "descriptions").mkdir()
    with (folder / "descriptions" / "val.jsonl").open("w") as file:
        for number, name in enumerate(names[:3]):
            said = [f"This person waits for bus {number}.", f"This person lost key {number}."]
            record = {"image": name, "description": f"Face {number}.", "implicit": said, "best": 1}
            file.write(json.dumps(record) + "\n")
    return Made(folder, theta, points, names)


class Knows:
    """An estimator that knows the pose of the photos of the folder by their points; it counts."""

    name = "knows"

    def __init__(self, theta: FaceParameters, points: np.ndarray) -> None:
        self.theta = theta
        self.points = points
        self.asked = 0

    def estimate(self, faces: Sequence[AlignedFace]) -> FaceParameters:
        self.asked += len(faces)
        return FaceParameters.cat([self.theta[self._number(face)] for face in faces])

    def _number(self, face: AlignedFace) -> int:
        crop_from_photo = face.crop_from_image.numpy()
        in_crop = self.points @ crop_from_photo[:2, :2].T + crop_from_photo[:2, 2]
        away = np.abs(in_crop - face.landmarks68_px.double().numpy()).max(axis=(1, 2))
        return int(away.argmin())


@pytest.fixture
def truth(data: Made, tiny_face_model: MorphableModel, monkeypatch: pytest.MonkeyPatch) -> Knows:
    """`fit` answers what was rendered, and the default model is the tiny one."""
    knows = Knows(data.theta, data.points)
    monkeypatch.setattr(methods, "load_morphable_model", lambda name: tiny_face_model)
    monkeypatch.setitem(
        methods.PHOTO_METHODS,
        "fit",
        lambda name, workshop: EstimatedFaces(knows, workshop.model, workshop.detector),
    )
    return knows
