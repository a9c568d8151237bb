"""Examples from data at an address: a function of their number, wherever a run goes on."""

from pathlib import Path

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from many_faces import write_faces
from torch.utils.data import BatchSampler, SequentialSampler

from facegpt.data.mixture import Mixture, MixtureSettings, face_mixture
from facegpt.data.schema import DatasetError
from facegpt.data.streaming import StreamSettings
from facegpt.data.table import FaceTable

SHARDS, ROWS = 6, 20
ALL = MixtureSettings(image=1.0, text=1.0, talk=0.5, run=4, length=400, seed=3)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"file://{write_faces(tmp_path_factory.mktemp('faces'), SHARDS, ROWS)}"


def mixture_of(address: str, settings: MixtureSettings = ALL, memory_mb: int = 64) -> Mixture:
    stream = StreamSettings(window=2, memory_mb=memory_mb)
    return face_mixture(settings, faces=FaceTable(address, stream=stream))


def said(mixture: Mixture, index: int) -> tuple[str, str, str]:
    """What tells examples apart."""
    example = mixture[index]
    content = example.messages[-1]["content"][-1]["text"]
    shown = example.image if example.image is not None else example.target.photo  # type: ignore[union-attr]
    return content, example.answer, f"{float(shown.mean()):.4f}"


def rows_of(mixture: Mixture, indices: range) -> list[tuple[str, int]]:
    return [mixture.schedule(index) for index in indices]


def test_a_stopped_run_goes_on_with_the_very_next_example(address: str) -> None:
    whole = mixture_of(address)
    expected = [said(whole, index) for index in range(120)]
    stopped = mixture_of(address)
    assert [said(stopped, index) for index in range(37)] == expected[:37]
    resumed = mixture_of(address)
    assert [said(resumed, index) for index in range(37, 120)] == expected[37:]


def test_going_on_reads_nothing_of_what_came_before(address: str) -> None:
    mixture = mixture_of(address, MixtureSettings(image=1.0, text=0.0, talk=0.0, length=120))
    said(mixture, 80)
    # The third window has just begun: its two files are enough.
    assert mixture.orders["image"].table.fetched == 2


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_examples(address: str, ranks: int) -> None:
    settings = MixtureSettings(image=1.0, text=0.0, talk=0.0, run=4, length=SHARDS * ROWS)
    mixture = mixture_of(address, settings)
    batches = BatchSampler(SequentialSampler(mixture), 4, drop_last=False)
    parts = [
        [
            row
            for batch in BatchSamplerShard(batches, ranks, rank)
            for row in map(_row(mixture), batch)
        ]
        for rank in range(ranks)
    ]
    assert sorted(row for part in parts for row in part) == list(range(SHARDS * ROWS))


def _row(mixture: Mixture):
    return lambda index: mixture.schedule(index)[1]


def test_every_row_of_a_kind_comes_once_before_one_comes_again(address: str) -> None:
    mixture = mixture_of(address)
    drawn: dict[str, list[int]] = {}
    for kind, row in rows_of(mixture, range(400)):
        drawn.setdefault(kind, []).append(row)
    for kind, rows in drawn.items():
        length = mixture.schedule.lengths[kind]
        assert len(set(rows[:length])) == min(length, len(rows)), kind


def test_folders_keep_the_order_that_they_always_had(address: str) -> None:
    folder = Path(address.removeprefix("file://"))
    local = face_mixture(ALL, faces=FaceTable(folder))
    assert local.orders == {}
    streamed = mixture_of(address)
    assert rows_of(local, range(100)) != rows_of(streamed, range(100))


def test_the_memory_is_checked_for_all_kinds_together(address: str) -> None:
    table = FaceTable(address, stream=StreamSettings(window=6, memory_mb=1))
    largest = max(place.shard.bytes for place in table._places)
    needed = 2 * 6 * 4 * largest
    assert needed > 1 << 20, "the shards of this test are too small for it"
    with pytest.raises(DatasetError, match="4 kinds of examples from 6 files"):
        face_mixture(ALL, faces=table)


def test_examples_are_the_same_in_a_copy(address: str) -> None:
    import pickle

    mixture = mixture_of(address)
    copy = pickle.loads(pickle.dumps(mixture))  # noqa: S301 - our own bytes
    assert [said(copy, i) for i in (5, 60)] == [said(mixture, i) for i in (5, 60)]
    assert torch.equal(copy.schedule.order("image", 1), mixture.schedule.order("image", 1))
