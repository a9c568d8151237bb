"""FaceGPT for use: photo, description, situation or conversation in, faces and words out.

`face_gpt` is the door; `network` asks the model, `photos`, `imagination` and `chatting` are the
three roads, `faces` what comes out.
"""

from facegpt.pipeline.chatting import ChatAnswer
from facegpt.pipeline.errors import NoFaceError, RequestError, SpreadMissingError, WeightsError
from facegpt.pipeline.face_gpt import FaceGPT
from facegpt.pipeline.faces import AnsweredFace, ImaginedFace, PhotoFace
from facegpt.pipeline.requests import checked_text
from facegpt.pipeline.spread import Spread, residual_factor

__all__ = [
    "AnsweredFace",
    "ChatAnswer",
    "FaceGPT",
    "ImaginedFace",
    "NoFaceError",
    "PhotoFace",
    "RequestError",
    "Spread",
    "SpreadMissingError",
    "WeightsError",
    "checked_text",
    "residual_factor",
]
