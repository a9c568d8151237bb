"""One conversation of the page: what was said, which faces there are, and which one is meant by
"the second one". Knows no model and no Gradio.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from facegpt.web.store import new_id

MOST_TURNS = 60
"""Questions of one conversation; then a new one begins."""

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_THING = r"(?:one|face|head|person|man|woman|boy|girl|guy|lady|portrait)\b"
_BY_ORDINAL = re.compile(
    rf"\b(?:the\s+)?({'|'.join(_ORDINALS)}|last|latest|\d{{1,2}}(?:st|nd|rd|th))\s+{_THING}", re.I
)
_BY_NUMBER = re.compile(r"\b(?:face|head|person|number)\s*#?\s*(\d{1,2})\b", re.I)


@dataclass(frozen=True)
class ShownFace:
    """A face that the page shows."""

    id: str
    """In the store."""
    name: str
    """"Face 2"."""
    origin: str
    """What it was made from, in a few words."""
    record: Mapping[str, Any]
    words: str = ""
    """What is measured on it, as a person would put it."""
    photo_key: str | None = None
    """Of its photo in the memory."""
    place: int = 0
    """Which of the faces of its photo, the largest first."""
    overlay: str = ""
    """The photo with the mesh over it, a data URI."""
    questions: tuple[str, ...] = ()
    """Of a face that was made in an answer: what `facegpt chat` must be asked for it."""


@dataclass
class Talk:
    """What a browser tab talks about."""

    session: str = field(default_factory=new_id)
    messages: list[dict[str, Any]] = field(default_factory=list)
    """As the model reads them; photos by key."""
    shown: list[dict[str, Any]] = field(default_factory=list)
    """As the page shows them."""
    faces: list[ShownFace] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    """What was asked so far, as `facegpt chat` reads it."""
    waiting_photos: list[str] = field(default_factory=list)
    """Photos that were sent and not asked about yet."""

    @property
    def next_name(self) -> str:
        """Of the next face."""
        return f"Face {len(self.faces) + 1}"

    @property
    def photo_keys(self) -> list[str]:
        """Of all its photos."""
        parts = (part for message in self.messages for part in message["content"])
        keys = [part["image"] for part in parts if part["type"] == "image"]
        shown = [face.photo_key for face in self.faces if face.photo_key]
        return list(dict.fromkeys([*keys, *shown, *self.waiting_photos]))

    def face(self, name: str | None) -> ShownFace | None:
        """A face by its name."""
        return next((face for face in self.faces if face.name == name), None)

    def face_of_photo(self, key: str | None) -> ShownFace | None:
        """The largest face of a photo; of the last one without a key."""
        of_photos = [face for face in reversed(self.faces) if face.photo_key and not face.place]
        return next((f for f in of_photos if key in (None, f.photo_key)), None)

    def meant_by(self, text: str) -> ShownFace | None:
        """The face that a text speaks of: "the second one", "face 2", "the last person"."""
        if not self.faces:
            return None
        if by_number := _BY_NUMBER.search(text):
            return self._numbered(int(by_number[1]))
        if by_ordinal := _BY_ORDINAL.search(text):
            word = by_ordinal[1].lower()
            if word in ("last", "latest"):
                return self.faces[-1]
            place = _ORDINALS.index(word) + 1 if word in _ORDINALS else int(word[:-2])
            return self._numbered(place)
        return None

    def _numbered(self, number: int) -> ShownFace | None:
        return self.faces[number - 1] if 1 <= number <= len(self.faces) else None
