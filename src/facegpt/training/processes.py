"""The processes of one run: how many there are, what they agree on, and what is said when one ends.

A launcher (torchrun, accelerate launch, deepspeed) starts one process per device and numbers them
in the environment. Here the numbers are held against what was asked for. Knows no model and no
loss.
"""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import TypeVar

import torch
from torch import Tensor, distributed

from facegpt.training.config import TrainConfig, TrainConfigError

_LOST = re.compile(
    r"connection (closed|reset|refused)|broken pipe|timed? ?out|socket|gloo|nccl|\bstore\b",
    re.IGNORECASE,
)
"""What torch writes when a process of the group does not answer: gloo raises RuntimeErrors."""


class LostProcessError(ConnectionError):
    """Another process of the run ended, or this one was told to end."""


def process_count() -> int:
    """How many processes the launcher says that it started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_index() -> int:
    """Number of this process; 0 writes files and speaks for the run."""
    return int(os.environ.get("RANK", "0"))


def training_device() -> torch.device:
    """Where this process trains: its GPU if there are any, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def join_processes(config: TrainConfig) -> None:
    """Meet the other processes of the run, before anything is read or written.

    Raises:
        TrainConfigError: There are not as many processes as `config.processes`, or only one
            although there shall be shards.
        LostProcessError: The others did not come in time.
    """
    count = process_count()
    if config.processes is not None and config.processes != count:
        raise TrainConfigError(_wrong_count(config.processes, count))
    if config.is_sharded and count == 1:
        flag = "--fsdp" if config.fsdp else "--deepspeed"
        raise TrainConfigError(
            f"{flag} spreads a model over several processes, and this run has one. Start it with "
            f"torchrun --no-python --nproc-per-node 8 facegpt train ... (accelerate launch --cpu "
            f"starts one process only), or leave {flag} out"
        )
    if count > 1:
        _meet(config, count)


def _wrong_count(wanted: int, count: int) -> str:
    return (
        f"--processes {wanted}, but the launcher started {count}: every update would see another "
        f"number of examples. Start the run with torchrun --no-python --nproc-per-node {wanted} "
        f"facegpt train ... (on one machine; accelerate launch --cpu starts one process only), or "
        f"give --processes {count}"
    )


def _meet(config: TrainConfig, count: int) -> None:
    device = training_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        try:
            distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
                timeout=timedelta(minutes=config.patience_minutes),
            )
        except (ValueError, RuntimeError) as error:
            raise LostProcessError(
                f"process {process_index()} of {count} could not meet the others within "
                f"--patience-minutes {config.patience_minutes:g} ({_first_line(error)}). Start as "
                f"many processes as the launcher was told, on every machine, with the same "
                f"--rdzv-endpoint"
            ) from error
    check_group(count, distributed.get_world_size())


def check_group(wanted: int, found: int) -> None:
    """Refuse a run whose processes do not work together.

    Args:
        wanted: Processes that the launcher started.
        found: Processes that share their gradients.

    Raises:
        TrainConfigError: They are not as many.
    """
    if wanted != found:
        raise TrainConfigError(
            f"the launcher started {wanted} processes, but {found} share their gradients: each "
            f"would train a model of its own. Start the run with torchrun --no-python "
            f"--nproc-per-node {wanted} facegpt train ..."
        )


def first_says(value: float) -> float:
    """The number that the first process has, in all of them.

    Clocks differ and files appear at different times: what several processes do together must be
    decided by one. All of them have to call this.
    """
    if process_count() == 1 or not distributed.is_initialized():
        return value
    told = torch.tensor([value], dtype=torch.float64, device=training_device())
    distributed.broadcast(told, src=0)
    return float(told)


def added_up(values: Tensor) -> Tensor:
    """The sum over all processes, on the CPU. All of them have to call this."""
    if process_count() == 1 or not distributed.is_initialized():
        return values
    total = values.to(training_device())
    distributed.all_reduce(total)
    return total.cpu()


Item = TypeVar("Item")


def own_share(items: Sequence[Item]) -> list[tuple[Item, bool]]:
    """What this process takes of some work: every n-th item, and whether it counts.

    All processes get equally many, since the layers of a sharded model are gathered together; an
    item that is there to fill up counts for nothing.
    """
    count, index = process_count(), process_index()
    rounds = -(-len(items) // count)
    places = [count * i + index for i in range(rounds)]
    return [(items[place % len(items)], place < len(items)) for place in places]


def wait_for_all() -> None:
    """Go on when every process is here."""
    if process_count() > 1 and distributed.is_initialized():
        first_says(0.0)


@contextmanager
def one_run(where: Callable[[], str]) -> Iterator[None]:
    """Turn what torch says about lost processes into one sentence, and end when told to.

    A launcher that sees a process die sends SIGTERM to the rest; a process that waits for a dead
    one gets an error of its transport.

    Args:
        where: How far the run is and from where it goes on; ends the sentence.

    Raises:
        LostProcessError: The run cannot go on.
    """
    count = process_count()
    if count == 1:
        yield
        return
    with _terminations(where):
        try:
            yield
        except RuntimeError as error:
            if not _LOST.search(str(error)):
                raise
            raise LostProcessError(
                f"process {process_index()} of {count} lost the others: one of them ended or hangs "
                f"({_first_line(error)}). {where()}"
            ) from error


@contextmanager
def _terminations(where: Callable[[], str]) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise LostProcessError(
            f"process {process_index()} of {process_count()} was told to end, as a launcher does "
            f"when another process of the run has ended. {where()}"
        )

    # Only the main thread may set signals; elsewhere the default, to end silently, stays.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0][:200]
