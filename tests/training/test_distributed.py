"""Two processes learn what one learns; one that is killed is noticed, and the run goes on."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from launching import Launched, launch, logged

from facegpt.training.config import TrainConfig
from facegpt.training.parts import build_parts
from facegpt.training.run import train
from runs import assert_same_weights, quick, weights

TOLERANCE = {"atol": 2e-5, "rtol": 1e-4}
"""Sums in another order, and AdamW, which divides by the size of small gradients."""


def together(output: Path, **changes: Any) -> TrainConfig:
    """A run of two processes, a batch of one each, that validates, draws and saves; a quarter of
    its batches has no face."""
    chosen = {"steps": 3, "batch_size": 1, "accumulation": 2, "processes": 2} | changes
    return _watched(quick(output, **chosen))


def alone(output: Path) -> TrainConfig:
    """The same examples in one process."""
    return _watched(quick(output, steps=3, batch_size=2, accumulation=2))


def _watched(config: TrainConfig) -> TrainConfig:
    # Random numbers of dropout differ between processes, as they must.
    quiet = replace(config.adapter, dropout=0.0)
    return replace(config, adapter=quiet, validate_every=3, held_out=5, sheet_every=3)


def assert_same_run(one: Path, other: Path) -> None:
    """Every number of the log, and the weights."""
    assert [line.keys() for line in logged(one)] == [line.keys() for line in logged(other)]
    for first, second in zip(logged(one), logged(other), strict=True):
        assert second == pytest.approx(first, rel=2e-4, abs=1e-5)
    for folder in ("last", "best", "checkpoint-3"):
        first, second = weights(one / folder), weights(other / folder)
        assert first.keys() == second.keys()
        for name, weight in first.items():
            torch.testing.assert_close(second[name], weight, **TOLERANCE, msg=f"{folder} {name}")


def succeeded(done: Launched) -> None:
    assert done.exit_code == 0, done.text[-3000:]


def test_some_process_has_no_face_and_another_has(tmp_path: Path) -> None:
    """Or the tests below would not show that this is no harm."""
    config = together(tmp_path)
    examples = build_parts(config, 12).examples
    has_face = [examples[i].target is not None for i in range(12)]
    pairs = list(zip(has_face[::2], has_face[1::2], strict=True))
    assert (True, False) in pairs or (False, True) in pairs


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """Gradients added up (DDP) and weights sharded (FSDP2), in one launch."""
    train(alone(tmp_path / "one"))
    configs = [together(tmp_path / "ddp"), together(tmp_path / "fsdp", fsdp=True)]
    succeeded(launch(*configs))
    for config in configs:
        assert_same_run(tmp_path / "one", config.output)
        record = json.loads((config.output / "report.json").read_text())
        assert record["processes"] == 2
        assert (config.output / "sheets" / "step-000003.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("fsdp", [False, True], ids=["ddp", "fsdp2"])
def test_a_killed_process_is_noticed_and_the_run_goes_on(tmp_path: Path, fsdp: bool) -> None:
    """kill -9 in the third of four steps; with dropout, so random states matter."""
    settings = {"steps": 4, "batch_size": 1, "save_every": 2, "processes": 2, "fsdp": fsdp}
    cut, whole = (quick(tmp_path / name, **settings) for name in ("cut", "whole"))
    killed = launch(cut, environment={"END_AT": "1:2"})
    assert killed.exit_code != 0
    assert "facegpt: process 0 of 2" in killed.text
    assert f"The same command goes on from {cut.output / 'checkpoint-2'}" in killed.text
    assert not (cut.output / "last").exists()
    succeeded(launch(cut, whole))
    assert_same_weights(weights(cut.output / "last"), weights(whole.output / "last"))
    assert logged(cut.output) == logged(whole.output)
    assert json.loads((cut.output / "report.json").read_text())["first_step"] == 2


@pytest.mark.slow
def test_other_numbers_of_processes_are_refused(tmp_path: Path) -> None:
    config = replace(together(tmp_path / "run"), processes=None)
    succeeded(launch(config))
    with pytest.raises(ValueError, match="processes was 2 and is now 1"):
        train(replace(config, steps=4))
    refused = launch(replace(config, processes=3))
    assert refused.exit_code != 0
    assert "--processes 3, but the launcher started 2" in refused.text


@pytest.mark.slow
def test_a_launcher_that_starts_one_process_is_caught(tmp_path: Path) -> None:
    """accelerate launch --cpu --num_processes 2 starts one and says nothing."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    run = "from facegpt.cli import main; main()"
    flags = ["train", "debug", "--processes", "2", "--output", str(tmp_path)]
    done = subprocess.run(
        [*command, "--no_python", sys.executable, "-c", run, *flags],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode != 0
    assert "--processes 2, but the launcher started 1" in done.stderr
