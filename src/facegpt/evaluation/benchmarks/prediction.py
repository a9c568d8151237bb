"""Theta of every item by every method, asked once and kept.

Photos are shown with their reference landmarks in place of a detector, so that every method looks
at the same crop. What is kept depends on the method, its weights and the item alone, so other
tables and larger selections use it again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from facegpt import __version__
from facegpt.evaluation.answering import (
    NamedReconstructor,
    Outcome,
    TextMethod,
    photo_outcomes,
)
from facegpt.evaluation.benchmarks.photo_data import PhotoItem, TextItem
from facegpt.evaluation.benchmarks.store import ItemStore
from facegpt.evaluation.methods import (
    MethodError,
    MethodName,
    Workshop,
    photo_method,
    text_method,
)
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import PARAMETER_COUNT, FaceParameters
from facegpt.perception.images import ImageError, Photo, load_image
from facegpt.perception.landmarks import DetectedFace

AT_ONCE = 16
"""Items between two writings."""

Step = Callable[[str, int, int], None]
"""Is told what is being done, how much of it, and of how many."""

Item = TypeVar("Item", PhotoItem, TextItem)


class ReferenceDetector:
    """A detector that was told where the face of a photo is."""

    licences: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._faces: dict[Photo, DetectedFace] = {}

    def show(self, photo: Photo, item: PhotoItem) -> None:
        """Remember the face of a photo."""
        points = photo.from_original(item.landmarks68_px)
        box = np.concatenate([points.min(axis=0), points.max(axis=0)])
        self._faces[photo] = DetectedFace(box, 1.0, points)

    def forget(self) -> None:
        """Let go of all photos."""
        self._faces.clear()

    def detect(self, photo: Photo) -> list[DetectedFace]:
        """The face that was shown."""
        return [self._faces[photo]] if photo in self._faces else []


class Predictions:
    """Asks methods and keeps their theta in a folder."""

    def __init__(self, folder: Path, workshop: Workshop, step: Step) -> None:
        """The detector of the workshop must be a `ReferenceDetector`."""
        self.folder = folder
        self.workshop = workshop
        self.step = step

    def of_photos(self, name: MethodName, items: Sequence[PhotoItem]) -> ItemStore:
        """Theta of photos, or why there is none, by `PhotoItem.key`.

        Raises:
            ValueError, OSError: The method cannot be made.
        """
        store = ItemStore(self._file("photos", name), self.made_with(name))
        missing = _missing(items, store)
        if missing:
            method = photo_method(name, self.workshop)
            _check_model(name, method.model, self.workshop)
            for batch in self._batches(f"{name.label}: photos", missing):
                store.add(self._ask_photos(method, batch))
        return store

    def of_texts(self, name: MethodName, items: Sequence[TextItem]) -> ItemStore:
        """Theta of texts, by `TextItem.key`.

        Raises:
            ValueError, OSError: The method cannot be made.
        """
        store = ItemStore(self._file("texts", name), self.made_with(name))
        missing = _missing(items, store)
        if missing:
            method = text_method(name, self.workshop)
            _check_model(name, method.model, self.workshop)
            for batch in self._batches(f"{name.label}: texts", missing):
                store.add(_ask_texts(method, batch))
        return store

    def made_with(self, name: MethodName) -> dict[str, Any]:
        """What decides the answers of a method, beside the items."""
        return {
            "method": name.kind,
            "weights": name.fingerprint(),
            "morphable_model": self.workshop.morphable_model,
            "facegpt": __version__,
        }

    def _file(self, what: str, name: MethodName) -> Path:
        return self.folder / what / f"{name.label}.jsonl"

    def _batches(self, what: str, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        for first in range(0, len(items), AT_ONCE):
            self.step(what, first, len(items))
            yield items[first : first + AT_ONCE]
        self.step(what, len(items), len(items))

    def _ask_photos(
        self, method: NamedReconstructor, items: Sequence[PhotoItem]
    ) -> dict[str, dict[str, Any]]:
        detector = self.workshop.detector
        assert isinstance(detector, ReferenceDetector)
        answers: dict[str, dict[str, Any]] = {}
        photos: dict[str, Photo] = {}
        for item in items:
            try:
                photo = load_image(item.path)
            except ImageError as error:
                answers[item.key] = {"problem": str(error)}
                continue
            detector.show(photo, item)
            photos[item.key] = photo
        found = photo_outcomes(method, list(photos.values()))
        detector.forget()
        return answers | {key: _record(made) for key, made in zip(photos, found, strict=True)}


def theta_of(record: Mapping[str, Any]) -> FaceParameters | None:
    """A batch of one; None where there is no face."""
    numbers = record.get("theta")
    if not isinstance(numbers, list) or len(numbers) != PARAMETER_COUNT:
        return None
    return FaceParameters.from_vector(torch.tensor([numbers], dtype=torch.float32))


def _ask_texts(method: TextMethod, items: Sequence[TextItem]) -> dict[str, dict[str, Any]]:
    made = method.faces_of_texts([item.text for item in items])
    return {item.key: _record(face) for item, face in zip(items, made, strict=True)}


def _record(made: Outcome) -> dict[str, Any]:
    """Theta, of which nine digits bring a float32 back unchanged, or why there is none."""
    if isinstance(made, str):
        return {"problem": made}
    return {"theta": [float(f"{v:.9g}") for v in made.to_vector()[0].detach().float().tolist()]}


def _missing(items: Sequence[Item], store: ItemStore) -> list[Item]:
    return list({item.key: item for item in items if item.key not in store}.values())


def _check_model(name: MethodName, model: MorphableModel, workshop: Workshop) -> None:
    if model.name != workshop.model.name:
        raise MethodError(
            f"{name.label} makes faces of the model {model.name}, the others of "
            f"{workshop.model.name}; give --morphable-model {model.name} to compare them"
        )
