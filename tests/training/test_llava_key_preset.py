"""The preset llava-key: two steps on a tiny model that learns to write points, by L_txt alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from facegpt.data.landmark_text import read_landmarks
from facegpt.data.mixture import Example
from facegpt.morphable.model import MorphableModel
from facegpt.training.config import MixtureShares, TrainConfig
from facegpt.training.debug import tiny_backbone
from facegpt.training.examples import draw_examples
from facegpt.training.parts import load_model
from facegpt.training.presets import PRESETS
from facegpt.training.run import train
from runs import face_folder, weights


@pytest.fixture(scope="module")
def folder(tiny_face_model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_folder(tiny_face_model, tmp_path_factory.mktemp("faces"), 5)


def settings(folder: Path, output: Path, **changes: object) -> TrainConfig:
    config = replace(
        PRESETS["llava-key"],
        recipe="pretrained",
        data=(folder,),
        output=output,
        batch_size=2,
        accumulation=1,
        held_out=2,
        steps=2,
        log_every=1,
        save_every=0,
        validate_every=2,
        precision="float32",
        tensorboard=False,
    )
    return replace(config, **changes)


def kinds(examples: list[Example]) -> list[str]:
    return [example.kind for example in examples]


def test_every_example_asks_for_points(folder: Path, tmp_path: Path) -> None:
    drawn = draw_examples(settings(folder, tmp_path), 16)
    examples = [drawn.training[i] for i in range(16)]
    assert set(kinds(examples)) == {"image-points", "text-points"}
    assert all(e.target is None and "<FACE>" not in e.answer for e in examples)
    assert all(read_landmarks(e.answer).count == 68 for e in examples)
    assert kinds(drawn.held_out) == ["image-points"] * 2 + ["text-points"] * 2


def test_points_beside_faces_are_validated_beside_faces(folder: Path, tmp_path: Path) -> None:
    both = settings(folder, tmp_path, mixture=MixtureShares(talk=0.0, replay=0.0, image_points=1.0))
    assert kinds(draw_examples(both, 4).held_out) == (
        ["image"] * 2 + ["text"] * 2 + ["image-points"] * 2
    )


def test_a_run_learns_from_text_alone(folder: Path, tmp_path: Path) -> None:
    backbone, processor = tiny_backbone(0)
    backbone.save_pretrained(tmp_path / "base")
    processor.save_pretrained(tmp_path / "base")
    config = settings(folder, tmp_path / "run", base=str(tmp_path / "base"), head_hidden_sizes=(8,))
    report = train(config)
    assert {"text/image-points", "text/text-points"} <= set(report.best)
    assert not {"face", "landmark", "theta"} & set(report.numbers)
    assert report.numbers["loss"] == pytest.approx(report.numbers["text"], rel=1e-3)
    untrained, _ = load_model(config)
    head = untrained.face_head.state_dict()
    learnt = weights(report.weights)
    assert all((learnt[f"head.{name}"] == value).all() for name, value in head.items())
    assert any(value.abs().sum() > 0 for name, value in learnt.items() if name.endswith(".B"))
