"""Short debug runs for the tests of training."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from facegpt.training.config import OptimiserSettings, TrainConfig
from facegpt.training.presets import PRESETS


def quick(output: Path, **changes: Any) -> TrainConfig:
    """The debug preset without pictures and validation, two examples at a time."""
    plain = {
        "batch_size": 2,
        "validate_every": 0,
        "sheet_every": 0,
        "save_every": 0,
        "optimiser": OptimiserSettings(learning_rate=1e-3, warmup_steps=1, schedule="linear"),
    }
    return replace(PRESETS["debug"], output=output, **{**plain, **changes})


def weights(folder: Path) -> dict[str, Tensor]:
    """What a folder has learnt."""
    return load_file(folder / "adapter.safetensors")


def assert_same_weights(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    """Bit for bit."""
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different, different


class Clock:
    """Time that passes by a fixed amount whenever somebody looks."""

    def __init__(self, seconds_per_look: float) -> None:
        self.now = 0.0
        self.step = seconds_per_look

    def __call__(self) -> float:
        self.now += self.step
        return self.now
