"""Runs of several processes on one CPU, started as a user starts them: with torchrun."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegpt.training.config import TrainConfig

WORKER = Path(__file__).with_name("distributed_worker.py")
SOURCE = Path(__file__).parents[2] / "src"


@dataclass(frozen=True)
class Launched:
    """How a run of several processes ended."""

    exit_code: int
    text: str
    """What all processes and the launcher wrote."""


def launch(
    *configs: TrainConfig, seconds: float, environment: Mapping[str, str] | None = None
) -> Launched:
    """Train the configs one after the other, in two processes.

    Args:
        seconds: A run that takes longer counts as one that hangs, and fails the test.
    """
    paths = [_written(config) for config in configs]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(WORKER), *map(str, paths)],
        env=_environment() | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Launched(done.returncode, done.stdout + done.stderr)


def _written(config: TrainConfig) -> Path:
    path = config.output.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config.to_record()))
    return path


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    mine = {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return kept | mine


def logged(output: Path) -> list[dict[str, Any]]:
    """log.jsonl without the line of times."""
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "train_runtime" not in line]
