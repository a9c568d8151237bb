"""Data sets at an address: the same faces, each file fetched once, a sentence for what fails."""

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from many_faces import write_faces
from s3_server import KEY, S3Server
from torch.utils.data import DataLoader

from facegpt.data import addresses
from facegpt.data.addresses import NoRightsError, UnreachableError
from facegpt.data.schema import DatasetError
from facegpt.data.shards import MANIFEST, DatasetMissingError
from facegpt.data.streaming import StreamSettings, windowed_order
from facegpt.data.table import FaceTable, StreamedRows

SHARDS, ROWS = 6, 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of buckets."""
    root = tmp_path_factory.mktemp("buckets")
    write_faces(root / "bucket" / "faces", SHARDS, ROWS)
    return root


@pytest.fixture
def server(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    running = S3Server(root)
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(addresses, "_FIRST_WAIT_S", 1e-3)
    yield running
    running.close()


def names(table: FaceTable, rows: torch.Tensor) -> list[str]:
    return [table[int(row)].row.face_id for row in rows]


def files_read(server: S3Server) -> list[str]:
    return [path.rpartition("/")[2] for path in server.read]


def test_the_rows_are_those_of_the_folder(root: Path, server: S3Server) -> None:
    here, there = FaceTable(root / "bucket" / "faces"), FaceTable("s3://bucket/faces")
    assert (here.streams, there.streams) == (False, True)
    assert len(there) == len(here) == SHARDS * ROWS
    for index in (0, 119, 37, 38, 80):
        assert there.row(index).to_record() == here.row(index).to_record()
        assert torch.equal(there[index].crop, here[index].crop)
    assert torch.equal(FaceTable(f"file://{root}/bucket/faces")[5].crop, here[5].crop)


def test_nothing_but_the_manifest_is_read_at_first(server: S3Server) -> None:
    table = FaceTable("s3://bucket/faces")
    assert table.with_text("descriptions").tolist() == list(range(0, SHARDS * ROWS, 2))
    assert table.with_text("short").tolist() == list(range(0, SHARDS * ROWS, 3))
    assert len(table.with_text("conversations")) == SHARDS * ROWS
    assert table.with_text("implicit").tolist() == []
    assert files_read(server) == [MANIFEST]


def test_data_of_an_older_version_is_scanned(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    for path in (root / "bucket" / "faces").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    record = json.loads((folder / MANIFEST).read_text())
    for shard in record["shards"]:
        del shard["texts"]
    (folder / MANIFEST).write_text(json.dumps(record))
    new = FaceTable(root / "bucket" / "faces")
    for old in (FaceTable(folder), FaceTable(f"file://{folder}")):
        for column in ("descriptions", "short", "implicit"):
            assert torch.equal(old.with_text(column), new.with_text(column))


@pytest.mark.parametrize("window", [1, 2, 4, 100])
def test_a_window_needs_few_files(window: int) -> None:
    files = torch.arange(11).repeat_interleave(13)[torch.randperm(143)[:120]]
    order = windowed_order(files, window, torch.Generator().manual_seed(3))
    assert sorted(order.tolist()) == list(range(120))
    # The files in the order of their first row: each window is done with before the next begins.
    seen = files[order]
    known = list(dict.fromkeys(seen.tolist()))
    windows = [set(known[i : i + window]) for i in range(0, 11, window)]
    number = torch.tensor([next(i for i, w in enumerate(windows) if f in w) for f in seen.tolist()])
    assert (number.diff() >= 0).all()
    assert torch.equal(order, windowed_order(files, window, torch.Generator().manual_seed(3)))
    assert not torch.equal(order, windowed_order(files, window, torch.Generator().manual_seed(4)))


def test_rows_of_a_window_are_mixed() -> None:
    files = torch.arange(4).repeat_interleave(50)
    order = windowed_order(files, 4, torch.Generator().manual_seed(0))
    assert len(files[order][:50].unique()) == 4
    assert (order.diff() == 1).sum() < 10


def test_every_file_is_fetched_once_in_bounded_memory(server: S3Server) -> None:
    table = FaceTable("s3://bucket/faces", cached_faces=0, stream=StreamSettings(window=2))
    rows = StreamedRows(table, range(len(table)))
    table.stream = StreamSettings(window=2, memory_mb=1)
    sizes = [place.shard.bytes for place in table._places]
    table._files.memory_bytes = 5 * max(sizes)
    orders = [rows.order(torch.Generator().manual_seed(epoch)) for epoch in range(2)]
    seen = []
    for position in range(len(table)):
        rows.look_ahead(0, position, lambda epoch: orders[epoch])
        seen += names(table, orders[0][position : position + 1])
        held = sum(table._files._sizes[key] for key in table._files._fetched)
        assert held <= table._files.memory_bytes
    assert len(set(seen)) == SHARDS * ROWS
    fetched = files_read(server)[1:]
    # Once each, and at the end what the next epoch begins with.
    assert len(set(fetched[:SHARDS])) == SHARDS
    assert len(fetched) <= SHARDS + 4


def test_too_little_memory_is_refused_beforehand(server: S3Server) -> None:
    table = FaceTable("s3://bucket/faces", stream=StreamSettings(window=6, memory_mb=1))
    with pytest.raises(DatasetError, match=r"--stream-memory-mb \d+, or a smaller"):
        table.check_memory(50)
    table.check_memory(1)


class _Ids(torch.utils.data.Dataset[str]):
    """Names of faces, as a data set for workers."""

    def __init__(self, table: FaceTable) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> str:
        return self.table[index].row.face_id


@pytest.mark.parametrize("workers", [0, 2])
def test_forked_workers_and_copies_read_for_themselves(server: S3Server, workers: int) -> None:
    table = FaceTable("s3://bucket/faces")
    expected = [f"{i}.png:0" for i in range(len(table))]
    assert table[0].row.face_id == expected[0]  # The parent has a connection of its own.
    copy = pickle.loads(pickle.dumps(table))  # noqa: S301 - our own bytes
    loader = DataLoader(_Ids(copy), batch_size=None, num_workers=workers)
    assert list(loader) == expected


Damage = Callable[[Path], None]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"faces-00001\.parquet is missing although manifest\.json"),
        (lambda path: path.write_bytes(b"short"), r"faces-00001\.parquet is damaged: it has 5 byt"),
        (_flip, r"faces-00001\.parquet is damaged: .* another SHA-256"),
    ],
)
def test_a_shard_that_is_not_what_it_was(
    root: Path, server: S3Server, damage: Damage, message: str
) -> None:
    write_faces(root / "bucket" / "broken", 2, 4)
    damage(root / "bucket" / "broken" / "faces-00001.parquet")
    table = FaceTable("s3://bucket/broken")
    assert table[3].row.face_id == "3.png:0"
    with pytest.raises(DatasetError, match=message):
        table[4]


def test_a_lost_connection_is_tried_again(server: S3Server) -> None:
    server.trouble = lambda path, number: "00002" in path and number < 6
    assert FaceTable("s3://bucket/faces")[2 * ROWS].row.face_id == f"{2 * ROWS}.png:0"


def test_a_connection_that_stays_lost_is_named_and_may_come_back(server: S3Server) -> None:
    table = FaceTable("s3://bucket/faces")
    server.trouble = lambda path, number: True
    with pytest.raises(UnreachableError, match=r"faces-00000\.parquet could not be read in 5"):
        table[0]
    server.trouble = lambda path, number: False
    assert table[0].row.face_id == "0.png:0"


def test_without_rights_it_says_which_keys(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    with pytest.raises(NoRightsError, match=r"no right to read s3://bucket/faces.*AWS_ACCESS_KEY"):
        FaceTable("s3://bucket/faces")


def test_addresses_without_data(server: S3Server, root: Path) -> None:
    with pytest.raises(DatasetMissingError, match=r"no data set at s3://bucket/nothing"):
        FaceTable("s3://bucket/nothing")
    with pytest.raises(DatasetError, match=r"begin with nonsense:// cannot be read here"):
        FaceTable("nonsense://bucket/faces")
    folder = write_faces(root / "bucket" / "half", 2, 4)
    record = json.loads((folder / MANIFEST).read_text())
    record["shards"].pop()
    (folder / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(DatasetError, match=r"s3://bucket/half is not finished \(4 of 8 photos\)"):
        FaceTable("s3://bucket/half")
    (folder / MANIFEST).write_text("{")
    with pytest.raises(DatasetError, match=r"s3://bucket/half/manifest\.json cannot be read"):
        FaceTable("s3://bucket/half")


def test_no_password_of_an_address_is_shown(server: S3Server) -> None:
    remote = addresses.Remote("https://me:secret@example.org/faces?token=hidden")
    assert remote.shown == "https://example.org/faces"
