"""What goes over the wire: requests and answers as the OpenAPI document describes them.

The chat has the form of OpenAI's `/v1/chat/completions`, with `faces` beside the text. Pictures
come as data URIs; nothing is ever fetched.
"""

import base64
import binascii
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from facegpt.data.conversations import FACE_TOKEN
from facegpt.pipeline.changing import LARGEST_SHIFT, Change
from facegpt.rendering.pictures import LIGHTS
from facegpt.web.errors import UnreadableRequestError

MOST_MESSAGES = 100
MOST_TEXT = 20_000
MOST_SAMPLES = 8
MOST_TOKENS = 400

_DATA_URI = re.compile(r"data:image/[a-zA-Z0-9.+-]+;base64,")
_SHOWN_FACE = re.compile(r"\[face \d{1,6}\]")


class Wire(BaseModel):
    """A request; what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid")


Session = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{0,64}$",
        description="A name of your own; `DELETE /v1/sessions/{session}` deletes its faces.",
    ),
]


class ImagineRequest(Wire):
    """A description or a situation."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"text": "an elderly man with a long thin face, grinning"}]
        },
    )

    text: Annotated[str, Field(min_length=1, max_length=2000)]
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES, description="Faces of this text.")] = 1
    seed: Annotated[
        int | None,
        Field(
            ge=0, lt=2**63, description="Of the draw; without one a single face is the likeliest."
        ),
    ] = None
    reason: Annotated[bool, Field(description="Say first in words how the face looks.")] = False
    session: Session = ""


class PhotoRequest(Wire):
    """A photo as a data URI, for callers that send JSON."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"image": "data:image/png;base64,iVBORw0KGgo..."}]},
    )

    image: Annotated[str, Field(description="data:image/...;base64,...")]


class RenderRequest(Wire):
    """A kept face, or a record, in another pose, light or expression."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"id": "0123456789abcdefABCDEF", "yaw": 30, "light": "top"}]
        },
    )

    id: Annotated[str | None, Field(description="Of a kept face.")] = None
    record: Annotated[
        dict[str, Any] | None, Field(description="`facegpt.face/1`, instead of an id.")
    ] = None
    yaw: Annotated[float | None, Field(ge=-360, le=360)] = None
    pitch: Annotated[float | None, Field(ge=-360, le=360)] = None
    roll: Annotated[float | None, Field(ge=-360, le=360)] = None
    light: Annotated[
        str, Field(description=f"`fitted`, or one of: {', '.join(sorted(LIGHTS))}.")
    ] = "fitted"
    arkit: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1)]],
        Field(max_length=100, description="Blendshapes to set; the others stay."),
    ] = {}
    size: Annotated[int, Field(ge=16, le=1024, description="Side in pixels.")] = 448


Shift = Annotated[float, Field(ge=-LARGEST_SHIFT, le=LARGEST_SHIFT)]


class ChangeRequest(Wire):
    """A kept face, changed by meaning."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "id": "0123456789abcdefABCDEF",
                    "semantics": {"nose_width": 1.5},
                    "arkit": {"jawOpen": 0.4},
                }
            ]
        },
    )

    id: Annotated[str, Field(description="Of a kept face.", max_length=64)]
    semantics: Annotated[
        dict[str, Shift],
        Field(
            max_length=20,
            description="Name of a measurement -> standard deviations by which it moves.",
        ),
    ] = {}
    arkit: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1)]],
        Field(max_length=100, description="Blendshapes to set; the others stay."),
    ] = {}
    session: Session = ""

    def change(self) -> Change:
        """What shall be different.

        Raises:
            UnreadableRequestError: There is no such measurement.
        """
        try:
            return Change(self.semantics, self.arkit)
        except ValueError as error:
            raise UnreadableRequestError(str(error)) from error


class TextPart(BaseModel):
    """Words."""

    type: Literal["text"]
    text: Annotated[str, Field(max_length=MOST_TEXT)]


class ImageUrl(BaseModel):
    """OpenAI's nesting."""

    url: str


class ImagePart(BaseModel):
    """A photo; only data URIs are read."""

    type: Literal["image_url"]
    image_url: ImageUrl


class ChatMessage(BaseModel):
    """One turn; fields that OpenAI knows and FaceGPT does not are passed over."""

    role: Literal["system", "user", "assistant"]
    content: (
        Annotated[str, Field(max_length=MOST_TEXT)]
        | Annotated[
            list[Annotated[TextPart | ImagePart, Field(discriminator="type")]],
            Field(max_length=MOST_MESSAGES),
        ]
    )


class ChatRequest(BaseModel):
    """OpenAI's chat completion; fields of theirs that are not here are passed over."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "nano",
                    "messages": [{"role": "user", "content": "Show me an angry man."}],
                }
            ]
        },
    )

    model: Annotated[str, Field(max_length=200)] = ""
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MOST_MESSAGES)]
    stream: bool | None = False
    temperature: Annotated[float | None, Field(ge=0, le=10)] = 0.0
    seed: Annotated[int | None, Field(ge=0, lt=2**63)] = 0
    max_tokens: Annotated[int | None, Field(ge=1, le=MOST_TOKENS)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=MOST_TOKENS)] = None
    session: Session = ""

    @property
    def most_tokens(self) -> int:
        """Of the answer."""
        return self.max_completion_tokens or self.max_tokens or 200


class FaceAnswer(BaseModel):
    """A face that was made."""

    id: str
    made: Annotated[float, Field(description="Seconds since 1970.")]
    expires: float
    files: Annotated[dict[str, str], Field(description="glb, obj, ply, png, zip, json -> address.")]
    record: Annotated[dict[str, Any], Field(description="Schema `facegpt.face/1`.")]


class FacesAnswer(BaseModel):
    """Faces, largest first or in the order of the samples."""

    faces: list[FaceAnswer]


def picture_of(uri: str) -> bytes:
    """The file in a data URI.

    Raises:
        UnreadableRequestError: It is none, or an address.
    """
    start = _DATA_URI.match(uri)
    if not start:
        raise UnreadableRequestError(
            "a picture is a data URI, data:image/png;base64,...; addresses are never fetched"
        )
    try:
        return base64.b64decode(uri[start.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableRequestError("the base64 of a picture is damaged") from None


def conversation_of(request: ChatRequest) -> list[dict[str, Any]]:
    """The messages as `FaceGPT.chat` takes them, photos as bytes. Faces of earlier answers, which
    clients send back as "[face 1]", are faces again.

    Raises:
        UnreadableRequestError: A picture is no data URI.
    """
    messages = []
    for message in request.messages:
        content = message.content
        parts = [TextPart(type="text", text=content)] if isinstance(content, str) else content
        messages.append(
            {"role": message.role, "content": [_part(part, message.role) for part in parts]}
        )
    return messages


def _part(part: TextPart | ImagePart, role: str) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        return {"type": "image", "image": picture_of(part.image_url.url)}
    said = _SHOWN_FACE.sub(FACE_TOKEN, part.text) if role == "assistant" else part.text
    return {"type": "text", "text": said}
