"""The folder of a data set: Parquet shards, `manifest.json`, `problems.jsonl`.

A shard is written beside its place and moved there; the manifest names it afterwards. So a killed
build leaves whole shards, and what the manifest does not name does not count. Knows neither photos
nor faces beyond their rows.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facegpt.data.schema import DatasetError, FaceRow, features, import_datasets
from facegpt.data.tokens import FREE, NO_TOKENS, Prices, Tokens
from facegpt.geometry.export import write_atomically

if TYPE_CHECKING:
    from datasets import Dataset

FORMAT = "facegpt.data/1"
MANIFEST = "manifest.json"
PROBLEMS = "problems.jsonl"
ROWS_PER_GROUP = 16
"""Rows that are read together: random access reads this many for one."""

TEXT_COLUMNS = ("descriptions", "conversations", "implicit", "short")
"""Whether a row has any is in the manifest, so that nobody has to scan for it."""

_MOST_MANIFEST_BYTES = 1 << 26


class DatasetMissingError(DatasetError, FileNotFoundError):
    """There is no data set in a folder."""


@dataclass(frozen=True)
class Shard:
    """One finished Parquet file."""

    file: str
    photos: int
    """Photos it was made of, those without a usable face included."""
    rows: int
    bytes: int
    sha256: str
    problems_end: int
    """Length of problems.jsonl when this shard was finished."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Column of text -> which rows have some (`bits_of`); empty where an older version wrote it."""
    tokens: Tokens = NO_TOKENS
    """Behind its words, whether they were asked for anew or kept from an earlier call."""

    def record(self) -> dict[str, Any]:
        """As JSON; what there is not is left out."""
        whole = asdict(self)
        return {k: v for k, v in whole.items() if k not in ("texts", "tokens") or getattr(self, k)}

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> "Shard":
        """The shard of a record."""
        return Shard(**{**record, "tokens": Tokens(**record.get("tokens", {}))})


@dataclass(frozen=True)
class Manifest:
    """What a folder holds and how it was made."""

    settings: Mapping[str, Any]
    """Everything that shapes the rows; a build with other settings does not go on here."""
    photos: int
    """Of the whole data set, when it is finished."""
    shards: tuple[Shard, ...] = ()
    prices: Prices = FREE
    """Of the model that was asked for words."""

    @property
    def tokens(self) -> Tokens:
        """Behind the words of the finished shards."""
        return sum((shard.tokens for shard in self.shards), NO_TOKENS)

    @property
    def rows(self) -> int:
        """Faces in the finished shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def photos_done(self) -> int:
        """Photos behind the finished shards."""
        return sum(shard.photos for shard in self.shards)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to build."""
        return self.photos_done == self.photos

    def with_shard(self, shard: Shard) -> "Manifest":
        """The same with one more shard at the end."""
        return replace(self, shards=(*self.shards, shard))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`; it is there in full or not at all."""
    record = {
        "format": FORMAT,
        "complete": manifest.is_complete,
        "rows": manifest.rows,
        "photos": manifest.photos,
        "settings": dict(manifest.settings),
        "shards": [shard.record() for shard in manifest.shards],
    }
    if manifest.tokens != NO_TOKENS:
        record["answers"] = manifest.prices.record(manifest.tokens)
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    write_atomically(folder / MANIFEST, text.encode())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a data set.

    Raises:
        DatasetMissingError: The folder holds no data set.
        DatasetError: The manifest is damaged or of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DatasetMissingError(
            f"no data set in {folder} (there is no {MANIFEST}); build one with: "
            f"facegpt data build --images PHOTOS --output {folder}"
        )
    with path.open("rb") as file:
        return parse_manifest(file.read(_MOST_MANIFEST_BYTES + 1), str(path))


def parse_manifest(data: bytes, where: str) -> Manifest:
    """A manifest as it is written.

    Args:
        where: For messages.

    Raises:
        DatasetError: It is damaged or of another version.
    """
    if len(data) > _MOST_MANIFEST_BYTES:
        raise DatasetError(
            f"{where} is larger than {_MOST_MANIFEST_BYTES} bytes; it is no manifest"
        )
    try:
        record = json.loads(data.decode())
        if record["format"] != FORMAT:
            raise ValueError(f"its format is {record['format']!r}, this version reads {FORMAT!r}")
        shards = tuple(Shard.from_record(shard) for shard in record["shards"])
        prices = Prices(**record.get("answers", {}).get("prices_per_million", {}))
        return Manifest(dict(record["settings"]), int(record["photos"]), shards, prices)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(
            f"{where} cannot be read: {error}; build the data again into an empty folder"
        ) from error


def write_shard(
    folder: Path,
    number: int,
    rows: Sequence[FaceRow],
    *,
    photos: int,
    problems_end: int,
    tokens: Tokens = NO_TOKENS,
) -> Shard:
    """Write one Parquet file; it is there in full or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([r.to_record() for r in rows], schema=features().arrow_schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=ROWS_PER_GROUP, compression="snappy")
    data = sink.getvalue().to_pybytes()
    file = f"faces-{number:05d}.parquet"
    write_atomically(folder / file, data)
    digest = hashlib.sha256(data).hexdigest()
    texts = {name: bits_of([bool(getattr(r, name)) for r in rows]) for name in TEXT_COLUMNS}
    return Shard(file, photos, len(rows), len(data), digest, problems_end, texts, tokens)


def bits_of(flags: Sequence[bool]) -> str:
    """Yes or no for every row, eight to a byte, the first highest, in hexadecimal."""
    return np.packbits(np.array(flags, dtype=bool)).tobytes().hex()


def flags_of(bits: str, count: int) -> list[bool]:
    """What `bits_of` wrote.

    Raises:
        ValueError: It is not about so many rows.
    """
    data = np.frombuffer(bytes.fromhex(bits), np.uint8)
    if len(data) != -(-count // 8):
        raise ValueError(f"{len(data)} bytes of flags for {count} rows")
    return np.unpackbits(data)[:count].astype(bool).tolist()


def intact_prefix(folder: Path, manifest: Manifest) -> Manifest:
    """The manifest up to its first shard whose file is missing or has another length."""
    kept: list[Shard] = []
    for shard in manifest.shards:
        path = folder / shard.file
        if not path.is_file() or path.stat().st_size != shard.bytes:
            break
        kept.append(shard)
    return replace(manifest, shards=tuple(kept))


def append_problems(folder: Path, start: int, problems: Iterable[Mapping[str, str]]) -> int:
    """Write problems behind the first `start` bytes of `problems.jsonl`, dropping what an
    interrupted build left there; returns the new length."""
    path = folder / PROBLEMS
    lines = "".join(json.dumps(dict(problem)) + "\n" for problem in problems)
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(start)
        file.seek(start)
        file.write(lines.encode())
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def read_problems(folder: Path) -> list[dict[str, str]]:
    """The side table: `source`, `problem` and, for single faces, `face_id`."""
    path = folder / PROBLEMS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def shard_paths(folder: Path, *, partial: bool = False) -> list[Path]:
    """The Parquet files of a data set, in order.

    Args:
        partial: Accept a build that is not finished.

    Raises:
        DatasetError: The build is not finished, or a file of it is gone.
    """
    return [folder / shard.file for shard in finished_manifest(folder, partial=partial).shards]


def finished_manifest(folder: Path, *, partial: bool = False) -> Manifest:
    """The manifest of a data set whose files are there.

    Raises:
        DatasetError: The build is not finished, or a file of it is gone.
    """
    manifest = read_manifest(folder)
    if not partial:
        check_complete(manifest, str(folder))
    if len(intact_prefix(folder, manifest).shards) < len(manifest.shards):
        raise DatasetError(
            f"a shard of the data in {folder} is missing or has another length than {MANIFEST} "
            f"says; repeat the same `facegpt data build` command and it is made again"
        )
    return manifest


def check_complete(manifest: Manifest, where: str) -> None:
    """Refuse a build that is not finished.

    Raises:
        DatasetError: It is not.
    """
    if not manifest.is_complete:
        raise DatasetError(
            f"the data in {where} is not finished ({manifest.photos_done} of {manifest.photos} "
            f"photos); repeat the same `facegpt data build` command and it goes on"
        )


def read_rows(folder: Path, *, cache: Path | None = None) -> "Dataset":
    """A finished data set as a `datasets.Dataset`, for everything that `datasets` can do.

    Args:
        cache: Where `datasets` keeps its uncompressed copy; its own cache folder if None.

    Raises:
        DatasetError: There is no finished data set, or `datasets` is not installed.
    """
    datasets = import_datasets()
    paths = [str(path) for path in shard_paths(folder)]
    return datasets.Dataset.from_parquet(
        paths, features=features(), cache_dir=None if cache is None else str(cache)
    )
