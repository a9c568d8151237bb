"""The preset regression: the MLP learns, the tower stays, a stopped run goes on exactly."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facegpt.baselines.regression_network import RegressionNetwork
from facegpt.model.configuration_vision import FaceVisionConfig
from facegpt.model.vision_tower import FaceVisionAutoencoder
from facegpt.morphable.model import MorphableModel
from facegpt.training.config import OptimiserSettings, TrainConfig, TrainConfigError
from facegpt.training.parts import BaseMissingError
from facegpt.training.presets import PRESETS
from facegpt.training.run import train
from facegpt.training.vision import theta_units
from runs import face_folder

COUNT = 6


@pytest.fixture(scope="module")
def folder(tiny_face_model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_folder(tiny_face_model, tmp_path_factory.mktemp("faces"), COUNT)


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `facegpt train vision` leaves, only tiny."""
    center, scale = theta_units()
    config = FaceVisionConfig(
        image_size=64,
        stage_sizes=[4, 4, 8, 8],
        embedding_size=4,
        depths=[1, 1, 1, 1],
        hidden_size=16,
        squeeze_size=4,
        theta_center=center,
        theta_scale=scale,
    )
    output = tmp_path_factory.mktemp("tower")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        FaceVisionAutoencoder(config).save_pretrained(output)
    return output


def settings(folder: Path, tower: Path, output: Path, **changes: object) -> TrainConfig:
    config = replace(
        PRESETS["regression"],
        base=str(tower),
        data=(folder,),
        output=output,
        head_hidden_sizes=(8,),
        batch_size=2,
        held_out=2,
        steps=2,
        log_every=1,
        save_every=1,
        validate_every=2,
        sheet_every=2,
        sheet_faces=2,
        precision="float32",
        tensorboard=False,
        optimiser=OptimiserSettings(learning_rate=1e-2, warmup_steps=0, schedule="constant"),
    )
    return replace(config, **changes)


def test_the_mlp_learns_and_the_tower_stays(folder: Path, tower: Path, tmp_path: Path) -> None:
    report = train(settings(folder, tower, tmp_path, steps=12, augment=False))
    first, learnt = (
        RegressionNetwork.on(
            FaceVisionAutoencoder.from_pretrained(tower).tower,
            (8,),
            generator=torch.Generator().manual_seed(0),
        ),
        RegressionNetwork.load(report.weights),
    )
    for name, weight in first.state_dict().items():
        same = torch.equal(weight, learnt.state_dict()[name])
        assert same == (not name.startswith("head.")), name
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert sum(losses[-3:]) < sum(losses[:3])
    assert {"landmark", "pixel", "theta"} <= set(report.numbers)
    assert {"landmark_px", "photometric", "face"} <= set(report.best)
    assert list((tmp_path / "sheets").glob("*.png"))


def test_a_run_goes_on_as_if_it_had_never_stopped(
    folder: Path, tower: Path, tmp_path: Path
) -> None:
    train(settings(folder, tower, tmp_path / "parts"))
    resumed = train(settings(folder, tower, tmp_path / "parts", steps=4))
    assert (resumed.first_step, resumed.last_step) == (2, 4)
    train(settings(folder, tower, tmp_path / "whole", steps=4))
    parts, whole = (
        RegressionNetwork.load(tmp_path / name / "last").state_dict() for name in ("parts", "whole")
    )
    for name, value in parts.items():
        assert torch.equal(value, whole[name]), name


def test_no_data_and_no_tower_are_refused(folder: Path, tower: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainConfigError, match="the preset regression learns from photos"):
        train(settings(folder, tower, tmp_path / "a", data=()))
    with pytest.raises(BaseMissingError, match="regression starts from a trained vision tower"):
        train(settings(folder, tmp_path / "nothing", tmp_path / "b"))


def test_the_terms_are_those_of_photos_in_nano() -> None:
    nano, regression = PRESETS["nano"], PRESETS["regression"]
    assert regression.weights.face_terms == nano.weights.face_terms
    assert regression.supervise_photos == nano.supervise_photos
    assert regression.head_hidden_sizes == nano.head_hidden_sizes
