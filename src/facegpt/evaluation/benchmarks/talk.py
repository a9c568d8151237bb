"""What a method says: about photos, and when it makes a face. The offline twin of Table 4.

No judge is needed. Questions about a photo (smile, turn of the head, open mouth) are answered
freely, with the lines beside the photo that the model reads in a chat, and the answer is compared
with the fitted face by `data.agreement`; faces near a threshold are not asked about, and an answer
that claims nothing is wrong. Held-out prompts, some that ask for a face and some that do not, tell
whether `<FACE>` is written when, and only when, it is wanted. It says nothing of fluency.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from facegpt.data.agreement import Claims, claims, truth
from facegpt.data.conversations import FACE_TOKEN
from facegpt.evaluation.benchmarks.errors import DataFolderError
from facegpt.evaluation.benchmarks.photo_data import PhotoItem, PhotoSet
from facegpt.evaluation.benchmarks.prediction import ReferenceDetector
from facegpt.evaluation.json_lines import read_json_lines
from facegpt.fitting.found import FoundFace, find_faces
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.semantics import measure
from facegpt.perception.images import load_image
from facegpt.pipeline import FaceGPT
from facegpt.pipeline.network import Conversation, Speaking
from facegpt.pipeline.requests import user_turn

VERSION = 1
"""Of the protocol; kept answers of another one are asked for again."""

QUESTIONS: dict[str, tuple[str, ...]] = {
    "smile": (
        "Is this person smiling?",
        "Tell me whether there is a smile on this face.",
        "Smile or no smile?",
    ),
    "turned": (
        "Is the head turned to the left, to the right, or straight ahead?",
        "Where is this person facing: left, right or the camera?",
        "How is the head turned here?",
    ),
    "mouth_open": (
        "Is this mouth open?",
        "Are the lips open or shut?",
        "Tell me whether the mouth is open.",
    ),
}
"""What is judged -> wordings, which take turns and which training does not know."""

PROMPTS = "prompts"
"""What tables call the held-out prompts."""

MOST_PHOTOS = 40
"""Of a set; an answer takes a second."""

_MEASURED = ("smile", "yaw", "mouth_open")
_SPEAKING = Speaking(60, stop_at_face=True)


@dataclass(frozen=True, eq=False)
class TalkItem:
    """One question."""

    question: str
    data: str
    photo: PhotoItem | None = None
    topic: str = ""
    """Of a question about a photo; empty for a prompt."""
    wants_face: bool = False
    """The prompt asks for a face."""

    @property
    def name(self) -> str:
        """The photo, so that its questions are drawn together; a prompt stands for itself."""
        return self.photo.name if self.photo is not None and self.topic else self.question

    @property
    def group(self) -> str:
        """Of the person in the photo."""
        return self.photo.group if self.photo is not None and self.topic else ""

    @cached_property
    def key(self) -> str:
        """Changes when the question, the picture or its points change."""
        shown = self.photo.key if self.photo is not None else ""
        parts = f"{shown} {self.topic} {self.wants_face} {self.question}"
        return hashlib.sha256(parts.encode()).hexdigest()[:24]


def photo_questions(
    photos: PhotoSet, theta: Sequence[FaceParameters | None], model: MorphableModel
) -> list[tuple[TalkItem, bool | str]]:
    """What can be asked about photos, and the right answers.

    Args:
        theta: The fitted face of every photo.
    """
    found = []
    for number, (photo, face) in enumerate(zip(photos.items, theta, strict=True)):
        true = _truth(face, model) if face is not None else Claims(None, None, None)
        for topic, wordings in QUESTIONS.items():
            answer = getattr(true, topic)
            if answer is not None:
                question = wordings[number % len(wordings)]
                found.append((TalkItem(question, photos.name, photo, topic), answer))
    return found


def read_prompts(path: Path, photos: Sequence[PhotoItem]) -> list[TalkItem]:
    """Held-out prompts: JSONL with `prompt`, `wants_face` and `photo` (whether one is shown).

    Args:
        photos: Shown in turn.

    Raises:
        JsonFileError: The file is missing or damaged.
        DataFolderError: A prompt does not say what it wants, or needs a photo and there is none.
    """
    items = []
    for number, line in enumerate(read_json_lines(path)):
        wants, shown = line.record.get("wants_face"), line.record.get("photo", False)
        if not isinstance(wants, bool) or not isinstance(shown, bool):
            raise DataFolderError(f"{line.where}: 'wants_face' and 'photo' must be true or false")
        if shown and not photos:
            raise DataFolderError(f"{line.where}: the prompt needs a photo; name some with --data")
        photo = photos[number % len(photos)] if shown else None
        items.append(TalkItem(line.text("prompt"), PROMPTS, photo, wants_face=wants))
    return items


def ask(facegpt: FaceGPT, items: Sequence[TalkItem]) -> list[str]:
    """Free answers; each ends at its first face.

    Raises:
        ImageError: A photo cannot be read.
        RequestError: A prompt is too long.
    """
    shown = {item.photo.key: item.photo for item in items if item.photo is not None}
    faces = {key: _found(photo, facegpt) for key, photo in shown.items()}
    notes = dict(zip(faces, facegpt.reader.notes(list(faces.values())), strict=True))
    conversations = []
    for item in items:
        question = facegpt.network.plain(item.question)
        if item.photo is None:
            conversations.append(Conversation([user_turn(question)]))
            continue
        key = item.photo.key
        turn = user_turn(question, image=True, note=notes[key])
        conversations.append(Conversation([turn], [faces[key].aligned.crop]))
    return [spoken.text for spoken in facegpt.network.answer(conversations, _SPEAKING)]


def verdict(item: TalkItem, answer: str, true: bool | str | None) -> dict[str, float]:
    """`agrees` of a question about a photo; `face_made` or `face_left_out` of a prompt; 0 or 1."""
    if item.topic:
        said: Any = getattr(claims(answer, question=item.question), item.topic)
        return {"agrees": float(said == true)}
    has_face = FACE_TOKEN in answer
    return (
        {"face_made": float(has_face)}
        if item.wants_face
        else {"face_left_out": float(not has_face)}
    )


def _found(item: PhotoItem, facegpt: FaceGPT) -> FoundFace:
    detector = facegpt.detector
    assert isinstance(detector, ReferenceDetector)
    photo = load_image(item.path)
    detector.show(photo, item)
    [face] = find_faces(photo, detector)
    detector.forget()
    return face


def _truth(theta: FaceParameters, model: MorphableModel) -> Claims:
    with torch.no_grad():
        values = measure(theta, model, _MEASURED)
    return truth({name: float(value[0]) for name, value in values.items()})
