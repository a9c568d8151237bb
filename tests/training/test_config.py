"""The config of a run: presets, records, and checks that name the flag."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tyro

from facegpt.training.config import (
    AdapterSettings,
    MixtureShares,
    ObjectiveWeights,
    OptimiserSettings,
    TrainConfig,
    TrainConfigError,
    differences,
)
from facegpt.training.presets import PRESETS, find_preset

PLAIN = replace(PRESETS["debug"], weights=ObjectiveWeights())
"""Self-supervised."""


def test_loads_no_torch() -> None:
    code = "import sys, facegpt.training.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_llava_7b_is_the_paper() -> None:
    config = find_preset("llava-7b")
    assert config.base == "llava-hf/llava-1.5-7b-hf"
    assert config.head_hidden_sizes == (5120, 5120)
    assert (config.weights.text, config.weights.face) == (1.0, 0.1)
    assert config.weights.face_terms == {
        "pixel": 0.5,
        "perceptual": 0.25,
        "landmark": 5e-4,
        "regularisation": 0.1,
        "theta": 0.0,
    }
    optimiser = config.optimiser
    assert (optimiser.learning_rate, optimiser.weight_decay) == (2e-5, 0.0)
    assert (optimiser.warmup_steps, optimiser.schedule) == (100, "linear")
    assert (config.batch_size, config.accumulation, config.examples_per_step) == (8, 4, 32)
    assert config.mixture.composed == config.mixture.situation == 0
    assert (config.morphable_model, config.identity) == ("bfm2017", "auto")
    assert not config.adapter.projector  # Fig. 2
    assert not config.supervise_photos
    assert config.perceptual_every == 1


def test_wrong_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(TrainConfigError, match="did you mean 'nano'"):
        find_preset("nanno")


@pytest.mark.parametrize("name", PRESETS)
def test_record_round_trip(name: str) -> None:
    config = replace(PRESETS[name], data=(Path("a"), Path("b")), situations=(Path("c"),))
    record = json.loads(json.dumps(config.to_record()))
    again = TrainConfig.from_record(record)
    assert again == config
    assert isinstance(again.data[0], Path)
    assert isinstance(again.situations[0], Path)


def test_record_of_another_version_is_refused() -> None:
    with pytest.raises(TrainConfigError, match="'colour'"):
        TrainConfig.from_record({**PRESETS["debug"].to_record(), "colour": 1})


@pytest.mark.parametrize(
    ("make", "flag"),
    [
        (lambda: replace(PRESETS["debug"], batch_size=0), "--batch-size"),
        (lambda: replace(PRESETS["debug"], save_every=-1), "--save-every"),
        (lambda: replace(PRESETS["debug"], minutes=0.0), "--minutes"),
        (lambda: replace(PRESETS["debug"], head_hidden_sizes=(0,)), "--head-hidden-sizes"),
        (lambda: replace(PLAIN, supervise_photos=True), "--supervise-photos"),
        (
            lambda: replace(PRESETS["nano"], adapter=AdapterSettings(projector=False)),
            "--adapter.no-projector",
        ),
        (lambda: replace(PRESETS["vision"], quantise="4bit"), "--quantise 4bit"),
        (lambda: ObjectiveWeights(landmark=-1.0), "--weights.landmark"),
        (lambda: ObjectiveWeights(pixel=float("nan")), "--weights.pixel"),
        (lambda: AdapterSettings(rank=0), "--adapter.rank"),
        (lambda: AdapterSettings(alpha=0.0), "--adapter.alpha"),
        (lambda: AdapterSettings(dropout=1.0), "--adapter.dropout"),
        (lambda: OptimiserSettings(head_learning_rate=0.0), "--optimiser.head-learning-rate"),
        (lambda: OptimiserSettings(warmup_steps=-1), "--optimiser.warmup-steps"),
        (lambda: MixtureShares(talk=-1.0), "--mixture.talk"),
        (lambda: MixtureShares(short=2.0), "--mixture.short"),
        (lambda: MixtureShares(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), "--mixture"),
        (
            lambda: replace(PLAIN, mixture=MixtureShares(situation=1.0)),
            "--weights.theta",
        ),
    ],
)
def test_checks_name_the_flag(make, flag: str) -> None:
    with pytest.raises(ValueError, match=flag):
        make()


def test_groups_fall_back_to_the_learning_rate() -> None:
    assert OptimiserSettings(learning_rate=3e-4, token_learning_rate=1e-3).rates == {
        "adapter": 3e-4,
        "head": 3e-4,
        "token": 1e-3,
    }


def test_only_what_does_not_change_a_run_may_change() -> None:
    old = PRESETS["debug"]
    assert differences(old, replace(old, steps=9, minutes=1.0, sheet_every=0, keep=5)) == []
    assert differences(old, replace(old, seed=1)) == ["seed was 0 and is now 1"]
    [nested] = differences(old, replace(old, weights=ObjectiveWeights(pixel=2.0)))
    assert nested.startswith("weights was")


def test_is_the_command_line() -> None:
    arguments = ["--weights.landmark", "0.5", "--steps", "7", "--data", "a", "b", "--minutes", "3"]
    config = tyro.cli(TrainConfig, args=arguments, default=PRESETS["debug"])
    assert config.weights.landmark == 0.5
    assert config.recipe == "debug"
    assert (config.steps, config.minutes, config.data) == (7, 3.0, (Path("a"), Path("b")))
