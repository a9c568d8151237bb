"""The interface for programs: faces of photos and texts, and the files of faces.

Routes check, put a job into a queue and wait; who goes away takes the job along. What was said and
shown is never logged.
"""

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from facegpt import __version__
from facegpt.perception.images import Photo, load_image
from facegpt.reconstruction import FaceReconstruction
from facegpt.web.answers import ERRORS, STATUS, error_answer, kept_faces
from facegpt.web.changes import add_changes
from facegpt.web.completions import add_completions
from facegpt.web.counting import CountedAnswers, Counters
from facegpt.web.engine import FILES, Engine, Wish
from facegpt.web.gate import problem
from facegpt.web.settings import ServeSettings
from facegpt.web.staging import staging_of
from facegpt.web.waiting import result_of
from facegpt.web.wire import (
    FacesAnswer,
    ImagineRequest,
    PhotoRequest,
    RenderRequest,
    Session,
    picture_of,
)

ABOUT = """Faces from photos, descriptions and situations, and conversations about them.

A face that is made from words is a plausible guess and nobody's portrait; one that is made from a
photo is a likeness, no identification. Ask people before you make heads of their photos. Every
record lists under `licences` what shaped it. Records and files are deleted when their time is
over; photos are not kept unless you ask for it, and neither they nor texts are logged."""

_TYPES = ("application/octet-stream", "image/")
FaceId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{22}$")]


def create_app(engine: Engine, settings: ServeSettings, counters: Counters) -> FastAPI:
    """The application, without the gate before it."""
    # The pages that FastAPI makes of the document load scripts from elsewhere.
    app = FastAPI(
        title="FaceGPT", version=__version__, description=ABOUT, docs_url=None, redoc_url=None
    )
    app.add_middleware(CountedAnswers, counters=counters)
    _report_errors(app)
    _add_faces(app, engine, settings)
    _add_files(app, engine, settings)
    _add_state(app, engine, counters)
    add_changes(app, engine, settings)
    add_completions(app, engine, settings)
    return app


def _report_errors(app: FastAPI) -> None:
    async def told(request: Request, error: Exception) -> JSONResponse:
        return error_answer(error)

    for kind in (*STATUS, Exception):
        app.add_exception_handler(kind, told)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return problem(*_sentence_of(error.errors()))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), error.headers)


def _sentence_of(errors: Any) -> tuple[int, str]:
    """The first of pydantic's complaints, without what was sent."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return 400, "the body is no JSON"
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    return 422, f"{place or 'the body'}: {first['msg']}"


def _add_faces(app: FastAPI, engine: Engine, settings: ServeSettings) -> None:
    picture = {"schema": {"type": "string", "format": "binary"}}
    body = {
        "required": True,
        "content": {
            "application/json": {"schema": PhotoRequest.model_json_schema()},
            "image/*": picture,
            "application/octet-stream": picture,
        },
    }

    @app.post(
        "/v1/faces",
        responses=ERRORS,
        response_model=FacesAnswer,
        openapi_extra={"requestBody": body},
        summary="Every face of a photo, largest first.",
    )
    async def read_photo(
        request: Request,
        refine: Annotated[bool, Query(description="Fit to the photo, a second a face.")] = False,
        keep_photo: Annotated[bool, Query(description="Keep the photo for textures.")] = False,
        session: Annotated[Session, Query()] = "",
    ) -> JSONResponse:
        data = await _picture_in(request)
        photo: Photo = await asyncio.to_thread(load_image, data)
        job = engine.read_photo(photo, refine=refine)
        found: list[FaceReconstruction] = await result_of(request, job, settings.seconds)
        faces = await kept_faces(engine, found, session, data if keep_photo else None)
        return JSONResponse({"faces": faces})

    @app.post(
        "/v1/imagine",
        responses=ERRORS,
        response_model=FacesAnswer,
        summary="The face of a description or a situation, or several.",
    )
    async def imagine(request: Request, asked: ImagineRequest) -> JSONResponse:
        job = engine.wish(Wish(asked.text, asked.samples, asked.seed, asked.reason))
        made = await result_of(request, job, settings.seconds)
        found = [face.reconstruction for face in made]
        return JSONResponse({"faces": await kept_faces(engine, found, asked.session)})

    @app.post(
        "/v1/render",
        responses={**ERRORS, 200: {"content": {"image/png": {}}, "description": "A PNG."}},
        response_class=Response,
        summary="A face in another pose, light or expression.",
    )
    async def render(request: Request, asked: RenderRequest) -> Response:
        face, staging = await asyncio.to_thread(staging_of, asked, engine)
        job = engine.picture(face, staging)
        png: bytes = await result_of(request, job, settings.seconds)
        return Response(png, media_type="image/png")


async def _picture_in(request: Request) -> bytes:
    """The file in a body: as it is, or as a data URI in JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith(_TYPES):
        return await request.body()
    if kind != "application/json":
        raise HTTPException(
            415, 'send the photo itself as image/*, or {"image": "data:image/...;base64,..."}'
        )
    try:
        asked = PhotoRequest.model_validate_json(await request.body())
    except ValidationError as error:
        raise HTTPException(*_sentence_of(error.errors())) from None
    return await asyncio.to_thread(picture_of, asked.image)


def _add_files(app: FastAPI, engine: Engine, settings: ServeSettings) -> None:
    def add(ending: str, media_type: str) -> None:
        @app.get(
            f"/v1/faces/{{face_id}}.{ending}",
            responses={**ERRORS, 200: {"content": {media_type: {}}, "description": "The file."}},
            response_class=FileResponse,
            summary=f"The {ending.upper()} of a face.",
            name=f"{ending}_of_a_face",
        )
        async def file(request: Request, face_id: FaceId) -> FileResponse:
            job = engine.write_file(face_id, ending)
            path = await result_of(request, job, settings.seconds)
            return FileResponse(path, media_type=media_type, filename=f"face.{ending}")

    for ending, (_, _, media_type) in FILES.items():
        add(ending, media_type)

    @app.get("/v1/faces/{face_id}.json", responses=ERRORS, summary="The record of a face.")
    async def record(face_id: FaceId) -> dict[str, Any]:
        return dict((await asyncio.to_thread(engine.store.face, face_id)).record)

    @app.delete("/v1/faces/{face_id}", responses=ERRORS, status_code=204, summary="Delete a face.")
    async def delete(face_id: FaceId) -> None:
        await asyncio.to_thread(engine.store.delete, face_id)

    @app.delete(
        "/v1/sessions/{session}", responses=ERRORS, summary="Delete all faces of a session."
    )
    async def delete_session(
        session: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")],
    ) -> dict[str, int]:
        return {"deleted": await asyncio.to_thread(engine.store.delete_session, session)}


def _add_state(app: FastAPI, engine: Engine, counters: Counters) -> None:
    @app.get("/v1/models", responses=ERRORS, summary="The model that answers.")
    async def models() -> dict[str, Any]:
        model = {"id": engine.facegpt.name, "object": "model", "owned_by": "facegpt", "created": 0}
        return {"object": "list", "data": [model]}

    @app.get("/healthz", responses=ERRORS, summary="Whether the server answers.")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/metrics",
        responses={**ERRORS, 200: {"content": {"text/plain": {}}, "description": "Prometheus."}},
        response_class=Response,
        summary="Counts for Prometheus.",
    )
    async def metrics() -> Response:
        return Response(counters.text(), media_type="text/plain; version=0.0.4")
