"""The loop behind `facegpt chat`: reads lines, prints answers as they come, writes faces."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facegpt.fitting.found import FoundFace
from facegpt.pipeline import ChatAnswer, FaceGPT, NoFaceError

_HELP = "/image PATH shows a photo, /new forgets what was said, /quit ends"


@dataclass
class Talk:
    """A conversation and where its faces go."""

    facegpt: FaceGPT
    output: Path
    options: Mapping[str, Any]
    """For `FaceGPT.chat`."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    photo: FoundFace | None = None
    """Is shown with the next words of the user."""
    faces: int = 0
    """Folders written: numbers go on after /new."""

    def show(self, path: Path) -> None:
        """Look at a photo."""
        self.photo = self.facegpt.look(path.expanduser())

    def forget(self) -> None:
        """Begin anew."""
        self.messages, self.photo = [], None

    def say(self, text: str) -> ChatAnswer:
        """One turn; a turn that fails leaves the conversation as it was."""
        shown = [{"type": "image", "image": self.photo}] if self.photo else []
        turn = {"role": "user", "content": [*shown, {"type": "text", "text": text}]}
        asked = [*self.messages, turn]
        answer = self.facegpt.chat(asked, stream=_print_piece, **self.options)
        print()
        self.messages, self.photo = [*asked, answer.message], None
        return answer

    def write_faces(self, answer: ChatAnswer) -> None:
        """Write the faces of an answer and say where."""
        for number, face in enumerate(answer.faces, start=answer.first_number):
            self.faces += 1
            directory = self._free_directory()
            face.save(directory)
            print(f"[face {number}] is in {directory}")

    def _free_directory(self) -> Path:
        while (self.output / f"face-{self.faces}").exists():
            self.faces += 1
        return self.output / f"face-{self.faces}"


def talk(conversation: Talk, image: Path | None) -> int:
    """Talk until there is nothing more to read.

    Returns:
        2 if the photo to begin with shows no face, 1 if a line of a pipe could not be answered.
    """
    try:
        if image is not None:
            conversation.show(image)
    except NoFaceError as error:
        print(f"facegpt: {error}", file=sys.stderr)
        return 2
    is_person = sys.stdin.isatty()
    if is_person:
        print(f"Talk about faces, or ask for one; {_HELP}.")
    failed = False
    for line in _lines(is_person):
        if line == "/quit":
            break
        try:
            _answer(conversation, line)
        except (ValueError, OSError) as error:
            failed = True
            print(f"facegpt: {error}", file=sys.stderr)
    return int(failed and not is_person)


def _answer(conversation: Talk, line: str) -> None:
    command, _, rest = line.partition(" ")
    if command == "/image" and rest.strip():
        conversation.show(Path(rest.strip()))
    elif line == "/new":
        conversation.forget()
    elif line.startswith("/"):
        raise ValueError(f"no command {line!r}; {_HELP}")
    else:
        conversation.write_faces(conversation.say(line))


def _lines(is_person: bool) -> Iterator[str]:
    """What is typed or piped, without empty lines."""
    while True:
        try:
            line = input("> " if is_person else "")
        except EOFError:
            return
        if line.strip():
            yield line.strip()


def _print_piece(piece: str) -> None:
    print(piece, end="", flush=True)
