"""Uploaded photos: read into memory, and deleted from the disk at once."""

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from facegpt.web.errors import UnreadableRequestError


def take_uploads(paths: Sequence[str], folder: Path) -> list[bytes]:
    """The content of uploaded files, which are gone afterwards.

    Raises:
        UnreadableRequestError: A path is not one of the folder, or its file is gone.
    """
    inside = folder.resolve()
    found = [Path(path).resolve() for path in paths]
    if any(inside not in path.parents for path in found):
        raise UnreadableRequestError("only files that were uploaded here are read")
    try:
        contents = [path.read_bytes() for path in found]
    except FileNotFoundError:
        raise UnreadableRequestError("the photo is not here any more; attach it again") from None
    finally:
        for path in found:
            path.unlink(missing_ok=True)
    return contents


def delete_old_uploads(folder: Path, seconds: float) -> None:
    """Delete what was attached that long ago and never sent."""
    oldest = time.time() - seconds
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < oldest:
                path.unlink()


def empty(folder: Path) -> None:
    """A folder without what an earlier server left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
