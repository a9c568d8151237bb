"""The files that faces are made of: where they are, their licences, how to get what is missing.

Nothing is downloaded. A file is shipped with facegpt, comes with a Python package, or is brought by
the user with `facegpt assets add NAME PATH`. This module knows names, sizes and checksums only, not
what is in a file, and imports nothing heavy.
"""

import difflib
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facegpt.asset_table import ASSETS, Asset, megabytes

__all__ = [
    "ASSETS",
    "Asset",
    "AssetChecksumError",
    "AssetKindError",
    "AssetMissingError",
    "AssetStatus",
    "add_asset",
    "asset_status",
    "cache_directory",
    "data_directory",
    "find_asset",
    "licence_ledger",
]

_PACKAGE = Path(__file__).parent
_CHUNK = 1 << 20
_FOLDER_FILES = 2000

State = Literal["present", "missing", "wrong checksum", "unreadable"]


class AssetMissingError(FileNotFoundError):
    """An asset is not installed; the message says how to get it."""


class AssetChecksumError(ValueError):
    """A file is not the one that its name promises."""


class AssetKindError(ValueError):
    """A file or folder cannot be the asset it is given for."""


@dataclass(frozen=True)
class AssetStatus:
    """What `facegpt doctor` says of one asset."""

    asset: Asset
    state: State
    path: Path | None
    """Where it was found."""


def data_directory() -> Path:
    """Where assets that users bring are kept: $FACEGPT_HOME, or the usual place of the platform."""
    given = os.environ.get("FACEGPT_HOME")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "facegpt"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "facegpt"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "facegpt"


def cache_directory() -> Path:
    """Where things are kept that can be made again: $FACEGPT_CACHE, `cache` below $FACEGPT_HOME, or
    the usual place of the platform."""
    given = os.environ.get("FACEGPT_CACHE")
    if given:
        return Path(given).expanduser()
    if os.environ.get("FACEGPT_HOME") or sys.platform == "win32":
        return data_directory() / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "facegpt"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facegpt"


def _known(name: str) -> Asset:
    if name not in ASSETS:
        [nearest] = difflib.get_close_matches(name, ASSETS, n=1, cutoff=0)
        raise ValueError(f"no asset {name!r}; did you mean {nearest!r}? Known: {sorted(ASSETS)}")
    return ASSETS[name]


def _places(asset: Asset) -> list[Path]:
    """Where an asset is looked for; what the user brought comes first."""
    places = [data_directory() / "assets" / asset.file] if asset.addable else []
    if asset.shipped:
        places.append(_PACKAGE / asset.file)
    if asset.package:
        # The package is not imported: its __init__ needs pkg_resources, which setuptools dropped.
        spec = importlib.util.find_spec(asset.package)
        folders = (spec.submodule_search_locations or []) if spec else []
        places.extend(Path(folder) / asset.file for folder in folders)
    return places


def _locate(asset: Asset) -> Path | None:
    for place in _places(asset):
        if all((place / member).is_file() for member in asset.members) and (
            place.is_dir() if asset.members else place.is_file()
        ):
            return place
    return None


def find_asset(name: str) -> Path:
    """The file (or folder) of an asset. Its checksum is not computed here; `asset_status` does.

    Raises:
        ValueError: No asset has this name.
        AssetMissingError: It is not installed.
    """
    asset = _known(name)
    found = _locate(asset)
    if found is None:
        raise AssetMissingError(_how_to_get(asset))
    return found


def _how_to_get(asset: Asset) -> str:
    places = " or ".join(str(place) for place in _places(asset))
    return (
        f"{asset.title} is not installed: nothing at {places}. Licence: {asset.licence}. "
        f"{asset.how_to_get} ({asset.homepage}) Then run: {asset.next_command}"
    )


def add_asset(name: str, path: Path | str) -> Path:
    """Copy a file (or folder) that the user brings to where facegpt looks for it.

    The copy is there in full or not at all; an older one is replaced.

    Raises:
        ValueError: No asset has this name.
        FileNotFoundError: Nothing is at `path`.
        AssetKindError: It is too large, of another kind, or a folder lacks files.
        AssetChecksumError: The checksum is known and another one.
    """
    asset, source = _known(name), Path(path).expanduser()
    if not asset.addable:
        raise AssetKindError(f"{name} is not for adding. {asset.how_to_get} {asset.next_command}")
    if not source.exists():
        raise FileNotFoundError(f"no file or folder at {source} to add as {name}")
    target = data_directory() / "assets" / asset.file
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".adding-", dir=target.parent))
    try:
        copy = staging / target.name
        if asset.members:
            _copy_folder(asset, _folder_with(asset, source), copy)
        else:
            _copy_file(asset, source, copy)
        if target.is_dir():
            os.replace(target, staging / "replaced")
        os.replace(copy, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _copy_file(asset: Asset, source: Path, copy: Path) -> None:
    _check_file(asset, source)
    size, digest = 0, hashlib.sha256()
    # The bytes that are kept are the ones that were counted and hashed: the source may change.
    with source.open("rb") as reader, copy.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            size += len(chunk)
            if size > asset.max_bytes:
                raise AssetKindError(f"{source} grew beyond {megabytes(asset.max_bytes)}")
            digest.update(chunk)
            writer.write(chunk)
    if asset.sha256 and digest.hexdigest() != asset.sha256:
        raise AssetChecksumError(
            f"{source} is not {asset.title}: its SHA-256 is {digest.hexdigest()}, expected "
            f"{asset.sha256}. {asset.how_to_get} ({asset.homepage})"
        )


def _check_file(asset: Asset, source: Path) -> None:
    if not source.is_file():
        raise AssetKindError(f"{asset.name} is a file, and {source} is none")
    size = source.stat().st_size
    if not asset.min_bytes <= size <= asset.max_bytes:
        raise AssetKindError(
            f"{source} has {megabytes(size)}; {asset.title} has between "
            f"{megabytes(asset.min_bytes)} and {megabytes(asset.max_bytes)}"
        )
    with source.open("rb") as file:
        start = file.read(32)
    if asset.starts_with and not start.startswith(asset.starts_with):
        raise AssetKindError(
            f"{source} does not look like {asset.title}: it starts with {start[:12]!r}, expected "
            f"one of {list(asset.starts_with)}"
        )


def _folder_with(asset: Asset, source: Path) -> Path:
    """The folder itself, or the one of that name inside (a whole repository was given)."""
    inner = Path(asset.file).name
    for folder in (source, source / inner):
        if all((folder / member).is_file() for member in asset.members):
            return folder
    missing = [member for member in asset.members if not (source / member).is_file()]
    raise AssetKindError(
        f"{asset.name} is a folder with {', '.join(asset.members)}; {source} lacks "
        f"{', '.join(missing)}"
    )


def _copy_folder(asset: Asset, source: Path, copy: Path) -> None:
    files = sorted(f for f in source.iterdir() if f.is_file() and f.suffix in asset.suffixes)
    total = sum(file.stat().st_size for file in files)
    if len(files) > _FOLDER_FILES or total > asset.max_bytes:
        raise AssetKindError(
            f"{source} has {len(files)} files with {megabytes(total)}; {asset.name} has at most "
            f"{_FOLDER_FILES} with {megabytes(asset.max_bytes)}"
        )
    copy.mkdir()
    for file in files:
        shutil.copyfile(file, copy / file.name)


def asset_status(names: Iterable[str] = ASSETS) -> list[AssetStatus]:
    """The state of each asset; files with a known checksum are read, up to their largest size.

    Raises:
        ValueError: No asset has one of the names.
    """
    return [_status(_known(name)) for name in names]


def _status(asset: Asset) -> AssetStatus:
    try:
        path = _locate(asset)
        if path is None:
            return AssetStatus(asset, "missing", None)
        good = not asset.sha256 or _sha256(path, asset.max_bytes) == asset.sha256
    except OSError:
        return AssetStatus(asset, "unreadable", None)
    return AssetStatus(asset, "present" if good else "wrong checksum", path)


def _sha256(path: Path, limit: int) -> str:
    """Empty for a file beyond the limit: it cannot be the right one."""
    if path.stat().st_size > limit:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def licence_ledger(names: Iterable[str]) -> list[dict[str, str | bool | None]]:
    """Name, licence, commercial use (None: unclear) and homepage of all that shaped a result.

    A part that is not in the table is listed with an unknown licence: a result never loses a row.
    """
    rows = []
    for name in dict.fromkeys(names):
        asset = ASSETS.get(name)
        rows.append(
            {
                "name": name,
                "licence": asset.licence if asset else "unknown",
                "commercial_use": asset.commercial_use if asset else None,
                "homepage": asset.homepage if asset else "",
            }
        )
    return rows
