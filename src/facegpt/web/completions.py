"""`/v1/chat/completions`: conversations in the form of OpenAI, whole or in pieces."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from facegpt.pipeline import ChatAnswer
from facegpt.web.answers import ERRORS, error_answer, kept_faces
from facegpt.web.engine import Engine, Question
from facegpt.web.errors import GoneError, TooLateError
from facegpt.web.settings import ServeSettings
from facegpt.web.store import new_id
from facegpt.web.waiting import LOOK_EVERY_S, result_of
from facegpt.web.wire import ChatRequest, conversation_of

_END = "data: [DONE]\n\n"
_ANSWER = {
    "description": "OpenAI's chat completion, or with `stream` its chunks; with `faces`.",
    "content": {"application/json": {}, "text/event-stream": {}},
}


def add_completions(app: FastAPI, engine: Engine, settings: ServeSettings) -> None:
    """Put the route into an application."""

    @app.post(
        "/v1/chat/completions",
        responses={**ERRORS, 200: _ANSWER},
        summary="The next turn of a conversation, with the faces that the model makes.",
    )
    async def complete(request: Request, asked: ChatRequest) -> Response:
        messages = await asyncio.to_thread(conversation_of, asked)
        if asked.stream:
            return _streamed(request, engine, settings, asked, messages)
        job = engine.ask(_question(asked, messages))
        answer: ChatAnswer = await result_of(request, job, settings.seconds)
        faces = await _kept(engine, answer, asked.session)
        message = {"role": "assistant", "content": answer.text, "faces": faces}
        reason = _finish_reason(answer)
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        head = _head(engine, "chat.completion")
        return JSONResponse({**head, "choices": [choice], "faces": faces})


def _question(asked: ChatRequest, messages: list[dict[str, Any]], tell: Any = None) -> Question:
    temperature, seed = asked.temperature or 0.0, asked.seed or 0
    return Question(messages, asked.most_tokens, temperature, seed, tell)


def _head(engine: Engine, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{new_id()}",
        "object": kind,
        "created": int(time.time()),
        "model": engine.facegpt.name,
    }


async def _kept(engine: Engine, answer: ChatAnswer, session: str) -> list[dict[str, Any]]:
    return await kept_faces(engine, [face.reconstruction for face in answer.faces], session)


def _streamed(
    request: Request,
    engine: Engine,
    settings: ServeSettings,
    asked: ChatRequest,
    messages: list[dict[str, Any]],
) -> StreamingResponse:
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[str | None] = asyncio.Queue()

    def tell(piece: str | None) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)

    # Taken before the answer begins: a full queue is told by the status.
    job = engine.ask(_question(asked, messages, tell))
    job.result.add_done_callback(lambda done: tell(None))
    head = _head(engine, "chat.completion.chunk")

    async def events() -> AsyncIterator[str]:
        until = loop.time() + settings.seconds
        try:
            yield _event(head, {"role": "assistant", "content": ""})
            while (piece := await _next(request, pieces, until)) is not None:
                yield _event(head, {"content": piece})
            answer: ChatAnswer = job.result.result()
            faces = await _kept(engine, answer, asked.session)
            yield _event(head, {"faces": faces}, _finish_reason(answer))
            yield _END
        except Exception as error:  # the status has been sent: the reason comes in the stream
            yield f"data: {bytes(error_answer(error).body).decode()}\n\n"
        finally:
            job.cancel()

    return StreamingResponse(events(), media_type="text/event-stream")


def _finish_reason(answer: ChatAnswer) -> str:
    return "stop" if answer.is_finished else "length"


async def _next(request: Request, pieces: "asyncio.Queue[str | None]", until: float) -> str | None:
    """The next piece; None after the last one."""
    clock = asyncio.get_running_loop().time
    while clock() < until:
        # What is sent to nobody is lost in silence: only this tells.
        if await request.is_disconnected():
            raise GoneError("nobody listens any more")
        with suppress(TimeoutError):
            return await asyncio.wait_for(pieces.get(), LOOK_EVERY_S)
    raise TooLateError("this took longer than it may; ask for fewer tokens")


def _event(head: dict[str, Any], delta: dict[str, Any], finished: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finished, "logprobs": None}
    return f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
