"""The commands of docs/baselines.md are understood, and differ in what is compared alone."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from facegpt.cli import main
from facegpt.cli import training as command
from facegpt.training.config import MixtureShares, ObjectiveWeights, TrainConfig
from facegpt.training.run import train
from runs import quick

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def configs(project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, TrainConfig]:
    """Name of the output folder -> what the command would train."""
    read: dict[str, TrainConfig] = {}

    def remember(config: TrainConfig) -> int:
        read[config.output.name] = config
        return 0

    monkeypatch.setattr(command, "_train", remember)
    text = (project / "docs" / "baselines.md").read_text(encoding="utf-8")
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            with pytest.raises(SystemExit) as exit_:
                main(shlex.split(line)[2:])
            assert exit_.value.code == 0, line
    return read


def changed(one: TrainConfig, other: TrainConfig) -> set[str]:
    """Fields in which two runs differ, nested ones as `weights.theta`."""
    found = set()
    for f in fields(TrainConfig):
        a, b = getattr(one, f.name), getattr(other, f.name)
        if isinstance(a, MixtureShares | ObjectiveWeights):
            found |= {f"{f.name}.{n}" for n in vars(a) if getattr(a, n) != getattr(b, n)}
        elif a != b:
            found.add(f.name)
    return found


def test_table_8_compares_the_losses(configs: dict[str, TrainConfig]) -> None:
    without, with_ = configs["unsupervised"], configs["supervised"]
    lambdas = {f"weights.{n}" for n in ("pixel", "perceptual", "landmark", "regularisation")}
    assert changed(without, with_) == lambdas | {"output", "supervise_photos", "weights.theta"}
    assert {name for name, value in with_.weights.face_terms.items() if value} == {"theta"}
    assert without.weights.theta == without.weights.measured == 0


def test_table_5_compares_the_talk(configs: dict[str, TrainConfig]) -> None:
    talk = {"mixture.talk", "mixture.turns_before"}
    assert changed(configs["with-talk"], configs["no-conversations"]) == talk | {"output"}
    assert configs["no-conversations"].mixture.talk == 0


def test_every_baseline_has_its_seed_and_recipe(configs: dict[str, TrainConfig]) -> None:
    assert {config.seed for config in configs.values()} == {0}
    assert configs["regression"].recipe == "regression"
    key = configs["llava-key"]
    assert (key.recipe, key.mixture.makes_faces) == ("nano", False)


def test_theta_alone_can_be_what_counts(tmp_path: Path) -> None:
    weights = ObjectiveWeights(
        text=0.0, theta=1.0, pixel=0.0, perceptual=0.0, landmark=0.0, regularisation=0.0
    )
    config = quick(tmp_path, weights=weights, steps=1, batch_size=6)
    numbers = train(config).numbers
    assert numbers["face"] == pytest.approx(numbers["theta"])
    assert numbers["loss"] == pytest.approx(weights.face * numbers["theta"], rel=1e-3)
