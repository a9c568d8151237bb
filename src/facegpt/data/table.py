"""Random access to the faces of finished data sets, decoded, in bounded memory.

Parquet files are mapped, not loaded: a face costs the reading of its row group and the decoding of
one JPEG, or nothing when it is among the last ones used. A table can be pickled and forked: every
process opens the files for itself. Knows no training.
"""

import bisect
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from facegpt.data.schema import DatasetError, FaceRow, decode_crop, decode_mask, import_datasets
from facegpt.data.shards import shard_paths

CACHED_FACES = 256
"""Decoded faces that are kept, about 300 kB each."""


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
        folders: Path | Sequence[Path],
        *,
        cached_faces: int = CACHED_FACES,
        partial: bool = False,
    ) -> None:
        """Find the shards; reads nothing but their footers.

        Args:
            folders: What `facegpt data build` wrote.
            cached_faces: Decoded faces to keep, per process.
            partial: Accept builds that are not finished.

        Raises:
            DatasetError: A folder holds no finished data set.
        """
        import_datasets()
        folders = [folders] if isinstance(folders, Path) else list(folders)
        self.folders = tuple(folders)
        self.cached_faces = cached_faces
        self._paths = [path for folder in folders for path in shard_paths(folder, partial=partial)]
        self._forget()
        self._groups = [
            (shard, group, self._file(shard).metadata.row_group(group).num_rows)
            for shard in range(len(self._paths))
            for group in range(self._file(shard).num_row_groups)
        ]
        self._starts = [0, *accumulate(rows for _, _, rows in self._groups)]
        self._lengths: dict[str, Tensor] = {}

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
        number = bisect.bisect_right(self._starts, index) - 1
        shard, group, _ = self._groups[number]
        rows = self._group(shard, group)
        [record] = rows.slice(index - self._starts[number], 1).to_pylist()
        return FaceRow.from_record(record)

    def column(self, name: str) -> list[Any]:
        """One column of every face, for choosing among them; meant for the light ones.

        Raises:
            DatasetError: There is no such column.
        """
        values: list[Any] = []
        for shard in range(len(self._paths)):
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
            self._lengths[name] = self._lengths_of(name)
        return self._lengths[name].nonzero().flatten()

    def _lengths_of(self, name: str) -> Int[Tensor, "face"]:
        import pyarrow.compute as pc

        lengths: list[int] = []
        for shard in range(len(self._paths)):
            column = self._file(shard).read(columns=[name], use_threads=False).column(0)
            measured = pc.utf8_length if name == "short" else pc.list_value_length  # type: ignore[attr-defined]
            lengths += measured(column).to_pylist()
        return torch.tensor(lengths, dtype=torch.long)

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

    def _file(self, shard: int) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._belong_to_this_process()
        if shard not in self._files:
            path = self._paths[shard]
            try:
                self._files[shard] = pq.ParquetFile(path, memory_map=True)
            except (OSError, pa.ArrowInvalid) as error:
                raise DatasetError(
                    f"the shard {path} cannot be read: {error}; delete it and repeat the same "
                    f"`facegpt data build` command"
                ) from error
        return self._files[shard]

    def _forget(self) -> None:
        """Open files and decoded faces belong to one process."""
        self._process = os.getpid()
        self._files: dict[int, Any] = {}
        self._faces: OrderedDict[int, StoredFace] = OrderedDict()
        self._last_group: tuple[tuple[int, int] | None, Any] = (None, None)

    def _belong_to_this_process(self) -> None:
        if self._process != os.getpid():
            self._forget()

    def __getstate__(self) -> dict[str, Any]:
        private = ("_files", "_faces", "_last_group")
        return {k: v for k, v in self.__dict__.items() if k not in private}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()
