"""The Parquet files of data sets, opened when they are asked for: mapped where they lie on this
disk, fetched whole, checked and kept for a while where they lie elsewhere.

What is kept is bounded: open files by number, fetched ones by bytes. Fetched files are compared
with the SHA-256 of the manifest, so a damaged one is named and never trained on. Everything belongs
to one process and is forgotten in its children. Knows no faces.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegpt.data.addresses import NotThereError, Remote, is_address
from facegpt.data.schema import DatasetError
from facegpt.data.shards import (
    MANIFEST,
    DatasetMissingError,
    Manifest,
    Shard,
    check_complete,
    finished_manifest,
    parse_manifest,
)

_OPEN_FILES = 128
_FETCHED_AT_ONCE = 4


@dataclass(frozen=True)
class ShardPlace:
    """A shard and where its data set lies."""

    place: Path | str
    shard: Shard

    @property
    def shown(self) -> str:
        """For messages."""
        if isinstance(self.place, Path):
            return str(self.place / self.shard.file)
        return f"{Remote(self.place).shown}/{self.shard.file}"


def find_shards(place: Path | str, *, partial: bool = False) -> list[ShardPlace]:
    """The shards of a data set in a folder or at an address, in order; only the manifest is read.

    Raises:
        DatasetError: There is no finished data set, or it cannot be reached.
    """
    if isinstance(place, Path):
        manifest = finished_manifest(place, partial=partial)
    else:
        manifest = _manifest_at(place)
        if not partial:
            check_complete(manifest, Remote(place).shown)
    return [ShardPlace(place, shard) for shard in manifest.shards]


def _manifest_at(address: str) -> Manifest:
    remote = Remote(address)
    try:
        data = remote.read(MANIFEST)
    except NotThereError as error:
        raise DatasetMissingError(
            f"no data set at {remote.shown}: {error}; copy a folder there that facegpt data build "
            "has made"
        ) from error
    return parse_manifest(data, f"{remote.shown}/{MANIFEST}")


class ShardFiles:
    """Open Parquet files by the number of their shard."""

    def __init__(self, places: Sequence[ShardPlace], *, memory_bytes: int) -> None:
        """Nothing is opened yet.

        Args:
            memory_bytes: For files that were fetched.
        """
        self.places = tuple(places)
        self.memory_bytes = memory_bytes
        self.fetched = 0
        """Files that this process has fetched so far."""
        self._sizes = {(p.place, p.shard.file): p.shard.bytes for p in places}
        self._lock = threading.Lock()
        self._local: OrderedDict[int, Any] = OrderedDict()
        self._fetched: OrderedDict[tuple[str, str], Future[Any]] = OrderedDict()
        self._remotes: dict[str, Remote] = {}
        self._pool: ThreadPoolExecutor | None = None

    @property
    def streams(self) -> bool:
        """Whether some shards must be fetched."""
        return any(is_address(place.place) for place in self.places)

    def open(self, number: int) -> Any:
        """The shard as a `pyarrow.parquet.ParquetFile`.

        Raises:
            DatasetError: It is missing, damaged, or cannot be reached.
        """
        place = self.places[number]
        if isinstance(place.place, Path):
            return self._mapped(number, place.place / place.shard.file)
        return self._future(place).result()

    def expect(self, numbers: Iterable[int]) -> None:
        """Begin to fetch what will soon be asked for, in this order."""
        for number in numbers:
            if is_address(self.places[number].place):
                self._future(self.places[number])

    def _mapped(self, number: int, path: Path) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self._lock:
            if number not in self._local:
                try:
                    file = pq.ParquetFile(path, memory_map=True)
                except (OSError, pa.ArrowInvalid) as error:
                    raise DatasetError(
                        f"the shard {path} cannot be read: {error}; delete it and repeat the same "
                        f"`facegpt data build` command"
                    ) from error
                self._local[number] = _checked(file, self.places[number])
                while len(self._local) > _OPEN_FILES:
                    self._local.popitem(last=False)
            self._local.move_to_end(number)
            return self._local[number]

    def _future(self, place: ShardPlace) -> "Future[Any]":
        assert isinstance(place.place, str)
        key = (place.place, place.shard.file)
        with self._lock:
            known = self._fetched.get(key)
            # What failed is tried again when it is asked for again.
            if known is not None and not (known.done() and known.exception()):
                self._fetched.move_to_end(key)
                return known
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_FETCHED_AT_ONCE, "facegpt-fetch")
            remote = self._remotes.setdefault(place.place, Remote(place.place))
            self._fetched[key] = self._pool.submit(_fetched, place, remote)
            self.fetched += 1
            self._make_room(place.shard.bytes)
            return self._fetched[key]

    def _make_room(self, newest: int) -> None:
        """Forget what was not asked for the longest; the newest stays, however large."""
        held = sum(self._sizes[key] for key in self._fetched)
        while held > max(self.memory_bytes, newest) and len(self._fetched) > 1:
            key, _ = self._fetched.popitem(last=False)
            held -= self._sizes[key]


def _fetched(place: ShardPlace, remote: Remote) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = remote.read(place.shard.file)
    except NotThereError as error:
        raise DatasetError(
            f"the shard {place.shown} is missing although {MANIFEST} names it; copy it there again"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != place.shard.bytes or digest != place.shard.sha256:
        raise DatasetError(
            f"the shard {place.shown} is damaged: it has {len(data)} bytes and another SHA-256 "
            f"than {MANIFEST} says ({place.shard.bytes} bytes); copy it there again"
        )
    try:
        return _checked(pq.ParquetFile(pa.BufferReader(data)), place)
    except pa.ArrowInvalid as error:
        raise DatasetError(
            f"the shard {place.shown} is what {MANIFEST} says, but no Parquet file: {error}; build "
            "the data again"
        ) from error


def _checked(file: Any, place: ShardPlace) -> Any:
    if file.metadata.num_rows != place.shard.rows:
        raise DatasetError(
            f"the shard {place.shown} has {file.metadata.num_rows} rows, {MANIFEST} says "
            f"{place.shard.rows}; build the data again"
        )
    return file
