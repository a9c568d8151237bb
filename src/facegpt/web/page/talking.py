"""One turn of a conversation: photos are read, the question is answered, faces become cards.

Whatever goes wrong is said in the conversation. Whoever stops listening takes the work along.
"""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from facegpt.data.facts import facts_of, read_faces
from facegpt.data.grammar import VOICES, Pen
from facegpt.data.wording import brief_description
from facegpt.morphable.model import MorphableModel
from facegpt.perception.images import Photo, load_image
from facegpt.pipeline import ChatAnswer
from facegpt.pipeline.faces import ImaginedFace
from facegpt.pipeline.requests import conversation_request
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.photo_view import photo_from_crop
from facegpt.rendering.pictures import overlay, render_head
from facegpt.web.answers import OUR_FAULT, STATUS, log_failure
from facegpt.web.batching import Job
from facegpt.web.engine import Engine, Question
from facegpt.web.errors import TooLateError, UnreadableRequestError
from facegpt.web.page.cards import card
from facegpt.web.page.photos import PhotoMemory, around_face, data_uri
from facegpt.web.page.talk import MOST_TURNS, ShownFace, Talk

MOST_PHOTOS = 4
"""Of one question."""

_MOST_SHOWN = 2
"""Photos that the model looks at for one question: the last ones."""
_MOST_TOKENS = 200
_LOOK_EVERY_S = 0.1
_FACE_IN_TEXT = re.compile(r"\[face \d+\]")
_ORIGIN_CHARACTERS = 80


@dataclass(frozen=True, eq=False)
class Listener:
    """What a conversation needs of the server."""

    engine: Engine
    memory: PhotoMemory
    seconds: float
    """How long an answer may take."""


async def awaited(job: Job, seconds: float) -> Any:
    """The result of a job; if nobody waits for it any more it is cancelled.

    Raises:
        TooLateError: It took longer than that.
    """
    try:
        return await asyncio.wait_for(asyncio.wrap_future(job.result), seconds)
    except TimeoutError:
        raise TooLateError(f"this took longer than {seconds:g} s; try again later") from None
    finally:
        job.cancel()


def complaint(error: Exception) -> str | None:
    """What a person is told of an error, or None if it is ours."""
    return _sentence(str(error) or "it was stopped") if isinstance(error, tuple(STATUS)) else None


def answer_to(error: Exception) -> str:
    """What a person is told of any error; one that is ours is logged, without what was said."""
    told = complaint(error)
    if told is None:
        log_failure(error)
    return told or _sentence(OUR_FAULT)


def _sentence(said: str) -> str:
    return f"{said[0].upper()}{said[1:]}."


async def turn(
    listener: Listener, talk: Talk, text: str, files: Sequence[bytes], *, keep_photos: bool
) -> AsyncGenerator[None, None]:
    """Take one turn; after every change of the conversation there is something to show.

    Args:
        files: Photos, as they were uploaded.
        keep_photos: Keep them with their faces until these expire.
    """
    text = text.strip()
    if not text and not files:
        return
    if len(talk.questions) >= MOST_TURNS:
        _say(talk, f"After {MOST_TURNS} questions please begin a new conversation.")
        yield
        return
    try:
        keys = await _take_photos(listener, talk, files)
        _show_question(listener, talk, text, keys)
        yield
        for key in keys:
            async with aclosing(_read_photo(listener, talk, key, keep_photos)) as steps:
                async for _ in steps:
                    yield
        if text and (talk.waiting_photos or not keys):
            async with aclosing(_answer(listener, talk, text)) as steps:
                async for _ in steps:
                    yield
    except Exception as error:
        said = complaint(error)
        if said is None:
            raise
        _say(talk, said)
        yield


async def _take_photos(listener: Listener, talk: Talk, files: Sequence[bytes]) -> list[str]:
    if len(files) > MOST_PHOTOS:
        raise UnreadableRequestError(
            f"one question may have {MOST_PHOTOS} photos, got {len(files)}; send fewer"
        )
    return [await asyncio.to_thread(_held, listener.memory, file) for file in files]


def _held(memory: PhotoMemory, file: bytes) -> str:
    return memory.hold(load_image(file), file)


def _show_question(listener: Listener, talk: Talk, text: str, keys: Sequence[str]) -> None:
    for key in keys:
        held = listener.memory.find(key)
        if held is not None:
            picture = data_uri(held.photo.rgb)
            shown = f'<img class="asked" src="{picture}" alt="The photo that you sent">'
            talk.shown.append({"role": "user", "content": gr.HTML(shown)})
    if text:
        talk.shown.append({"role": "user", "content": text})


async def _read_photo(
    listener: Listener, talk: Talk, key: str, keep_photos: bool
) -> AsyncGenerator[None, None]:
    """A card for every face of a photo; the next question is about it."""
    held = listener.memory.find(key)
    if held is None:
        return
    _say(talk, "Reading the photo …", is_status=True)
    yield
    job = listener.engine.read_photo(held.photo, refine=False)
    found: list[FaceReconstruction] = await awaited(job, listener.seconds)
    _drop_status(talk)
    if not found:
        _say(talk, "I see no face in this photo. Try one in which the face is larger.")
        yield
        return
    talk.waiting_photos.append(key)
    if len(found) > 1:
        _say(talk, f"I see {len(found)} faces, the largest first.")
    file = held.file if keep_photos else None
    for place, face in enumerate(found):
        await show_face(listener, talk, face, "from your photo", key, place, file)
    yield


async def show_face(
    listener: Listener,
    talk: Talk,
    face: FaceReconstruction,
    origin: str,
    photo_key: str | None = None,
    place: int = 0,
    photo: bytes | None = None,
    questions: tuple[str, ...] = (),
) -> ShownFace:
    """Keep a face and put its card into the conversation.

    Args:
        photo: The file of its photo, if it shall be kept.
    """
    kept = await asyncio.to_thread(listener.engine.keep, face, talk.session, photo)
    held = listener.memory.find(photo_key)
    over = ""
    if held is not None:
        over = await asyncio.to_thread(_overlay, listener.engine, held.photo, face)
    words = await asyncio.to_thread(words_for, face, listener.engine.facegpt.model)
    shown = ShownFace(
        kept.id, talk.next_name, origin, kept.record, words, photo_key, place, over, questions
    )
    add_card(talk, shown)
    return shown


def words_for(face: FaceReconstruction, model: MorphableModel) -> str:
    """What is measured on a face in a sentence or two; the same face in the same words."""
    [reading] = read_faces(face.parameters, model)
    pen = Pen(random.Random(0), VOICES["they"])
    return brief_description(reading, facts_of(reading), pen)


def add_card(talk: Talk, face: ShownFace) -> None:
    """Put a face that is kept into the conversation."""
    talk.faces.append(face)
    talk.shown.append({"role": "assistant", "content": gr.HTML(card(face))})


async def _answer(listener: Listener, talk: Talk, text: str) -> AsyncGenerator[None, None]:
    keys, talk.waiting_photos = talk.waiting_photos[-_MOST_SHOWN:], []
    meant = None if keys else talk.meant_by(text)
    if meant is not None:
        keys = [await _picture_of(listener, meant)]
    pictures: list[dict[str, Any]] = [{"type": "image", "image": key} for key in keys]
    said = text if pictures or talk.photo_keys else conversation_request(text)
    asked = {"role": "user", "content": [*pictures, {"type": "text", "text": said}]}
    talk.questions += [*("/image photo.png" for _ in pictures), said]
    messages = [_with_photos(listener, message) for message in (*talk.messages, asked)]
    pieces: list[str] = []
    job = listener.engine.ask(Question(messages, _MOST_TOKENS, 0.0, 0, pieces.append))
    try:
        _say(talk, "…", is_status=True)
        yield
        waiting = asyncio.ensure_future(awaited(job, listener.seconds))
        told = 0
        while not waiting.done():
            await asyncio.wait([waiting], timeout=_LOOK_EVERY_S)
            if len(pieces) > told:
                told = len(pieces)
                _say(talk, _FACE_IN_TEXT.sub("(a face)", "".join(pieces)), is_status=True)
                yield
        answer: ChatAnswer = waiting.result()
    finally:
        job.cancel()
    talk.messages += [asked, answer.message]
    _drop_status(talk)
    about = meant or talk.face_of_photo(keys[-1] if keys else None)
    await _show_answer(listener, talk, answer, text, about)
    yield


async def _show_answer(
    listener: Listener, talk: Talk, answer: ChatAnswer, text: str, about: ShownFace | None
) -> None:
    """The words, and a card for every face that has none yet: those of photos have theirs since the
    photo was read."""
    first, names, new = len(talk.faces), [], []
    for face in answer.faces:
        if isinstance(face, ImaginedFace) or about is None:
            names.append(f"Face {first + len(new) + 1}")
            new.append(face)
        else:
            names.append(about.name)
    left = iter(names)
    said = _FACE_IN_TEXT.sub(lambda found: f"**{next(left, found[0])}**", answer.text)
    _say(talk, said or "I have nothing to say to that.")
    origin = f"answer to “{text[:_ORIGIN_CHARACTERS]}”"
    for face in new:
        await show_face(
            listener, talk, face.reconstruction, origin, questions=tuple(talk.questions)
        )


async def _picture_of(listener: Listener, face: ShownFace) -> str:
    """A key for a picture of the face that is meant: of its photo, or a portrait."""
    held = listener.memory.find(face.photo_key)
    if held is not None:
        rgb = around_face(held.photo, list(face.record["box_px"]))
    else:
        known = FaceReconstruction.from_record(face.record)
        model = listener.engine.facegpt.model
        rgb = await asyncio.to_thread(render_head, model, known.parameters, size=448)
    return listener.memory.hold(load_image(rgb), b"")


def _with_photos(listener: Listener, message: dict[str, Any]) -> dict[str, Any]:
    """A message with its photos themselves, as far as they are still at hand."""
    parts = []
    for part in message["content"]:
        if part["type"] != "image":
            parts.append(part)
        elif (held := listener.memory.find(part["image"])) is not None:
            parts.append({"type": "image", "image": held.photo.rgb})
    return {"role": message["role"], "content": parts}


def _overlay(engine: Engine, photo: Photo, face: FaceReconstruction) -> str:
    pixels = overlay(
        photo.rgb,
        engine.facegpt.model.restricted_to(),
        face.parameters,
        photo_from_crop(photo, face),
        is_grey=photo.is_grey,
    )
    return data_uri(around_face(replace(photo, rgb=pixels), face.box_px.tolist()))


def _say(talk: Talk, text: str, *, is_status: bool = False) -> None:
    _drop_status(talk)
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if is_status:
        message["metadata"] = {"id": "status"}
    talk.shown.append(message)


def _drop_status(talk: Talk) -> None:
    if talk.shown and talk.shown[-1].get("metadata", {}).get("id") == "status":
        talk.shown.pop()
