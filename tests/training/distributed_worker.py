"""One process of a run of several, started by torchrun: trains the configs it is given in turn.

    torchrun --nproc-per-node 2 distributed_worker.py CONFIG.json ...

Environment: `END_AT=RANK:STEP` kills that process with SIGKILL before that step.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from transformers import TrainerCallback

from facegpt.training import run
from facegpt.training.config import TrainConfig


class End(TrainerCallback):
    """Dies in the middle of a run, as a machine does."""

    def __init__(self, rank: int, step: int) -> None:
        self._rank, self._step = rank, step

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        if int(os.environ["RANK"]) == self._rank and state.global_step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def deadly() -> None:
    """Put `End` into every trainer, if it was asked for."""
    wanted = os.environ.get("END_AT")
    if wanted is None:
        return
    make = run._trainer

    def trainer(*args, **named):
        made, limits = make(*args, **named)
        made.add_callback(End(*map(int, wanted.split(":"))))
        return made, limits

    run._trainer = trainer


def main(paths: list[str]) -> int:
    torch.set_num_threads(1)
    deadly()
    for path in paths:
        config = TrainConfig.from_record(json.loads(Path(path).read_text()))
        try:
            run.train(config)
        except (ValueError, OSError) as error:  # as the command line does
            print(f"facegpt: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
