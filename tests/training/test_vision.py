"""The preset vision: its data by number, its batches, and a run that learns, stops and goes on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facegpt.data.table import FaceTable
from facegpt.model.vision_tower import FaceVisionAutoencoder
from facegpt.morphable.model import MorphableModel
from facegpt.rendering.renderer import Renderer
from facegpt.training.augmentation import NO_AUGMENTATION, Augmentation
from facegpt.training.config import MixtureShares, OptimiserSettings, TrainConfig, TrainConfigError
from facegpt.training.objective import FaceObjective
from facegpt.training.photo_batches import (
    FacesInTurn,
    PhotoCollator,
    balanced_pool,
    composed_people,
)
from facegpt.training.presets import PRESETS
from facegpt.training.run import train
from facegpt.training.vision import VisionHeldOut, new_autoencoder, theta_units
from runs import face_folder

COUNT = 6


@pytest.fixture(scope="module")
def objective(tiny_face_model: MorphableModel) -> FaceObjective:
    return FaceObjective(Renderer(tiny_face_model, 128))


@pytest.fixture(scope="module")
def folder(tiny_face_model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished data set of rendered faces."""
    return face_folder(tiny_face_model, tmp_path_factory.mktemp("faces"), COUNT)


def settings(folder: Path, output: Path, **changes: object) -> TrainConfig:
    config = replace(
        PRESETS["vision"],
        data=(folder,),
        output=output,
        batch_size=2,
        held_out=2,
        steps=2,
        log_every=1,
        save_every=1,
        validate_every=2,
        sheet_every=2,
        sheet_faces=2,
        perceptual_every=0,
        precision="float32",
        tensorboard=False,
        mixture=MixtureShares(composed=0.0),
        optimiser=OptimiserSettings(learning_rate=1e-3, warmup_steps=0, schedule="constant"),
    )
    return replace(config, **changes)


def test_every_face_comes_once_a_round_and_the_place_decides(folder: Path) -> None:
    faces = FacesInTurn(FaceTable(folder), range(COUNT), 3 * COUNT, seed=1)
    order = [faces[i].face.row.face_id for i in range(3 * COUNT)]
    for round_ in range(3):
        assert len(set(order[round_ * COUNT : (round_ + 1) * COUNT])) == COUNT
    assert order[:COUNT] != order[COUNT : 2 * COUNT]
    assert [faces[i].face.row.face_id for i in (14, 3)] == [order[14], order[3]]
    with pytest.raises(IndexError):
        faces[3 * COUNT]


def test_rare_groups_come_twice() -> None:
    labels = [{"group": "few"}, {}, *[{"group": "many"}] * 6]
    assert sorted(balanced_pool(labels, range(8), "group")) == [0, 0, *range(1, 8)]
    assert balanced_pool(labels, range(8), "nothing") == list(range(8))


def test_batches_depend_on_the_place_alone(folder: Path, objective: FaceObjective) -> None:
    faces = FacesInTurn(FaceTable(folder), range(COUNT), 12, seed=1)
    collate = PhotoCollator(objective, Augmentation(), seed=5)
    first, again, later = (collate([faces[i], faces[i + 1]]) for i in (0, 0, 6))
    assert torch.equal(first.photo, again.photo)
    assert not torch.equal(first.photo, later.photo)
    assert first.photo.shape == (2, 3, 128, 128)
    assert first.theta is None


def test_composed_people_are_explained_by_their_theta(objective: FaceObjective) -> None:
    walls = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    people = composed_people(objective, walls, 3, torch.Generator().manual_seed(2))
    assert people.theta is not None
    terms = objective(people.theta, people)
    assert terms["theta"].max() == 0
    assert terms["landmark"].max() < 1e-3
    assert terms["pixel"].max() < 0.02  # but for light above 1, which no photo shows


def test_photos_and_people_share_a_batch(folder: Path, objective: FaceObjective) -> None:
    faces = FacesInTurn(FaceTable(folder), range(COUNT), 12, seed=1)
    batch = PhotoCollator(objective, NO_AUGMENTATION, seed=5, composed=2)([faces[0], faces[1]])
    assert len(batch) == 4
    assert batch.theta_mask is not None
    assert batch.theta_mask.all(dim=1).tolist() == [False, False, True, True]


def test_supervised_photos_bring_theta_without_its_camera_once_they_moved(
    folder: Path, objective: FaceObjective
) -> None:
    faces = FacesInTurn(FaceTable(folder), range(COUNT), 12, seed=1)
    drawn = [faces[0], faces[1]]
    still = PhotoCollator(objective, NO_AUGMENTATION, seed=5, supervised=True)(drawn)
    assert still.theta is not None
    assert still.theta_mask is not None
    assert still.theta_mask.all()
    terms = objective(still.theta, still)
    assert terms["theta"].max() == 0
    assert terms["landmark"].max() < 0.1
    moved = PhotoCollator(objective, Augmentation(), seed=5, composed=1, supervised=True)(drawn)
    assert moved.theta_mask is not None
    assert moved.theta_mask.all(dim=1).tolist() == [False, False, True]
    assert moved.theta_mask[:, :-6].all()


def test_an_untrained_tower_is_near_the_mean_face() -> None:
    model = new_autoencoder(0).eval()
    theta = model.see(torch.rand(4, 3, 224, 224, generator=torch.Generator().manual_seed(0)))
    center, scale = (torch.tensor(values) for values in theta_units())
    assert ((theta - center) / scale).square().mean().sqrt() < 0.5
    again = new_autoencoder(0)
    for first, second in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(first, second)


def test_a_run_goes_on_as_if_it_had_never_stopped(folder: Path, tmp_path: Path) -> None:
    train(settings(folder, tmp_path / "parts", steps=2))
    resumed = train(settings(folder, tmp_path / "parts", steps=4))
    assert (resumed.first_step, resumed.last_step) == (2, 4)
    train(settings(folder, tmp_path / "whole", steps=4))
    read = [
        FaceVisionAutoencoder.from_pretrained(tmp_path / name / "last").state_dict()
        for name in ("parts", "whole")
    ]
    for name, value in read[0].items():
        assert torch.equal(value, read[1][name]), name


def test_a_run_leaves_pictures_numbers_and_the_best_weights(folder: Path, tmp_path: Path) -> None:
    report = train(settings(folder, tmp_path, mixture=MixtureShares(composed=0.5)))
    assert {"landmark_px", "landmark_inner_px", "photometric", "face"} <= set(report.best)
    assert list((tmp_path / "sheets").glob("*.png"))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert any("landmark/image" in line for line in lines)
    best = FaceVisionAutoencoder.from_pretrained(tmp_path / "best")
    first = new_autoencoder(0)
    assert not torch.equal(best.head.weight, first.head.weight)


def test_validation_sees_what_it_should(folder: Path, objective: FaceObjective) -> None:
    table = FaceTable(folder)
    held_out = VisionHeldOut([table[0], table[1]], objective, 2)
    numbers = held_out(new_autoencoder(0).eval())
    assert numbers["landmark_px"] > 0
    assert 0 < numbers["photometric"] < 1


def test_no_data_and_too_little_data_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainConfigError, match="facegpt data build"):
        train(settings(folder, tmp_path / "a", data=()))
    with pytest.raises(TrainConfigError, match="--held-out"):
        train(settings(folder, tmp_path / "b", held_out=COUNT))
