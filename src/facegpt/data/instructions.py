"""Instruction data that keeps a language model what it was: LLaVA-format JSON, and replay.

LLaVA's `mix665k` is one JSON array of a gigabyte, so files are scanned once, record by record, and
only the place of each usable record is kept. Replay is what the base model itself answered, as
JSONL of `prompt` and `answer`. Knows no model: `record_replay` is handed one.
"""

import json
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from facegpt.data.conversations import FACE_TOKEN
from facegpt.data.schema import DatasetError

IMAGE_MARK = "<image>"
MOST_CHARACTERS = 6000
"""Of all turns together; what goes beyond is cut off turn by turn."""

_CHUNK_BYTES = 1 << 22
_MOST_RECORD_BYTES = 1 << 25
_BETWEEN = " \t\r\n,[]"
_BYTE_ORDER_MARK = "\xef\xbb\xbf"


@dataclass(frozen=True)
class Instruction:
    """One conversation, about a picture or about none."""

    turns: tuple[tuple[str, str], ...]
    """What the user said and what the model shall answer."""
    image: Path | None = None
    """Shown before the first question."""


class InstructionFile(Sequence[Instruction]):
    """The usable records of a file, read one by one when they are asked for."""

    def __init__(self, path: Path, parse: Callable[[Any], Instruction]) -> None:
        """Scan the file once.

        Args:
            parse: Makes an instruction of a JSON object; a ValueError, KeyError or TypeError passes
                the record over.

        Raises:
            DatasetError: The file cannot be read, is no JSON, or holds no usable record.
        """
        self.path = path
        self.skipped = 0
        """Records that were passed over."""
        self._parse = parse
        self._starts, self._lengths = array("q"), array("q")
        for start, text in _objects(path):
            try:
                parse(json.loads(text))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self.skipped += 1
                continue
            self._starts.append(start)
            self._lengths.append(len(text))
        if not self._starts:
            raise DatasetError(
                f"no usable instruction in {path} ({self.skipped} records were passed over: of "
                f"another format, too long, or their picture is missing)"
            )

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: Any) -> Any:
        """Instruction number `index`; slices are not supported.

        Raises:
            DatasetError: The file has changed since it was scanned.
        """
        start, length = self._starts[index], self._lengths[index]
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return self._parse(json.loads(file.read(length)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"record {index} of {self.path} cannot be read: {error}; the file, or the folder "
                f"of its pictures, has changed since the run started"
            ) from error


@dataclass(frozen=True)
class _LlavaParser:
    """LLaVA's records, for pictures in one folder."""

    images: Path | None

    def __call__(self, record: Any) -> Instruction:
        turns = record["conversations"]
        asked, answered = turns[0::2], turns[1::2]
        if not turns or len(asked) != len(answered):
            raise ValueError("questions and answers do not alternate")
        for turn, speaker in [*((t, "human") for t in asked), *((t, "gpt") for t in answered)]:
            if turn["from"] != speaker:
                raise ValueError("questions and answers do not alternate")
        pairs = [
            (_without_mark(question["value"]), answer["value"].strip())
            for question, answer in zip(asked, answered, strict=True)
        ]
        return Instruction(_usable(pairs), self._image(record.get("image")))

    def _image(self, name: str | None) -> Path | None:
        if name is None:
            return None
        if self.images is None:
            raise ValueError("there is no folder of pictures")
        path = self.images / name
        if not path.resolve().is_relative_to(self.images.resolve()) or not path.is_file():
            raise ValueError("its picture is missing")
        return path


def read_llava_json(path: Path, images: Path | None = None) -> InstructionFile:
    """Instruction data in the format of LLaVA, such as `llava_v1_5_mix665k.json`, as an array or as
    one object per line.

    Args:
        images: Folder that `image` is relative to. Records whose picture is not there are passed
            over; without a folder, all that have a picture.

    Raises:
        DatasetError: The file cannot be read, or holds no usable record.
    """
    return InstructionFile(path, _LlavaParser(images))


def read_replay(path: Path) -> InstructionFile:
    """What a base model answered, as `record_replay` wrote it.

    Raises:
        DatasetError: The file cannot be read, or holds no usable record.
    """
    return InstructionFile(path, _replayed)


def record_replay(
    prompts: Iterable[str],
    answer: Callable[[Sequence[str]], Sequence[str]],
    path: Path,
    *,
    batch_size: int = 8,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Ask a base model and keep its answers as JSONL; prompts answered before are not asked again.

    Args:
        answer: Answers of the base model to some prompts, in the same order.
        progress: Hears how many answers the file holds, after every batch.

    Returns:
        The number of answers in the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    known = _answered(path)
    fresh = (prompt for prompt in dict.fromkeys(prompts) if prompt not in known)
    count = len(known)
    with path.open("ab") as file:
        while batch := list(islice(fresh, batch_size)):
            for prompt, said in zip(batch, answer(batch), strict=True):
                line = json.dumps({"prompt": prompt, "answer": said}, ensure_ascii=False)
                file.write(line.encode() + b"\n")
            file.flush()
            count += len(batch)
            if progress is not None:
                progress(count)
    return count


def _answered(path: Path) -> set[str]:
    """Prompts of the whole lines of a replay file; a line that was cut off is removed."""
    if not path.exists():
        return set()
    known: set[str] = set()
    with path.open("rb+") as file:
        end = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                known.add(json.loads(line)["prompt"])
            except (ValueError, KeyError, TypeError) as error:
                raise DatasetError(
                    f"{path} is no replay file: {error!r} at byte {end}; choose another file"
                ) from error
            end += len(line)
        file.seek(end)
        file.truncate()
    return known


def _replayed(record: Any) -> Instruction:
    return Instruction(_usable([(record["prompt"], record["answer"].strip())]))


def _without_mark(text: str) -> str:
    return text.replace(IMAGE_MARK, "").strip()


def _usable(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The first turns that fit; raises ValueError when there is none."""
    kept: list[tuple[str, str]] = []
    total = 0
    for question, answer in pairs:
        total += len(question) + len(answer)
        if total > MOST_CHARACTERS:
            break
        if not question.strip() or not answer or FACE_TOKEN in question + answer:
            raise ValueError("an empty turn, or one with a face in it")
        kept.append((question, answer))
    if not kept:
        raise ValueError("too long")
    return tuple(kept)


def _objects(path: Path) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of every object of a JSON array or of JSON lines."""
    decoder = json.JSONDecoder()
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            # One character per byte: the structure of JSON is ASCII, so places in this text are
            # places in the file, whatever the strings hold.
            text, base, at = "", 0, 0
            while True:
                at = _next_object(text, at, first=base == 0)
                known = None if at == len(text) else _end_of(decoder, text, at)
                if known is not None:
                    yield base + at, text[at:known].encode("latin-1")
                    at = known
                    continue
                _check_length(len(text) - at, path, base + at)
                more = file.read(_CHUNK_BYTES).decode("latin-1")
                if not more and at < len(text):
                    raise DatasetError(f"{path} is no JSON from byte {base + at} of {size} on")
                if not more:
                    return
                text, base, at = text[at:] + more, base + at, 0
    except OSError as error:
        raise DatasetError(f"the instructions {path} cannot be read: {error}") from error


def _next_object(text: str, at: int, *, first: bool) -> int:
    if first and at == 0 and text.startswith(_BYTE_ORDER_MARK):
        at = len(_BYTE_ORDER_MARK)
    while at < len(text) and text[at] in _BETWEEN:
        at += 1
    return at


def _end_of(decoder: json.JSONDecoder, text: str, at: int) -> int | None:
    """Where the object that starts here ends; None when the rest of it is not read yet."""
    if text[at] != "{":
        return None
    try:
        return decoder.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return None


def _check_length(length: int, path: Path, place: int) -> None:
    if length > _MOST_RECORD_BYTES:
        raise DatasetError(
            f"{path} is no JSON of instructions: no object ends within {length} bytes of byte "
            f"{place}"
        )
