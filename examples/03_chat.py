"""A conversation about a photo: words first, then its 3D face, then a face out of nothing.

python examples/03_chat.py out/demo
"""

import sys
from pathlib import Path

import skimage.data

import facegpt

QUESTIONS = [
    "Can you describe the person's expression?",
    "Can you give the 3DMM parameters of this person.",
]


def main(output: Path) -> None:
    """Talk about Eileen Collins, whose photo (NASA, public domain) scikit-image ships."""
    model = facegpt.FaceGPT.from_pretrained("nano")
    photo = model.look(skimage.data.astronaut())  # the largest face, found and aligned once

    messages = []
    for question in QUESTIONS:
        content = [{"type": "text", "text": question}]
        if not messages:
            content.insert(0, {"type": "image", "image": photo})
        messages.append({"role": "user", "content": content})

        print(f"\n> {question}")
        answer = model.chat(messages, stream=lambda piece: print(piece, end="", flush=True))
        print()
        messages.append(answer.message)  # the model remembers what it is shown again

        for number, face in enumerate(answer.faces, start=answer.first_number):
            face.save(output / f"chat-face-{number}")
            print(f"[face {number}] is in {output / f'chat-face-{number}'}")

    output.mkdir(parents=True, exist_ok=True)
    said = "\n".join(message["content"][-1]["text"] for message in messages)
    (output / "chat.txt").write_text(said + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo"))
