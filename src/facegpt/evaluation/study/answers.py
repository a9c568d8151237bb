"""The choices of participants in one SQLite file.

Each call opens the file anew, so an `Answers` may be shared between threads and processes. Knows
neither methods nor the web.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from facegpt.evaluation.study.errors import (
    AnswersError,
    StudyFullError,
    StudyMissingError,
    UnknownParticipantError,
)

MAX_PARTICIPANTS = 10_000
"""A bound for the file, should somebody join again and again."""

_SCHEMA_VERSION = 1
_WAIT_SECONDS = 30.0
_SCHEMA = (
    "CREATE TABLE study (id TEXT NOT NULL)",
    # `turn` counts participants from 1 and decides how alternatives are rotated.
    "CREATE TABLE participants ("
    " turn INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, joined_at TEXT NOT NULL)",
    "CREATE TABLE answers ("
    " participant TEXT NOT NULL REFERENCES participants (id),"
    " question TEXT NOT NULL, choice TEXT NOT NULL, answered_at TEXT NOT NULL,"
    " PRIMARY KEY (participant, question)) WITHOUT ROWID",
)


@final
@dataclass(frozen=True)
class Answers:
    """A file of answers, made by `create_answers` or found by `open_answers`."""

    path: Path

    def join(self) -> str:
        """A new participant under a random id of 32 hexadecimal digits.

        Raises:
            StudyFullError: `MAX_PARTICIPANTS` have joined.
        """
        participant = secrets.token_hex(16)
        with self._writing() as connection:
            (joined,) = connection.execute("SELECT count(*) FROM participants").fetchone()
            if joined >= MAX_PARTICIPANTS:
                raise StudyFullError(f"{joined} people have joined; no more are taken")
            connection.execute(
                "INSERT INTO participants (id, joined_at) VALUES (?, ?)", (participant, _now())
            )
        return participant

    def turn(self, participant: str) -> int | None:
        """Which participant this is, counted from 1; None for nobody."""
        with _connected(self.path) as connection:
            found = connection.execute(
                "SELECT turn FROM participants WHERE id = ?", (participant,)
            ).fetchone()
        return None if found is None else int(found[0])

    def save(self, participant: str, question: str, choice: str) -> None:
        """Keep a choice; a later one for the same question takes its place.

        Raises:
            UnknownParticipantError: Nobody has joined under this id.
        """
        try:
            with self._writing() as connection:
                connection.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (participant, question) DO UPDATE"
                    " SET choice = excluded.choice, answered_at = excluded.answered_at",
                    (participant, question, choice, _now()),
                )
        except sqlite3.IntegrityError as error:
            raise UnknownParticipantError("nobody has joined under this id; begin anew") from error

    def of(self, participant: str) -> dict[str, str]:
        """Question -> choice of one participant."""
        with _connected(self.path) as connection:
            return dict(
                connection.execute(
                    "SELECT question, choice FROM answers WHERE participant = ?", (participant,)
                ).fetchall()
            )

    def by_participant(self) -> dict[str, dict[str, str]]:
        """Participant -> question -> choice, of everybody who joined, in that order."""
        with _connected(self.path) as connection:
            # One statement sees one moment, whatever is written meanwhile.
            rows = connection.execute(
                "SELECT p.id, a.question, a.choice FROM participants p"
                " LEFT JOIN answers a ON a.participant = p.id ORDER BY p.turn, a.question"
            ).fetchall()
        found: dict[str, dict[str, str]] = {}
        for participant, question, choice in rows:
            chosen = found.setdefault(participant, {})
            if question is not None:
                chosen[question] = choice
        return found

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _connected(self.path) as connection, _transaction(connection):
            yield connection


def create_answers(path: Path, study: str) -> Answers:
    """The answers of a study; the file is made if there is none.

    Raises:
        AnswersError: The file is damaged, of another study or of another version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _connected(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        with _transaction(connection):
            if _version(connection) == 0 and _is_empty(connection):
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute("INSERT INTO study VALUES (?)", (study,))
                connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    return open_answers(path, study)


def open_answers(path: Path, study: str) -> Answers:
    """The answers of a study that somebody has served.

    Raises:
        StudyMissingError: There is no such file.
        AnswersError: The file is damaged, of another study or of another version.
    """
    if not path.is_file():
        raise StudyMissingError(
            f"no answers at {path}; collect some with: facegpt study serve STUDY"
        )
    with _connected(path) as connection:
        version = _version(connection)
        if version != _SCHEMA_VERSION:
            raise AnswersError(
                f"{path} holds no answers of version {_SCHEMA_VERSION} (but of {version}); move it "
                "away, or use the facegpt that wrote it"
            )
        (owner,) = connection.execute("SELECT id FROM study").fetchone()
    if owner != study:
        raise AnswersError(
            f"the answers in {path} are of another study; give the right ones with --answers"
        )
    return Answers(path)


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        raise AnswersError(
            f"the answers in {path} cannot be used: {error}; check the file and its folder"
        ) from error
    finally:
        if connection is not None:
            connection.close()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE: two writers wait for each other here, instead of failing halfway.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
