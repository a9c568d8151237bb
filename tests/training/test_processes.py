"""What several processes agree on, without starting any."""

import signal
import time
from pathlib import Path

import pytest
import torch

from facegpt.training import processes
from facegpt.training.config import TrainConfig, TrainConfigError
from facegpt.training.processes import (
    LostProcessError,
    check_group,
    join_processes,
    one_run,
    own_share,
)


@pytest.fixture
def second_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "1")


def test_one_process_where_two_were_asked_for() -> None:
    """What accelerate launch --cpu does."""
    with pytest.raises(TrainConfigError, match=r"--processes 2, but the launcher started 1.*torch"):
        join_processes(TrainConfig(processes=2))
    join_processes(TrainConfig(processes=1))


def test_shards_need_several_processes() -> None:
    for config in (TrainConfig(fsdp=True), TrainConfig(deepspeed=Path("zero2.json"))):
        with pytest.raises(TrainConfigError, match=r"spreads a model.*this run has one"):
            join_processes(config)


def test_processes_that_learn_alone_are_refused() -> None:
    check_group(4, 4)
    with pytest.raises(TrainConfigError, match="started 4 processes, but 1 share"):
        check_group(4, 1)


@pytest.mark.usefixtures("second_of_three")
def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    began = time.monotonic()
    with pytest.raises(LostProcessError, match=r"process 1 of 3 could not meet.*0\.02"):
        join_processes(TrainConfig(patience_minutes=0.02))
    assert time.monotonic() - began < 60
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("items", range(1, 8))
def test_shares_are_equally_long_and_count_everything_once(
    items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []
    for index in range(3):
        monkeypatch.setattr(processes, "process_count", lambda: 3)
        monkeypatch.setattr(processes, "process_index", lambda index=index: index)
        shares.append(own_share(range(items)))
    assert len({len(share) for share in shares}) == 1
    counted = [item for share in shares for item, counts in share if counts]
    assert sorted(counted) == list(range(items))


@pytest.mark.usefixtures("second_of_three")
def test_errors_of_the_transport_become_a_sentence() -> None:
    lost = pytest.raises(LostProcessError, match=r"process 1 of 3 lost the others.*closed.*Go on")
    with lost, one_run(lambda: "Go on"):
        raise RuntimeError("[gloo/pair.cc:534] Connection closed by peer [127.0.0.1]:1\nmore")
    with pytest.raises(RuntimeError, match="shapes"), one_run(lambda: "Go on"):
        raise RuntimeError("shapes differ")


@pytest.mark.usefixtures("second_of_three")
def test_being_told_to_end_becomes_a_sentence() -> None:
    former = signal.getsignal(signal.SIGTERM)
    told = pytest.raises(LostProcessError, match=r"process 1 of 3 was told to end.*Go on")
    with told, one_run(lambda: "Go on"):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is former
