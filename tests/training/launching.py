"""Runs of several processes on one CPU, started as a user starts them: with torchrun."""

import contextlib
import json
import os
import signal
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
    *configs: TrainConfig, environment: Mapping[str, str] | None = None, seconds: float = 1800
) -> Launched:
    """Train the configs one after the other, in two processes.

    Args:
        seconds: A run that takes longer counts as one that hangs, and fails the test. A free
            machine needs half a minute; the cores may be shared.
    """
    paths = [_written(config) for config in configs]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher = subprocess.Popen(
        [*command, "--nproc-per-node", "2", str(WORKER), *map(str, paths)],
        env=_environment() | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        text, _ = launcher.communicate(timeout=seconds)
    finally:
        _end_all(launcher)
    return Launched(launcher.returncode, text)


def _end_all(launcher: "subprocess.Popen[str]") -> None:
    """The launcher and what it started: without it, its processes would wait for each other."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()


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
