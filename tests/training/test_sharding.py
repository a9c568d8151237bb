"""Settings for sharded weights, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from facegpt.model.adapter import adapter_parameters, add_adapter
from facegpt.training import sharding
from facegpt.training.config import OptimiserSettings, TrainConfig, TrainConfigError
from facegpt.training.sharding import deepspeed_settings, whole_weights
from tiny_facegpt import tiny_network


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A tiny FaceGPT; DeepSpeed is there, or seems to be: its settings are plain values."""
    monkeypatch.setattr(sharding.importlib.util, "find_spec", lambda name: object())
    return tiny_network().model


def config(path: Path, **changes: Any) -> TrainConfig:
    return replace(TrainConfig(deepspeed=path), **changes)


def written(folder: Path, **sections: Any) -> Path:
    path = folder / "zero.json"
    path.write_text(json.dumps({"zero_optimization": {"stage": 2}} | sections))
    return path


@pytest.mark.parametrize("stage", [2, 3])
def test_shipped_files_are_those_of_the_paper(model: Any, project: Path, stage: int) -> None:
    path = project / "configs" / "deepspeed" / f"zero{stage}.json"
    settings = deepspeed_settings(config(path), model)
    assert settings["zero_optimization"]["stage"] == stage
    assert settings["zero_optimization"]["reduce_bucket_size"] == 64 * 64
    assert settings["scheduler"]["type"] == "WarmupDecayLR"
    # DeepSpeed then takes the peak of each group of weights from the optimiser.
    assert settings["scheduler"]["params"]["warmup_max_lr"] is None
    for name in ("gradient_clipping", "train_batch_size", "gradient_accumulation_steps"):
        assert settings[name] == "auto"


def test_numbers_that_are_given_stay(model: Any, tmp_path: Path) -> None:
    path = written(tmp_path, zero_optimization={"stage": 2, "reduce_bucket_size": 5})
    assert deepspeed_settings(config(path), model) == json.loads(path.read_text())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON file"),
        ("[]", "no DeepSpeed config"),
        ('{"zero_optimization": 2}', "no DeepSpeed config"),
        ('{"zero_optimization": {}, "optimizer": {}}', "brings its own AdamW"),
    ],
)
def test_files_that_cannot_be_used(model: Any, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "zero.json"
    path.write_text(text)
    with pytest.raises(TrainConfigError, match=message):
        deepspeed_settings(config(path), model)


def test_missing_file_names_those_of_the_project(model: Any, tmp_path: Path) -> None:
    with pytest.raises(TrainConfigError, match=r"no DeepSpeed file.*configs/deepspeed/zero2\.json"):
        deepspeed_settings(config(tmp_path / "none.json"), model)


def test_two_schedules_are_refused(model: Any, tmp_path: Path) -> None:
    path = written(tmp_path, scheduler={"type": "WarmupDecayLR", "params": {}})
    cosine = config(path, optimiser=OptimiserSettings(schedule="cosine"))
    with pytest.raises(TrainConfigError, match=r"WarmupDecayLR.*schedule cosine; take"):
        deepspeed_settings(cosine, model)


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrainConfigError, match=r"pip install 'facegpt\[deepspeed\]'"):
        deepspeed_settings(config(written(tmp_path)), tiny_network().model)


def test_shards_are_one_kind_and_for_language_models(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give one of them"):
        TrainConfig(fsdp=True, deepspeed=tmp_path)
    for recipe in ("vision", "regression"):
        with pytest.raises(ValueError, match="are for language models"):
            TrainConfig(recipe=recipe, fsdp=True)


def test_whole_weights_are_left_as_they_are() -> None:
    model = add_adapter(tiny_network().model)
    before = {name: id(weight) for name, weight in adapter_parameters(model).items()}
    with whole_weights(model, keep=True):
        assert {name: id(weight) for name, weight in adapter_parameters(model).items()} == before


def test_shards_come_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose weights seem to be shards: inside they are others, afterwards the same."""
    model = add_adapter(tiny_network().model)
    monkeypatch.setattr(sharding, "_is_sharded", lambda weight: True)
    before = adapter_parameters(model)
    monkeypatch.setattr(sharding, "_whole_of_deepspeed", lambda weight: torch.ones(3))

    def fail() -> None:
        with whole_weights(model, keep=True):
            inside = adapter_parameters(model)
            assert all(torch.equal(weight, torch.ones(3)) for weight in inside.values())
            assert all(isinstance(weight, nn.Parameter) for weight in inside.values())
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        fail()
    assert all(weight is before[name] for name, weight in adapter_parameters(model).items())
