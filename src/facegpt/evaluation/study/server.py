"""The web application of a study: one page, its pictures, and the choices.

Everything that is shown lies in memory; what a browser sends is looked up there and never becomes
a path. Knows no methods: the key is not read.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from facegpt.evaluation.study.answers import Answers
from facegpt.evaluation.study.errors import (
    AnswersError,
    StudyFullError,
    StudyMissingError,
    UnknownParticipantError,
)
from facegpt.evaluation.study.guard import install_guard, set_cookie
from facegpt.evaluation.study.plan import IMAGES_FOLDER, Study

MAX_BODY_BYTES = 1024
"""A choice needs about eighty."""

_PAGE_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_PARTICIPANT_ID = re.compile(r"[0-9a-f]{32}")
_log = logging.getLogger(__name__)


def load_images(folder: Path, study: Study) -> dict[str, bytes]:
    """Every picture of a study by its blind name.

    Raises:
        StudyMissingError: One is missing.
    """
    images = {}
    for name in study.images:
        path = folder / IMAGES_FOLDER / name
        if not path.is_file():
            raise StudyMissingError(f"{path} is missing; copy the whole folder of the study again")
        images[name] = path.read_bytes()
    return images


def create_app(
    study: Study, images: Mapping[str, bytes], answers: Answers, token: str | None = None
) -> FastAPI:
    """The application.

    Args:
        token: What a visitor must bring in the link; without it only local names are answered.
    """
    # The pages that document an API load scripts from elsewhere.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # Cookies do not tell ports apart, so each study has its own.
    install_guard(app, token, cookie=f"study_{study.id}_access")
    _report_errors(app)
    _show_page(app)
    _show_images(app, images)
    _take_answers(app, _Desk(study, answers))
    return app


def _report_errors(app: FastAPI) -> None:
    @app.exception_handler(UnknownParticipantError)
    def unknown(request: Request, error: UnknownParticipantError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=401)

    @app.exception_handler(StudyFullError)
    def full(request: Request, error: StudyFullError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=503)

    @app.exception_handler(AnswersError)
    def broken(request: Request, error: AnswersError) -> JSONResponse:
        # The sentence names a path, which is for who runs the study alone.
        _log.error("%s", error)
        return JSONResponse({"detail": "the answers cannot be stored now"}, status_code=500)


def _show_page(app: FastAPI) -> None:
    here = Path(__file__).parent
    for route, (name, media_type) in _PAGE_FILES.items():
        app.get(route)(_constant((here / name).read_bytes(), media_type))


def _constant(content: bytes, media_type: str) -> Callable[[], Response]:
    def show() -> Response:
        return Response(content, media_type=media_type)

    return show


def _show_images(app: FastAPI, images: Mapping[str, bytes]) -> None:
    @app.get("/images/{name}")
    def image(name: str) -> Response:
        if name not in images:
            raise HTTPException(404, "there is no such picture")
        return Response(
            images[name],
            media_type="image/png",
            headers={"Cache-Control": "private, max-age=86400, immutable"},
        )


@dataclass(frozen=True)
class _Visitor:
    """A participant whom the answers know."""

    id: str
    turn: int


@dataclass(frozen=True)
class _Desk:
    """Where participants are recognised and get their questions."""

    study: Study
    answers: Answers

    @property
    def cookie(self) -> str:
        return f"study_{self.study.id}_participant"

    def recognise(self, request: Request) -> _Visitor | None:
        participant = request.cookies.get(self.cookie, "")
        if not _PARTICIPANT_ID.fullmatch(participant):
            return None
        turn = self.answers.turn(participant)
        return None if turn is None else _Visitor(participant, turn)

    def view(self, visitor: _Visitor | None) -> dict[str, Any]:
        """What the page shows; the questions only to who takes part."""
        record: dict[str, Any] = {
            "title": self.study.title,
            "task": self.study.task,
            "count": len(self.study.questions),
            "questions": [],
            "answers": {},
        }
        if visitor:
            record["answers"] = self.answers.of(visitor.id)
            record["questions"] = [
                {
                    "id": question.id,
                    "text": question.text,
                    "photo": question.photo,
                    "alternatives": question.order_for(visitor.turn),
                }
                for question in self.study.questions
            ]
        return record

    def check(self, question: str, choice: str) -> None:
        asked = self.study.question(question)
        if asked is None or choice not in asked.alternatives:
            raise HTTPException(404, "there is no such question or no such picture in it")


class _Choice(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    question: str
    choice: str


async def _small_json(request: Request) -> bytes:
    """The body; other sites cannot send this content type without being asked first (CORS)."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if content_type != "application/json":
        raise HTTPException(415, "send application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"at most {MAX_BODY_BYTES} bytes are read")
    return bytes(body)


_Body = Annotated[bytes, Depends(_small_json)]


def _take_answers(app: FastAPI, desk: _Desk) -> None:
    @app.get("/api/study")
    def look(request: Request) -> JSONResponse:
        return JSONResponse(desk.view(desk.recognise(request)))

    @app.post("/api/participants")
    def join(request: Request, body: _Body) -> Response:
        response = Response(status_code=204)
        # Who reloads or comes back stays the same participant.
        if desk.recognise(request) is None:
            set_cookie(response, desk.cookie, desk.answers.join())
        return response

    @app.post("/api/answers")
    def answer(request: Request, body: _Body) -> Response:
        visitor = desk.recognise(request)
        if visitor is None:
            raise UnknownParticipantError("nobody has joined under this id; begin anew")
        try:
            given = _Choice.model_validate_json(body)
        except ValidationError as error:
            raise HTTPException(422, 'send {"question": ..., "choice": ...}') from error
        desk.check(given.question, given.choice)
        desk.answers.save(visitor.id, given.question, given.choice)
        return Response(status_code=204)
