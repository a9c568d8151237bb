"""What the buttons of the face panel do: keep a changed face, fit it to its photo, forget all."""

import asyncio
from dataclasses import replace

from facegpt.pipeline.changing import Change
from facegpt.reconstruction import FaceReconstruction
from facegpt.web.errors import UnreadableRequestError
from facegpt.web.page.talk import ShownFace, Talk
from facegpt.web.page.talking import Listener, add_card, awaited, show_face, words_for
from facegpt.web.store import KeptFace


async def keep_changed(
    listener: Listener, talk: Talk, face: ShownFace, change: Change
) -> ShownFace:
    """The face that the sliders make, as a new one.

    Raises:
        UnreadableRequestError: No slider was moved, or they cannot be had together.
    """
    if not change.semantics and not change.arkit:
        raise UnreadableRequestError("move a slider first")
    job = listener.engine.change(face.id, change, talk.session)
    kept: KeptFace = await awaited(job, listener.seconds)
    known = FaceReconstruction.from_record(kept.record)
    new = replace(
        face,
        id=kept.id,
        name=talk.next_name,
        origin=f"{face.name}, changed",
        record=kept.record,
        words=await asyncio.to_thread(words_for, known, listener.engine.facegpt.model),
        photo_key=None,
        overlay="",
    )
    add_card(talk, new)
    return new


async def refine(listener: Listener, talk: Talk, face: ShownFace, *, keep_photo: bool) -> ShownFace:
    """The face fitted to its photo, as a new one.

    Raises:
        UnreadableRequestError: It has no photo, or that was forgotten.
    """
    held = listener.memory.find(face.photo_key)
    if held is None:
        raise UnreadableRequestError(
            "only a face of a photo can be fitted to it; send the photo again"
            if face.photo_key
            else f"{face.name} was made from words: there is no photo to fit it to"
        )
    job = listener.engine.read_photo(held.photo, refine=True)
    found: list[FaceReconstruction] = await awaited(job, listener.seconds)
    if face.place >= len(found):
        raise UnreadableRequestError("this time the face was not found; send the photo again")
    return await show_face(
        listener,
        talk,
        found[face.place],
        f"{face.name}, fitted to the photo",
        face.photo_key,
        face.place,
        held.file if keep_photo else None,
    )


async def forget(listener: Listener, talk: Talk) -> int:
    """Delete the faces of a conversation and its photos; how many faces there were."""
    listener.memory.forget(talk.photo_keys)
    return await asyncio.to_thread(listener.engine.store.delete_session, talk.session)
