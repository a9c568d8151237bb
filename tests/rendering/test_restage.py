"""A saved face drawn again: changes are made exactly where they were asked for."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from face_records import made_up_face, made_up_theta
from facegpt.morphable.blendshapes import arkit_weights, expression_from_arkit
from facegpt.morphable.model import MorphableModel
from facegpt.reconstruction import FaceReconstruction, write_record
from facegpt.rendering import restage
from facegpt.rendering.pictures import named_light
from facegpt.rendering.restage import Staging, render_record, staged


@pytest.fixture
def face(tiny_face_model: MorphableModel) -> FaceReconstruction:
    smile = expression_from_arkit(tiny_face_model, {"jawOpen": 0.25, "mouthSmileLeft": 1 / 3})
    return made_up_face(made_up_theta().replace(expression=smile))


def test_nothing_asked_nothing_changed(
    tiny_face_model: MorphableModel, face: FaceReconstruction
) -> None:
    assert staged(tiny_face_model, face.parameters, face.arkit, Staging()) is face.parameters


def test_weights_are_set_and_the_others_stay(
    tiny_face_model: MorphableModel, face: FaceReconstruction
) -> None:
    theta = staged(tiny_face_model, face.parameters, face.arkit, Staging(arkit={"jawOpen": 0.75}))
    weights = arkit_weights(tiny_face_model, theta.expression)
    assert weights["jawOpen"] == pytest.approx(0.75, abs=0.02)
    assert weights["mouthSmileLeft"] == pytest.approx(1 / 3, abs=0.02)


def test_angles_and_light(tiny_face_model: MorphableModel, face: FaceReconstruction) -> None:
    staging = Staging(angles_degrees=(30.0, None, -10.0), light="left")
    theta = staged(tiny_face_model, face.parameters, face.arkit, staging)
    angles = [0.0, math.radians(30), math.radians(-10)]
    assert theta.camera[0, :3].tolist() == pytest.approx(angles)
    torch.testing.assert_close(theta.illumination, named_light("left"))


def test_files(
    tmp_path: Path,
    tiny_face_model: MorphableModel,
    face: FaceReconstruction,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(restage, "load_morphable_model", lambda name: tiny_face_model)
    monkeypatch.setattr(restage, "_TURNTABLE_FRAMES", 4)
    write_record(tmp_path / "face.json", face)
    staging = Staging(angles_degrees=(0.0, 0.0, 0.0), size=64)
    files = render_record(
        tmp_path / "face.json", staging, tmp_path / "new/face.png", tmp_path / "turn.gif"
    )
    assert files == [tmp_path / "new/face.png", tmp_path / "turn.gif"]
    with Image.open(files[0]) as picture:
        assert picture.size == (64, 64)
        plain = np.asarray(picture)
    with Image.open(files[1]) as animation:
        assert getattr(animation, "n_frames", 1) == 4
    green = np.full((8, 8, 3), (0, 200, 0), np.uint8)
    Image.fromarray(green).save(tmp_path / "head.png")
    render_record(tmp_path / "face.json", staging, tmp_path / "green.png")
    with Image.open(tmp_path / "green.png") as picture:
        textured = np.asarray(picture).astype(int)
    assert textured[32, 32, 1] > textured[32, 32, 0] + 50
    assert plain[32, 32, 0] > plain[32, 32, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 8}, "--size must be"),
        ({"angles_degrees": (math.nan, None, None)}, "--yaw"),
    ],
)
def test_impossible_stagings(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Staging(**change)


def test_unknown_names(tiny_face_model: MorphableModel, face: FaceReconstruction) -> None:
    with pytest.raises(ValueError, match="did you mean 'left'"):
        staged(tiny_face_model, face.parameters, face.arkit, Staging(light="lefft"))
    with pytest.raises(ValueError, match="did you mean 'jawOpen'"):
        staged(tiny_face_model, face.parameters, face.arkit, Staging(arkit={"jawOpn": 1.0}))
