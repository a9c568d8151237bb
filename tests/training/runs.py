"""Short debug runs for the tests of training."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from facegpt.data.schema import FaceRow, encode_crop, encode_mask
from facegpt.data.shards import Manifest, write_manifest, write_shard
from facegpt.morphable.model import MorphableModel
from facegpt.rendering.renderer import Renderer
from facegpt.training.config import OptimiserSettings, TrainConfig
from facegpt.training.debug import rendered_faces
from facegpt.training.presets import PRESETS


def face_folder(model: MorphableModel, output: Path, count: int) -> Path:
    """A finished data set of rendered faces with their theta and a description each."""
    faces = rendered_faces(Renderer(model), count, generator=torch.Generator().manual_seed(0))
    rows = [
        FaceRow(
            face_id=f"{i}.png:0",
            source=f"{i}.png",
            crop=encode_crop(faces.photo[i]),
            skin=encode_mask(faces.skin[i]),
            validity=encode_mask(torch.ones(224, 224, dtype=torch.bool)),
            landmarks68_px=faces.landmarks68_px[i],
            is_grey=False,
            theta=faces.theta[i].to_vector()[0],
            descriptions=(f"This is person number {i}.",),
            labels={"group": "few" if i == 0 else "many"},
        )
        for i in range(count)
    ]
    shard = write_shard(output, 0, rows, photos=count, problems_end=0)
    write_manifest(output, replace(Manifest({}, count), shards=(shard,)))
    return output


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
