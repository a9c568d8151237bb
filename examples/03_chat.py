"""A conversation about a photo: words first, then its 3D face, then a face out of nothing.

python examples/03_chat.py out/demo              the conversation below
python examples/03_chat.py out/demo --talk       yours, in the terminal
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import skimage.data
from PIL import Image

import facegpt

CONVERSATION = (
    "Can you describe the person's expression?",
    "Can you give the 3DMM parameters of this person.",
    "/new",
    "Make the face of somebody who smells smoke.",
)


class Talk:
    """What was said, and where faces go: the model itself remembers nothing between calls."""

    def __init__(self, output: Path) -> None:
        """Load the model; faces will be in OUTPUT/chat-face-1 and so on."""
        self.model = facegpt.FaceGPT.from_pretrained("nano")
        self.output, self.faces = output, 0
        self.messages, self.shown = [], []

    def hear(self, line: str) -> None:
        """Do a command, or answer words and save the faces of the answer."""
        if line == "/new":
            self.messages, self.shown = [], []
        elif line.startswith("/image "):
            photo = self.model.look(line.removeprefix("/image ").strip())  # searched only once
            self.shown = [{"type": "image", "image": photo}]
        else:
            content = [*self.shown, {"type": "text", "text": line}]
            asked = [*self.messages, {"role": "user", "content": content}]
            answer = self.model.chat(asked, stream=lambda piece: print(piece, end="", flush=True))
            print()
            self.messages, self.shown = [*asked, answer.message], []
            for number, face in enumerate(answer.faces, start=answer.first_number):
                self.faces += 1
                face.save(self.output / f"chat-face-{self.faces}")
                print(f"[face {number}] is in {self.output / f'chat-face-{self.faces}'}")


def main(output: Path, lines: Iterable[str] | None = None) -> None:
    """Talk line by line."""
    talk = Talk(output)
    for line in written(output) if lines is None else lines:
        try:
            talk.hear(line)
        except ValueError as error:  # no face, no picture, more than the model can read
            print(error)


def written(output: Path) -> Iterator[str]:
    """The conversation about Eileen Collins, whose photo (NASA, public domain) scikit-image has."""
    output.mkdir(parents=True, exist_ok=True)
    Image.fromarray(skimage.data.astronaut()).save(output / "astronaut.png")
    for line in (f"/image {output / 'astronaut.png'}", *CONVERSATION):
        print(f"\n> {line}")
        yield line


def typed() -> Iterator[str]:
    """Lines that somebody types."""
    print("/image PATH shows a photo with your next words, /new forgets what was said, /quit ends.")
    with suppress(EOFError):
        while (line := input("> ").strip()) != "/quit":
            if line:
                yield line


if __name__ == "__main__":
    folders = [argument for argument in sys.argv[1:] if argument != "--talk"]
    own = typed() if "--talk" in sys.argv else None
    main(Path(folders[0] if folders else "out/demo"), own)
