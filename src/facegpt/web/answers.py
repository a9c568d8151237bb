"""How faces and errors are answered."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from fastapi.responses import JSONResponse

from facegpt.perception.images import ImageError
from facegpt.pipeline import NoFaceError, RequestError, SpreadMissingError
from facegpt.reconstruction import FaceReconstruction
from facegpt.record_checks import FaceRecordError
from facegpt.web.engine import FILES, Engine
from facegpt.web.errors import (
    BusyError,
    ClosedError,
    GoneError,
    TooLateError,
    UnknownFaceError,
    UnreadableRequestError,
)
from facegpt.web.gate import problem
from facegpt.web.store import KeptFace

STATUS: Mapping[type[Exception], int] = {
    UnknownFaceError: 404,
    ImageError: 422,
    NoFaceError: 422,
    RequestError: 422,
    SpreadMissingError: 422,
    FaceRecordError: 422,
    UnreadableRequestError: 422,
    BusyError: 429,
    ClosedError: 503,
    CancelledError: 503,
    TooLateError: 504,
    GoneError: 499,
}
"""Errors that are told to whoever asked; all others are ours, and only their kind is logged."""

OUR_FAULT = "something went wrong here; the log of the server names it"

_log = logging.getLogger(__name__)

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "integer"},
            },
        }
    },
}
_MEANINGS = {
    400: "The body is no JSON.",
    401: "The token is missing.",
    404: "There is no such face, or no longer.",
    413: "The body is too large.",
    415: "The body is of another type.",
    421: "The server is asked by a foreign name.",
    422: "The request cannot be answered; the message says why.",
    429: "Too many requests; Retry-After says when to come again.",
    503: "The server is being stopped.",
    504: "It took too long.",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "content": {"application/json": {"schema": _ERROR}}}
    for status, meaning in _MEANINGS.items()
}
"""For the OpenAPI document."""


async def kept_faces(
    engine: Engine,
    faces: Sequence[FaceReconstruction],
    session: str,
    photo: bytes | None = None,
) -> list[dict[str, Any]]:
    """Keep faces; each as it can be fetched, a `FaceAnswer`. That is not checked again: it would
    take longer than sending it."""
    kept = [await asyncio.to_thread(engine.keep, face, session, photo) for face in faces]
    return [face_answer(face, engine.store.keep_seconds) for face in kept]


def face_answer(face: KeptFace, keep_seconds: float) -> dict[str, Any]:
    """A `FaceAnswer`."""
    return {
        "id": face.id,
        "made": face.made,
        "expires": face.made + keep_seconds,
        "files": {ending: f"/v1/faces/{face.id}.{ending}" for ending in (*FILES, "json")},
        "record": face.record,
    }


def error_answer(error: Exception) -> JSONResponse:
    """What is said of an error, and with which status."""
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            headers = {"Retry-After": str(error.seconds)} if isinstance(error, BusyError) else {}
            return problem(status, str(error) or "the request was cancelled", headers)
    log_failure(error)
    return problem(500, OUR_FAULT)


def log_failure(error: Exception) -> None:
    """Log an error that is ours. Its message may hold what was said; its kind and place do not."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else "?"
    _log.error("a request failed with %s in %s", type(error).__name__, where)
