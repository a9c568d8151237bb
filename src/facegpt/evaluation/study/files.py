"""Files of a study: they are there in full or not at all, and are read in bounded memory."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facegpt.evaluation.study.errors import StudyError, StudyExistsError, StudyMissingError

_MOST_JSON_BYTES = 1 << 24


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill beside its place; it is moved there if nothing goes wrong, else removed.

    Raises:
        StudyExistsError: Something is there already.
    """
    refuse_existing(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        refuse_existing(output)
        temporary.rename(output)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def refuse_existing(output: Path) -> None:
    """Nothing is ever written over a study: it may hold the answers of people.

    Raises:
        StudyExistsError: Something is there already.
    """
    if os.path.lexists(output):
        raise StudyExistsError(f"{output} is already there; give another --output, or move it away")


def write_text(path: Path, text: str) -> None:
    """Write or replace one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def to_json(record: Mapping[str, Any]) -> str:
    """JSON for people and programs."""
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def read_object(path: Path, how_to_get_it: str) -> dict[str, Any]:
    """A JSON object.

    Args:
        how_to_get_it: Ends the message if there is no such file.

    Raises:
        StudyMissingError: There is no such file.
        StudyError: It is too large, damaged or no object.
    """
    if not path.is_file():
        raise StudyMissingError(f"no file at {path}; {how_to_get_it}")
    if path.stat().st_size > _MOST_JSON_BYTES:
        raise StudyError(f"{path} is larger than {_MOST_JSON_BYTES} bytes; that is no such file")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{path} is no JSON: {error}; get a fresh copy") from error
    if not isinstance(record, dict):
        raise StudyError(f"{path} holds no JSON object but a {type(record).__name__}")
    return record
