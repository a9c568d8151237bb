"""Random access to the faces of finished data sets, decoded, in bounded memory.

Parquet files on this disk are mapped, not loaded: a face costs the reading of its row group and the
decoding of one JPEG, or nothing when it is among the last ones used. Files at an address are
fetched whole, so their rows are to be asked for in the order that the table gives. A table can be
pickled and forked: every process opens the files for itself. Knows no training.
"""

import bisect
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from facegpt.data.addresses import is_address
from facegpt.data.schema import DatasetError, FaceRow, decode_crop, decode_mask, import_datasets
from facegpt.data.shard_files import ShardFiles, find_shards
from facegpt.data.shards import flags_of
from facegpt.data.streaming import StreamSettings, windowed_order

CACHED_FACES = 256
"""Decoded faces that are kept, about 300 kB each."""
_LOOK_EVERY = 32
"""Rows between two looks at what must be fetched next."""


@dataclass(frozen=True, eq=False)
class StoredFace:
    """One face, decoded."""

    row: FaceRow
    crop: UInt8[Tensor, "3 224 224"]
    skin: Bool[Tensor, "224 224"]
    validity: Bool[Tensor, "224 224"]

    @property
    def photo(self) -> Float[Tensor, "3 224 224"]:
        """The crop as sRGB in [0, 1]."""
        return self.crop.float() / 255


class FaceTable:
    """The faces of one or several data sets, by number."""

    def __init__(
        self,
        folders: Path | str | Sequence[Path | str],
        *,
        cached_faces: int = CACHED_FACES,
        partial: bool = False,
        stream: StreamSettings | None = None,
    ) -> None:
        """Find the shards; reads nothing but manifests, and footers of what lies on this disk.

        Args:
            folders: What `facegpt data build` wrote: folders, or addresses (`s3://bucket/faces`).
            cached_faces: Decoded faces to keep, per process.
            partial: Accept builds that are not finished.
            stream: How what lies elsewhere is read.

        Raises:
            DatasetError: A folder holds no finished data set, or an address cannot be reached.
        """
        import_datasets()
        folders = [folders] if isinstance(folders, Path | str) else list(folders)
        self.folders = tuple(folders)
        self.cached_faces = cached_faces
        self.stream = stream or StreamSettings()
        self._places = [p for folder in folders for p in find_shards(folder, partial=partial)]
        self.streams = any(is_address(folder) for folder in folders)
        """Whether some of it must be fetched."""
        self._forget()
        self._starts = [0, *accumulate(place.shard.rows for place in self._places)]
        self._lengths: dict[str, Tensor] = {}
        for number, place in enumerate(self._places):
            if not is_address(place.place):
                self._file(number)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> StoredFace:
        """Face number `index`, decoded; do not change its tensors, they are shared.

        Raises:
            IndexError: There are not so many faces.
            DatasetError: The row is damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"face {index} of a table of {len(self)}")
        self._belong_to_this_process()
        if index in self._faces:
            self._faces.move_to_end(index)
            return self._faces[index]
        face = self._decode(self.row(index))
        if self.cached_faces:
            self._faces[index] = face
            while len(self._faces) > self.cached_faces:
                self._faces.popitem(last=False)
        return face

    def row(self, index: int) -> FaceRow:
        """Face number `index` as it is stored, pictures not decoded."""
        if not 0 <= index < len(self):
            raise IndexError(f"face {index} of a table of {len(self)}")
        shard = bisect.bisect_right(self._starts, index) - 1
        within = index - self._starts[shard]
        starts = self._group_starts(shard)
        group = bisect.bisect_right(starts, within) - 1
        [record] = self._group(shard, group).slice(within - starts[group], 1).to_pylist()
        return FaceRow.from_record(record)

    def order(self, rows: Int[Tensor, "row"], generator: torch.Generator) -> Int[Tensor, "row"]:
        """An order of these rows, as places among them: any at all where they lie on this disk,
        window by window where they must be fetched."""
        if not self.streams:
            return torch.randperm(len(rows), generator=generator)
        return windowed_order(self.shards_of(rows), self.stream.window, generator)

    def sample(self, count: int, generator: torch.Generator) -> list[int]:
        """So many rows: any at all, or of few files where they must be fetched."""
        if not self.streams:
            return sorted(torch.randperm(len(self), generator=generator)[:count].tolist())
        shards = self.shards_of(torch.arange(len(self)))
        return sorted(windowed_order(shards, 1, generator)[:count].tolist())

    def expect(self, rows: Int[Tensor, "row"]) -> None:
        """Begin to fetch what these rows need, two windows of files at most; of what lies on this
        disk nothing."""
        if self.streams:
            self._belong_to_this_process()
            files = dict.fromkeys(self.shards_of(rows).tolist())
            self._files.expect(islice(files, 2 * self.stream.window))

    def check_memory(self, streams: int) -> None:
        """See that so many orders at the same time do not push out what each other needs.

        Raises:
            DatasetError: The memory for fetched files is too small.
        """
        largest = max((p.shard.bytes for p in self._places if is_address(p.place)), default=0)
        # The window that is read, and the next, which is fetched meanwhile.
        needed = 2 * self.stream.window * streams * largest
        megabytes = -(-needed // (1 << 20))
        if megabytes > self.stream.memory_mb:
            raise DatasetError(
                f"{streams} kinds of examples from {self.stream.window} files each need "
                f"{megabytes} MB for files of up to {largest} bytes; give "
                f"--stream-memory-mb {megabytes}, or a smaller --stream-window than "
                f"{self.stream.window}"
            )

    @property
    def fetched(self) -> int:
        """Files that this process has fetched from elsewhere so far."""
        return self._files.fetched

    def shards_of(self, rows: Int[Tensor, "row"]) -> Int[Tensor, "row"]:
        """Number of the file of every row."""
        return torch.searchsorted(torch.tensor(self._starts), rows, right=True) - 1

    def column(self, name: str) -> list[Any]:
        """One column of every face, for choosing among them; meant for the light ones.

        Raises:
            DatasetError: There is no such column.
        """
        values: list[Any] = []
        for shard in range(len(self._places)):
            file = self._file(shard)
            if name not in file.schema_arrow.names:
                raise DatasetError(
                    f"face data has no column {name!r}; it has {', '.join(file.schema_arrow.names)}"
                )
            values += file.read(columns=[name], use_threads=False).column(name).to_pylist()
        return values

    def with_text(self, name: str) -> Int[Tensor, "face"]:
        """Numbers of the faces that have at least one of: descriptions, conversations, implicit,
        short."""
        if name not in self._lengths:
            flags = [self._has_text(shard, name) for shard in range(len(self._places))]
            self._lengths[name] = torch.cat([torch.zeros(0, dtype=torch.bool), *flags])
        return self._lengths[name].nonzero().flatten()

    def _has_text(self, number: int, name: str) -> Bool[Tensor, "face"]:
        """Of every row of a shard, from the manifest if that says it."""
        import pyarrow.compute as pc

        shard = self._places[number].shard
        if name in shard.texts:
            return torch.tensor(flags_of(shard.texts[name], shard.rows), dtype=torch.bool)
        column = self._file(number).read(columns=[name], use_threads=False).column(0)
        measured = pc.utf8_length if name == "short" else pc.list_value_length  # type: ignore[attr-defined]
        return torch.tensor(measured(column).to_pylist(), dtype=torch.long) > 0

    def _decode(self, row: FaceRow) -> StoredFace:
        return StoredFace(
            row, decode_crop(row.crop), decode_mask(row.skin), decode_mask(row.validity)
        )

    def _group(self, shard: int, group: int) -> Any:
        self._belong_to_this_process()
        if self._last_group[0] != (shard, group):
            rows = self._file(shard).read_row_group(group, use_threads=False)
            self._last_group = ((shard, group), rows)
        return self._last_group[1]

    def _group_starts(self, shard: int) -> list[int]:
        """The first row of every group of a shard."""
        if shard not in self._groups:
            metadata = self._file(shard).metadata
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            self._groups[shard] = [0, *accumulate(sizes)][: len(sizes)]
        return self._groups[shard]

    def _file(self, shard: int) -> Any:
        self._belong_to_this_process()
        return self._files.open(shard)

    def _forget(self) -> None:
        """Open files and decoded faces belong to one process."""
        self._process = os.getpid()
        self._files = ShardFiles(self._places, memory_bytes=self.stream.memory_mb << 20)
        self._groups: dict[int, list[int]] = {}
        self._faces: OrderedDict[int, StoredFace] = OrderedDict()
        self._last_group: tuple[tuple[int, int] | None, Any] = (None, None)

    def _belong_to_this_process(self) -> None:
        if self._process != os.getpid():
            self._forget()

    def __getstate__(self) -> dict[str, Any]:
        private = ("_files", "_groups", "_faces", "_last_group")
        return {k: v for k, v in self.__dict__.items() if k not in private}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


class StreamedRows:
    """Rows of a table, in the order in which reading them costs little."""

    def __init__(self, table: FaceTable, rows: Sequence[int]) -> None:
        """Take some rows."""
        self.table = table
        self.rows = torch.tensor(rows, dtype=torch.long)
        self._looked: tuple[int, int] | None = None

    def order(self, generator: torch.Generator) -> Int[Tensor, "row"]:
        """Places among the rows; every one comes once."""
        return self.table.order(self.rows, generator)

    def look_ahead(
        self, epoch: int, position: int, order: Callable[[int], Int[Tensor, "row"]]
    ) -> None:
        """Let be fetched what comes next; costs nothing where nothing must be.

        Args:
            order: The order of an epoch.
        """
        mark = (epoch, position // _LOOK_EVERY)
        if not self.table.streams or mark == self._looked:
            return
        self._looked = mark
        ahead = order(epoch)[position : position + self._reach]
        if len(ahead) < self._reach:
            ahead = torch.cat([ahead, order(epoch + 1)[: self._reach - len(ahead)]])
        self.table.expect(self.rows[ahead])

    @cached_property
    def _reach(self) -> int:
        """Rows ahead that are worth expecting: as many as a window has."""
        files = max(1, len(self.table.shards_of(self.rows).unique()))
        return self.table.stream.window * -(-len(self.rows) // files)
