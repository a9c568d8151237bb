"""Runs on data at an address: what is drawn, and that a run goes on as if it had never stopped."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import tyro

from facegpt.data.streaming import StreamSettings
from facegpt.data.table import FaceTable
from facegpt.model.vision_tower import FaceVisionAutoencoder
from facegpt.morphable.model import MorphableModel
from facegpt.training.config import (
    MixtureShares,
    OptimiserSettings,
    TrainConfig,
    TrainConfigError,
    differences,
)
from facegpt.training.examples import draw_examples, stream_settings
from facegpt.training.photo_batches import FacesInTurn
from facegpt.training.presets import PRESETS
from facegpt.training.run import train
from runs import face_folder

COUNT = 6


@pytest.fixture(scope="module")
def folder(tiny_face_model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_folder(tiny_face_model, tmp_path_factory.mktemp("faces"), COUNT)


@pytest.fixture(scope="module")
def places(folder: Path) -> tuple[str, ...]:
    """The same data twice, at addresses."""
    return (f"file://{folder}", f"file://{folder}/")


def settings(places: tuple[str, ...], output: Path, **changes: object) -> TrainConfig:
    config = replace(
        PRESETS["vision"],
        data=places,
        output=output,
        batch_size=2,
        held_out=0,
        log_every=1,
        save_every=1,
        validate_every=0,
        sheet_every=0,
        perceptual_every=0,
        precision="float32",
        tensorboard=False,
        stream_window=1,
        balance="",
        mixture=MixtureShares(composed=0.0),
        optimiser=OptimiserSettings(learning_rate=1e-3, warmup_steps=0, schedule="constant"),
    )
    return replace(config, **changes)


def test_addresses_survive_command_line_and_record() -> None:
    arguments = ["--data", "s3://bucket/faces/", "folder", "hf://datasets/me/faces"]
    config = tyro.cli(TrainConfig, args=arguments, default=PRESETS["debug"])
    assert config.data == ("s3://bucket/faces", Path("folder"), "hf://datasets/me/faces")
    record = json.loads(json.dumps(config.to_record()))
    assert TrainConfig.from_record(record) == config


def test_the_window_shapes_a_run_and_the_memory_does_not() -> None:
    config = PRESETS["debug"]
    assert differences(config, replace(config, stream_memory_mb=7)) == []
    assert differences(config, replace(config, stream_window=7))
    assert stream_settings(config) == StreamSettings()
    with pytest.raises(ValueError, match="--stream-window"):
        replace(config, stream_window=0)


def test_photos_come_shard_by_shard_and_the_place_decides(places: tuple[str, ...]) -> None:
    table = FaceTable(places, stream=StreamSettings(window=1))
    faces = FacesInTurn(table, range(2 * COUNT), 4 * COUNT, seed=1)
    drawn = [faces[i].face.row.face_id for i in range(4 * COUNT)]
    # A window is one of the two shards: each brings all its faces before the other begins.
    for first in range(0, 4 * COUNT, COUNT):
        assert len(set(drawn[first : first + COUNT])) == COUNT
    again = FacesInTurn(
        FaceTable(places, stream=StreamSettings(window=1)), range(2 * COUNT), 4 * COUNT, seed=1
    )
    assert [again[i].face.row.face_id for i in (13, 4)] == [drawn[13], drawn[4]]


def test_faces_kept_back_come_from_one_shard(places: tuple[str, ...]) -> None:
    mixture = MixtureShares(1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    config = replace(PRESETS["nano"], data=places, held_out=4, mixture=mixture, batch_size=2)
    drawn = draw_examples(config, 40)
    assert {"image", "text"} <= set(drawn.training.orders)
    rows = drawn.training.orders["image"].rows.tolist()
    kept_back = set(range(2 * COUNT)) - set(rows)
    assert len(kept_back) == 4
    assert len({row // COUNT for row in kept_back}) == 1
    first, again = (draw_examples(config, 40).training for _ in range(2))
    assert [first[i].answer for i in range(20)][11:] == [again[i].answer for i in range(11, 20)]


def test_a_balance_needs_a_folder(places: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(TrainConfigError, match="--balance group reads the label of every face"):
        train(settings(places, tmp_path, balance="group", steps=1))


@pytest.mark.slow
def test_a_streamed_run_goes_on_as_if_it_had_never_stopped(
    places: tuple[str, ...], tmp_path: Path
) -> None:
    train(settings(places, tmp_path / "parts", steps=3))
    resumed = train(settings(places, tmp_path / "parts", steps=5))
    assert (resumed.first_step, resumed.last_step) == (3, 5)
    train(settings(places, tmp_path / "whole", steps=5))
    read = [
        FaceVisionAutoencoder.from_pretrained(tmp_path / name / "last").state_dict()
        for name in ("parts", "whole")
    ]
    for name, value in read[0].items():
        assert torch.equal(value, read[1][name]), name
