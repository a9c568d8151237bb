"""`/v1/edit` and `/v1/surface`: faces changed by meaning, kept or only shown."""

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from facegpt.web.answers import ERRORS, face_answer
from facegpt.web.engine import Engine
from facegpt.web.settings import ServeSettings
from facegpt.web.store import KeptFace
from facegpt.web.waiting import result_of
from facegpt.web.wire import ChangeRequest, FacesAnswer

_SURFACE = {"content": {"application/octet-stream": {}}, "description": "float32 arrays."}


def add_changes(app: FastAPI, engine: Engine, settings: ServeSettings) -> None:
    """Put the routes into an application."""

    @app.post(
        "/v1/edit",
        responses=ERRORS,
        response_model=FacesAnswer,
        summary="A kept face changed by meaning: another face, kept, too.",
    )
    async def edit(request: Request, asked: ChangeRequest) -> JSONResponse:
        job = engine.change(asked.id, asked.change(), asked.session)
        kept: KeptFace = await result_of(request, job, settings.seconds)
        return JSONResponse({"faces": [face_answer(kept, engine.store.keep_seconds)]})

    @app.post(
        "/v1/surface",
        responses={**ERRORS, 200: _SURFACE},
        response_class=Response,
        summary="The surface of a changed face, for sliders: nothing is kept.",
        description="Three arrays of little-endian float32, (corner, 3) each, in the order of the "
        "vertices of the GLB of the unchanged face: POSITION in metres and NORMAL, so that "
        "with the ARKit weights of the face it looks exactly as fitted, and by which factor the "
        "linear colour of the texture changes.",
    )
    async def surface(request: Request, asked: ChangeRequest) -> Response:
        face = await asyncio.to_thread(engine.face, asked.id)
        job = engine.surface(face, asked.change())
        data: bytes = await result_of(request, job, settings.seconds)
        return Response(data, media_type="application/octet-stream")
