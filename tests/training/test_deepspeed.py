"""DeepSpeed ZeRO-2 and ZeRO-3 in two processes: what is learnt, saved and gone on with.

DeepSpeed is an extra and compiles a part of itself at its first use, so these tests are slow and
are skipped where it is missing.
"""

import importlib.util
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from launching import Launched, launch, logged

from facegpt.training.config import TrainConfig
from facegpt.training.run import train
from runs import quick, weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("deepspeed") is None, reason="needs the extra deepspeed"
    ),
    pytest.mark.skipif(
        shutil.which("g++") is None, reason="DeepSpeed compiles, and no g++ is here"
    ),
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where DeepSpeed compiles: a folder of ours, or users of one machine disturb each other; or
    the one that is named already, with what was compiled before."""
    folder = os.environ.get("TORCH_EXTENSIONS_DIR") or tmp_path_factory.mktemp("torch_extensions")
    return {"TORCH_EXTENSIONS_DIR": str(folder), "DS_ACCELERATOR": "cpu"}


def settings(project: Path, folder: Path, stage: int, *, scheduler: bool) -> Path:
    """The file of the project. Small weights are sharded, too, or a tiny model would not be at all;
    the schedule of DeepSpeed, which warms up over two steps at least, is left out if asked."""
    shipped = project / "configs" / "deepspeed" / f"zero{stage}.json"
    values = json.loads(shipped.read_text())
    if stage == 3:
        values["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    if not scheduler:
        del values["scheduler"]
    path = folder / f"zero{stage}.json"
    path.write_text(json.dumps(values))
    return path


def still(config: TrainConfig) -> TrainConfig:
    return replace(config, adapter=replace(config.adapter, dropout=0.0))


def succeeded(done: Launched) -> None:
    assert done.exit_code == 0, done.text[-3000:]


@pytest.mark.parametrize("stage", [2, 3])
def test_shards_learn_what_one_process_learns(
    project: Path, tmp_path: Path, compiled: dict[str, str], stage: int
) -> None:
    """Losses of every step and the one adapter file, with batches without a face; as the preset of
    the paper does, activations are computed again on the way back, which ZeRO-3 minds most."""
    watched: dict[str, Any] = {"validate_every": 3, "held_out": 5, "sheet_every": 3, "steps": 3}
    watched["activation_checkpointing"] = stage == 3
    one = still(quick(tmp_path / "one", batch_size=2, accumulation=2, **watched))
    train(one)
    path = settings(project, tmp_path, stage, scheduler=False)
    many: dict[str, Any] = {"batch_size": 1, "accumulation": 2, "processes": 2, "deepspeed": path}
    two = still(quick(tmp_path / "two", **many, **watched))
    succeeded(launch(two, environment=compiled))
    for first, second in zip(logged(one.output), logged(two.output), strict=True):
        assert second == pytest.approx(first, rel=1e-3, abs=1e-4)
    for folder in ("last", "best"):
        learnt, sharded = weights(one.output / folder), weights(two.output / folder)
        assert learnt.keys() == sharded.keys()
        for name, weight in learnt.items():
            torch.testing.assert_close(sharded[name], weight, atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("stage", [2, 3])
def test_killed_run_goes_on_with_the_schedule_of_the_paper(
    project: Path, tmp_path: Path, compiled: dict[str, str], stage: int
) -> None:
    path = settings(project, tmp_path, stage, scheduler=True)
    chosen: dict[str, Any] = {"steps": 4, "batch_size": 1, "save_every": 2, "processes": 2}
    cut, whole = (quick(tmp_path / n, deepspeed=path, **chosen) for n in ("cut", "whole"))
    killed = launch(cut, environment=compiled | {"END_AT": "1:2"})
    assert killed.exit_code != 0
    assert f"goes on from {cut.output / 'checkpoint-2'}" in killed.text
    succeeded(launch(cut, whole, environment=compiled))
    for one, other in zip(logged(cut.output), logged(whole.output), strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    first, second = weights(cut.output / "last"), weights(whole.output / "last")
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, atol=1e-6, rtol=1e-5, msg=name)
    rates = [line["learning_rate"] for line in logged(whole.output) if "loss" in line]
    assert rates == pytest.approx([0.0, 5e-4, 1e-3, 5e-4])  # it warms up over two steps at least
