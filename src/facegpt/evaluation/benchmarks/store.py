"""Results of items on disk, so that a stopped run goes on and tables can be made again.

A file is JSONL: the first line says what the results were made with, every other one is an item
with its `key`. It is written anew as a whole after every batch, so it is never half there. Results
made with something else are forgotten, and so is a file that cannot be read: all of it can be
computed again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facegpt.evaluation.json_lines import JsonFileError, read_json_lines, write_json_lines

_MADE_WITH = "made_with"


class ItemStore:
    """Records by key."""

    def __init__(self, path: Path, made_with: Mapping[str, Any]) -> None:
        """Read what is there.

        Args:
            made_with: Whatever decides the results, beside the items themselves.
        """
        self.path = path
        self.made_with = dict(made_with)
        self._records: dict[str, dict[str, Any]] = _read(path, self.made_with)

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._records[key]

    def get(self, key: str) -> dict[str, Any]:
        """The record of an item, empty where there is none."""
        return self._records.get(key, {})

    def add(self, records: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep more; the file is there in full or not at all."""
        self._records |= {key: dict(record) for key, record in records.items()}
        lines = [{"key": key, **record} for key, record in self._records.items()]
        write_json_lines(self.path, [{_MADE_WITH: self.made_with}, *lines])


def _read(path: Path, made_with: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    try:
        first, *rest = [line.record for line in read_json_lines(path)]
    except JsonFileError:
        return {}
    if first.get(_MADE_WITH) != made_with:
        return {}
    return {str(record.pop("key")): record for record in rest if "key" in record}
