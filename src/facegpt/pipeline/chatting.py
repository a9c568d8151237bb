"""Conversations about faces: what the model says, and the faces it makes while it speaks.

The caller keeps the messages; nothing is remembered here. Photos are looked at once
(`FoundFace`), so a long conversation does not search them again and again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from facegpt.data.conversations import FACE_TOKEN
from facegpt.data.examples import note_part
from facegpt.fitting.found import FoundFace
from facegpt.morphable.parameters import FaceParameters
from facegpt.pipeline.errors import RequestError
from facegpt.pipeline.faces import AnsweredFace, PhotoFace, imagined_faces
from facegpt.pipeline.network import Conversation, Network, Speaking
from facegpt.pipeline.photos import PhotoReader
from facegpt.pipeline.requests import LONGEST_TEXT

Stream = Callable[[str], None]
"""Hears an answer piece by piece, as it shall be shown."""

_ROLES = ("system", "user", "assistant")
_UNFINISHED = "�"


@dataclass(frozen=True, eq=False)
class ChatAnswer:
    """What the model said."""

    text: str
    """As it shall be shown: a face that was made is "[face 1]"."""
    faces: list[AnsweredFace]
    message: dict[str, Any]
    """The turn to append to the messages, with `<FACE>` in it."""
    first_number: int = 1
    """Number of the first face: they are counted through the conversation."""
    is_finished: bool = True
    """The model closed the turn itself; otherwise the answer was cut off."""
    tokens: int = 0
    """Of the answer."""


@dataclass(frozen=True, eq=False)
class PreparedChat:
    """A conversation as the model reads it."""

    conversation: Conversation
    photo: FoundFace | None
    """The face of the photo that was shown last."""
    faces_before: int
    """Faces in earlier answers."""
    question: str
    """The last words of the user."""


def prepare_chat(
    messages: Sequence[Mapping[str, Any]], network: Network, reader: PhotoReader
) -> PreparedChat:
    """Check messages, find the faces in their photos and take apart what looks like a token.

    Raises:
        RequestError: The messages are no conversation that waits for an answer.
        NoFaceError: A photo shows no face.
        ImageError: A photo cannot be read.
    """
    if not messages or messages[-1].get("role") != "user":
        raise RequestError(
            'a conversation ends with what the user says: {"role": "user", "content": "..."}'
        )
    turns: list[dict[str, Any]] = []
    photos: list[FoundFace] = []
    faces_before = 0
    for message in messages:
        role, parts = message.get("role"), _parts(message)
        if role not in _ROLES:
            raise RequestError(f"the role of a message is one of {_ROLES}, got {role!r}")
        turns.append(
            {"role": role, "content": [_part(p, role, network, photos, reader) for p in parts]}
        )
        if role == "assistant":
            faces_before += sum(p.get("text", "").count(FACE_TOKEN) for p in parts)
    question = " ".join(p["text"] for p in turns[-1]["content"] if p["type"] == "text").strip()
    if not question:
        raise RequestError("the last message has no text; say or ask something")
    images = [face.aligned.crop for face in photos]
    _put_notes(turns, reader.notes(photos))
    return PreparedChat(
        Conversation(turns, images), photos[-1] if photos else None, faces_before, question
    )


def converse(
    chat: PreparedChat,
    network: Network,
    reader: PhotoReader,
    speaking: Speaking,
    stream: Stream | None = None,
) -> ChatAnswer:
    """The next turn."""
    first = chat.faces_before + 1
    shown = ShownText(network, first, stream)
    [spoken] = network.answer([chat.conversation], speaking, shown.hear if stream else None)
    text = shown.finished(spoken.tokens.tolist())
    faces = _faces(chat, spoken.faces, reader)
    content = [{"type": "text", "text": spoken.text.strip()}]
    message = {"role": "assistant", "content": content}
    return ChatAnswer(text, faces, message, first, spoken.is_finished, len(spoken.tokens))


def _faces(chat: PreparedChat, theta: FaceParameters, reader: PhotoReader) -> list[AnsweredFace]:
    if chat.photo is None:
        sources = [{"text": chat.question[:LONGEST_TEXT]}] * len(theta)
        named = {"method": reader.name, "licences": reader.licences}
        return [*imagined_faces(theta, reader.model, sources, **named)]
    made = reader.reconstructions([chat.photo] * len(theta), theta) if len(theta) else []
    return [PhotoFace(face, reader.model, chat.photo.photo) for face in made]


@dataclass
class ShownText:
    """Turns tokens into the text that people see, as far as it is certain."""

    network: Network
    first_number: int
    stream: Stream | None
    _tokens: list[int] = field(default_factory=list)
    _told: int = 0

    def hear(self, token: int) -> None:
        """One more token."""
        self._tokens.append(token)
        text = self._text(self._tokens)
        # A character may take several tokens.
        if not text.endswith(_UNFINISHED):
            self._tell(text)

    def finished(self, tokens: list[int]) -> str:
        """The whole answer; what was not told yet is told."""
        text = self._text(tokens).strip()
        self._tell(text)
        return text

    def _tell(self, text: str) -> None:
        text = text.lstrip()
        if self.stream is not None and len(text) > self._told:
            self.stream(text[self._told :])
            self._told = len(text)

    def _text(self, tokens: Sequence[int]) -> str:
        processor = self.network.processor
        text, run, number = "", [], self.first_number
        for token in [*tokens, processor.face_token_id]:
            if token != processor.face_token_id:
                run.append(token)
                continue
            text += processor.decode(torch.tensor(run, dtype=torch.long)) if run else ""
            text += f"[face {number}]"
            number, run = number + 1, []
        return text.removesuffix(f"[face {number - 1}]")


def _put_notes(turns: Sequence[dict[str, Any]], notes: Sequence[str]) -> None:
    """Beside each photo what was read from it, the notes of a turn before its words."""
    if not any(notes):
        return
    left = iter(notes)
    for turn in turns:
        shown = [part for part in turn["content"] if part["type"] == "image"]
        said = [part for part in turn["content"] if part["type"] == "text"]
        read = [note_part(next(left)) for _ in shown]
        turn["content"] = [*shown, *read, *said]


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(p, Mapping) for p in content):
        raise RequestError(
            'the content of a message is a text, or a list of {"type": "text", "text": ...} and '
            '{"type": "image", "image": ...}'
        )
    return content


def _part(
    part: Mapping[str, Any],
    role: str,
    network: Network,
    photos: list[FoundFace],
    reader: PhotoReader,
) -> dict[str, Any]:
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        text = part["text"]
        if role != "assistant":
            return {"type": "text", "text": network.plain(text)}
        # The faces of earlier answers stay faces.
        pieces = [network.plain(piece) for piece in text.split(FACE_TOKEN)]
        return {"type": "text", "text": FACE_TOKEN.join(pieces)}
    if part.get("type") == "image" and part.get("image") is not None:
        image = part["image"]
        photos.append(image if isinstance(image, FoundFace) else reader.largest_face(image))
        return {"type": "image"}
    raise RequestError(
        'a part of a message is {"type": "text", "text": ...} or {"type": "image", "image": a '
        f"path, bytes, PIL image or array}}, got the type {part.get('type')!r}"
    )
