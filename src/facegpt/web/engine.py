"""The model, the queue before it, and the store behind it: what every route asks.

Two threads work: one asks the model, one renders and writes files, so that a GLB does not hold up a
face. Knows no HTTP.
"""

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facegpt.perception.images import Photo, load_image
from facegpt.pipeline import ChatAnswer, FaceGPT, ImaginedFace
from facegpt.pipeline.changing import Change, changed_face
from facegpt.reconstruction import FaceReconstruction
from facegpt.rendering.photo_view import photo_view
from facegpt.rendering.pictures import render_head
from facegpt.rendering.restage import Staging, staged
from facegpt.rendering.results import save_reconstruction
from facegpt.rendering.texture import bake_texture, recoloured
from facegpt.web.batching import Batcher, Job
from facegpt.web.errors import GoneError, UnreadableRequestError
from facegpt.web.settings import ServeSettings
from facegpt.web.store import FaceStore, KeptFace
from facegpt.web.surfaces import surface_bytes

FILES = {
    "glb": ("glb", "head.glb", "model/gltf-binary"),
    "obj": ("obj", "head.obj", "model/obj"),
    "ply": ("ply", "head.ply", "application/octet-stream"),
    "png": ("portrait", "portrait.png", "image/png"),
    "zip": ("obj", "head.zip", "application/zip"),
}
"""Ending of an address -> format of the writer, name of the file, media type."""

_MOST_PICTURES_WAITING = 32


@dataclass(frozen=True)
class Wish:
    """A text that shall become faces."""

    text: str
    samples: int = 1
    seed: int | None = None
    reason: bool = False


@dataclass(frozen=True, eq=False)
class Question:
    """A conversation that waits for its next turn."""

    messages: Sequence[Mapping[str, Any]]
    most_tokens: int
    temperature: float
    seed: int
    tell: Callable[[str], None] | None = None
    """Hears the answer as it comes."""


class Engine:
    """Everything that is asked for, as jobs."""

    def __init__(
        self,
        facegpt: FaceGPT,
        store: FaceStore,
        settings: ServeSettings,
        heard: Callable[[str, int, float], None] | None = None,
    ) -> None:
        """
        Args:
            heard: Is told kind, number and seconds of whatever was done in one go.
        """
        self.facegpt = facegpt
        self.store = store
        self.model_queue = Batcher(
            {"photos": self._photos, "wishes": self._wishes, "question": self._questions},
            most_waiting=settings.most_waiting,
            most_at_once=settings.most_at_once,
            heard=heard,
        )
        self.picture_queue = Batcher(
            {
                "file": self._each(self._file),
                "view": self._each(self._view),
                "change": self._each(self._change),
            },
            most_waiting=_MOST_PICTURES_WAITING,
            most_at_once=1,
            patience_s=0.0,
            heard=heard,
        )
        # A slider must not wait for the textures of others.
        self.slider_queue = Batcher(
            {"surface": self._each(self._surface)},
            most_waiting=_MOST_PICTURES_WAITING,
            most_at_once=1,
            patience_s=0.0,
            heard=heard,
        )

    def close(self) -> None:
        """Finish what has begun; every face that was made is kept."""
        self.model_queue.close()
        self.picture_queue.close()
        self.slider_queue.close()
        self.store.close()

    def read_photo(self, photo: Photo, *, refine: bool) -> Job:
        """A job whose result is the faces of a photo, largest first.

        Raises:
            BusyError, ClosedError: It is not taken.
        """
        return self.model_queue.submit("photos", photo, alike=refine)

    def wish(self, wish: Wish) -> Job:
        """A job whose result is the `ImaginedFace`s of a text; errors as `read_photo`."""
        return self.model_queue.submit("wishes", wish, (wish.samples, wish.seed, wish.reason))

    def ask(self, question: Question) -> Job:
        """A job whose result is a `ChatAnswer`; errors as `read_photo`."""
        return self.model_queue.submit("question", question, alike=object())

    def write_file(self, face_id: str, ending: str) -> Job:
        """A job whose result is the path of a file of a kept face; errors as `read_photo`."""
        return self.picture_queue.submit("file", (face_id, ending))

    def picture(self, face: FaceReconstruction, staging: Staging) -> Job:
        """A job whose result is a PNG of a face; errors as `read_photo`."""
        return self.picture_queue.submit("view", (face, staging))

    def change(self, face_id: str, change: Change, session: str) -> Job:
        """A job whose result is the `KeptFace` that a kept face becomes; errors as `read_photo`."""
        return self.picture_queue.submit("change", (face_id, change, session))

    def surface(self, face: FaceReconstruction, change: Change) -> Job:
        """A job whose result is `surface_bytes`; errors as `read_photo`."""
        return self.slider_queue.submit("surface", (face, change))

    def face(self, face_id: str) -> FaceReconstruction:
        """A kept face.

        Raises:
            UnknownFaceError: There is none, or no longer.
        """
        return FaceReconstruction.from_record(self.store.face(face_id).record)

    def keep(self, face: FaceReconstruction, session: str, photo: bytes | None = None) -> KeptFace:
        """Put a face into the store."""
        return self.store.keep(face.to_record(), session, photo)

    def _photos(self, jobs: Sequence[Job]) -> list[list[FaceReconstruction]]:
        facegpt = self.facegpt
        reader = facegpt.refining_reader if jobs[0].alike else facegpt.reader
        return reader.reconstruct_photos([job.payload for job in jobs])

    def _wishes(self, jobs: Sequence[Job]) -> list[list[ImaginedFace]]:
        first: Wish = jobs[0].payload
        return self.facegpt.imagine(
            [job.payload.text for job in jobs], first.samples, first.seed, first.reason
        )

    def _questions(self, jobs: Sequence[Job]) -> list[ChatAnswer]:
        return [self._question(job) for job in jobs]

    def _question(self, job: Job) -> ChatAnswer:
        question: Question = job.payload

        def hear(piece: str) -> None:
            if job.is_cancelled:
                raise GoneError("nobody waits any more")
            if question.tell is not None:
                question.tell(piece)

        return self.facegpt.chat(
            question.messages,
            max_new_tokens=question.most_tokens,
            temperature=question.temperature,
            seed=question.seed,
            stream=hear,
        )

    @staticmethod
    def _each(work: Callable[[Any], Any]) -> Callable[[Sequence[Job]], list[Any]]:
        return lambda jobs: [work(job.payload) for job in jobs]

    def _file(self, asked: tuple[str, str]) -> Path:
        face_id, ending = asked
        form, name, _ = FILES[ending]
        path = self.store.files(face_id) / ending / name
        if path.is_file():
            return path
        face = self.face(face_id)
        given = self.store.photo(face_id)
        photo = None if given is None else load_image(given)
        texture = self.store.texture(face_id)
        if photo is not None and ending == "png":
            form, name = "overlay", "overlay.png"
        save_reconstruction(face, self.facegpt.model, photo, path.parent, [form], texture)
        if ending == "zip":
            _pack(path)
        elif path.name != name:
            (path.parent / name).replace(path)
        self.store.delete_files_of_nobody(face_id)
        return path

    def _change(self, asked: tuple[str, Change, str]) -> KeptFace:
        face_id, change, session = asked
        face, model = self.face(face_id), self.facegpt.model
        with _told():
            new = changed_face(face, model, change)
        texture = self._texture(face_id, face)
        if texture is not None:
            texture = recoloured(texture, model, face.parameters, new.parameters)
        return self.store.keep(new.to_record(), session, texture=texture)

    def _texture(self, face_id: str, face: FaceReconstruction) -> np.ndarray | None:
        """Of the photo, if it was kept."""
        given = self.store.photo(face_id)
        if given is None:
            return self.store.texture(face_id)
        view = photo_view(load_image(given), face)
        return bake_texture(self.facegpt.model, face.parameters, view)

    def _surface(self, asked: tuple[FaceReconstruction, Change]) -> bytes:
        face, change = asked
        with _told():
            return surface_bytes(self.facegpt.model, face, change)

    def _view(self, asked: tuple[FaceReconstruction, Staging]) -> bytes:
        face, staging = asked
        model = self.facegpt.model
        with _told("the record cannot be drawn: "):
            theta = staged(model, face.parameters, face.arkit, staging)
            pixels = render_head(model, theta, size=staging.size)
        sink = io.BytesIO()
        Image.fromarray(pixels).save(sink, "PNG")
        return sink.getvalue()


@contextmanager
def _told(what: str = "") -> Iterator[None]:
    """A value that the model refuses is told to whoever sent it."""
    try:
        yield
    except ValueError as error:
        raise UnreadableRequestError(f"{what}{error}") from error


def _pack(archive: Path) -> None:
    """OBJ, material and texture beside an archive go into it."""
    partial = archive.with_suffix(".partial")
    members = [path for path in sorted(archive.parent.iterdir()) if path != partial]
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in members:
            packed.write(path, path.name)
    partial.replace(archive)
    for path in members:
        path.unlink()
