"""Faces that were made, until their time is over: records in SQLite, files beside it.

An id cannot be guessed and never becomes a path without being one of ours. What is deleted is
gone from the file of the database, too. Knows records and bytes, no model and no HTTP.
"""

import io
import json
import re
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from facegpt.geometry.export import write_atomically
from facegpt.web.errors import UnknownFaceError

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_ID_BYTES = 16
_DATABASE, _FILES, _PHOTO, _TEXTURE = "faces.sqlite3", "files", "photo", "texture.png"
_WAIT_MS = 10_000
_SWEEP_EVERY_S = 60.0
_TABLES = """
CREATE TABLE IF NOT EXISTS faces (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    made REAL NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS of_session ON faces (session);
CREATE INDEX IF NOT EXISTS by_time ON faces (made);
"""


@dataclass(frozen=True)
class KeptFace:
    """A face as it is kept."""

    id: str
    session: str
    made: float
    """Seconds since 1970."""
    record: Mapping[str, Any]
    """Schema `facegpt.face/1`."""


class FaceStore:
    """The faces of one folder; may be used by any thread."""

    def __init__(
        self, folder: Path, keep_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the folder, or make it; faces whose time is over are deleted.

        Args:
            folder: Of this server alone.
            keep_seconds: How long a face is kept.

        Raises:
            OSError, sqlite3.Error: The folder cannot be used.
        """
        self.folder = folder
        self.keep_seconds = keep_seconds
        self._clock = clock
        self._lock = threading.Lock()
        (folder / _FILES).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._closed = threading.Event()
        self._chores: list[Callable[[], None]] = []
        self._database = sqlite3.connect(folder / _DATABASE, check_same_thread=False)
        for pragma in (
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "secure_delete = ON",
            f"busy_timeout = {_WAIT_MS}",
        ):
            self._database.execute(f"PRAGMA {pragma}")
        with self._writing() as database:
            database.executescript(_TABLES)
        self.delete_old()
        self._delete_orphans()
        self._sweeper = threading.Thread(target=self._sweep, name="facegpt-sweeper", daemon=True)
        self._sweeper.start()

    def close(self) -> None:
        """Close the database; whatever was kept stays."""
        self._closed.set()
        self._sweeper.join()
        with self._lock:
            self._database.close()

    def keep(
        self,
        record: Mapping[str, Any],
        session: str = "",
        photo: bytes | None = None,
        texture: UInt8[np.ndarray, "height width 3"] | None = None,
    ) -> KeptFace:
        """A new face, on the disk when this returns.

        Args:
            record: `FaceReconstruction.to_record`.
            session: Whose it is; faces of a session are deleted together.
            photo: The file it came from, if it shall be kept.
            texture: Of a face whose photo does not fit it any more, because it was changed.
        """
        self.delete_old()
        face = KeptFace(new_id(), session, self._clock(), record)
        for name, content in ((_PHOTO, photo), (_TEXTURE, _png(texture))):
            if content is not None:
                folder = self._folder(face.id)
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_atomically(folder / name, content)
        row = (face.id, session, face.made, json.dumps(record, separators=(",", ":")))
        with self._writing() as database:
            database.execute("INSERT INTO faces VALUES (?, ?, ?, ?)", row)
        return face

    def face(self, face_id: str) -> KeptFace:
        """A face by its id.

        Raises:
            UnknownFaceError: There is none, or no longer.
        """
        if _ID.fullmatch(face_id):
            oldest = self._clock() - self.keep_seconds
            with self._lock:
                row = self._database.execute(
                    "SELECT id, session, made, record FROM faces WHERE id = ? AND made > ?",
                    (face_id, oldest),
                ).fetchone()
            if row is not None:
                return KeptFace(row[0], row[1], row[2], json.loads(row[3]))
        raise UnknownFaceError("there is no such face, or no longer")

    def photo(self, face_id: str) -> bytes | None:
        """The photo of a face that was kept with it."""
        path = self._folder(self.face(face_id).id) / _PHOTO
        return path.read_bytes() if path.is_file() else None

    def texture(self, face_id: str) -> UInt8[np.ndarray, "height width 3"] | None:
        """The texture that was kept with a face.

        Raises:
            UnknownFaceError: There is no such face.
        """
        path = self._folder(self.face(face_id).id) / _TEXTURE
        if not path.is_file():
            return None
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))

    def files(self, face_id: str) -> Path:
        """The folder for the files of a face; it is deleted with the face.

        Raises:
            UnknownFaceError: There is no such face.
        """
        return self._folder(self.face(face_id).id) / "head"

    def delete(self, face_id: str) -> None:
        """Delete a face with all its files.

        Raises:
            UnknownFaceError: There is no such face.
        """
        self._delete([self.face(face_id).id])

    def delete_files_of_nobody(self, face_id: str) -> None:
        """After files were written: a face that was deleted meanwhile leaves none.

        Raises:
            UnknownFaceError: It was deleted.
        """
        try:
            self.face(face_id)
        except UnknownFaceError:
            shutil.rmtree(self._folder(face_id), ignore_errors=True)
            raise

    def delete_session(self, session: str) -> int:
        """Delete all faces of a session; how many there were."""
        with self._lock:
            found = self._database.execute(
                "SELECT id FROM faces WHERE session = ? AND session != ''", (session,)
            ).fetchall()
        return self._delete([row[0] for row in found])

    def delete_old(self) -> int:
        """Delete the faces whose time is over; how many there were."""
        oldest = self._clock() - self.keep_seconds
        with self._lock:
            found = self._database.execute(
                "SELECT id FROM faces WHERE made <= ?", (oldest,)
            ).fetchall()
        return self._delete([row[0] for row in found])

    def also_sweep(self, chore: Callable[[], None]) -> None:
        """Do something else whenever old faces are looked for."""
        self._chores.append(chore)

    def __len__(self) -> int:
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM faces").fetchone()[0])

    def _sweep(self) -> None:
        """Time goes on while nobody asks for anything."""
        while not self._closed.wait(min(_SWEEP_EVERY_S, self.keep_seconds)):
            self.delete_old()
            for chore in self._chores:
                chore()

    def _delete(self, ids: list[str]) -> int:
        if not ids:
            return 0
        for face_id in ids:
            shutil.rmtree(self._folder(face_id), ignore_errors=True)
        with self._writing() as database:
            database.executemany("DELETE FROM faces WHERE id = ?", [(i,) for i in ids])
        with self._lock:
            # Otherwise the log beside the database would hold what was deleted until it is full.
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(ids)

    def _delete_orphans(self) -> None:
        """Folders without a face: a server was killed between two steps."""
        with self._lock:
            known = {row[0] for row in self._database.execute("SELECT id FROM faces")}
        for folder in (self.folder / _FILES).iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, face_id: str) -> Path:
        assert _ID.fullmatch(face_id), "ids are checked where they come in"
        return self.folder / _FILES / face_id

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            yield self._database


def _png(texture: np.ndarray | None) -> bytes | None:
    if texture is None:
        return None
    sink = io.BytesIO()
    Image.fromarray(texture).save(sink, "PNG", compress_level=1)
    return sink.getvalue()


def new_id() -> str:
    """128 random bits in 22 letters."""
    return secrets.token_urlsafe(_ID_BYTES)
