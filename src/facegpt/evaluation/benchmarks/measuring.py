"""The numbers of every item by every method, computed once and kept.

`OUT/theta/` holds what methods answered, `OUT/items/` what was measured of it, one JSONL file per
method; tables are made of the latter alone. Knows no table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from facegpt.evaluation.answering import NO_FACE
from facegpt.evaluation.benchmarks import photo_measures, talk, text_measures
from facegpt.evaluation.benchmarks.errors import BenchmarkError
from facegpt.evaluation.benchmarks.paper import Source
from facegpt.evaluation.benchmarks.photo_data import PhotoItem, PhotoSet, TextItem, evenly
from facegpt.evaluation.benchmarks.photo_measures import PhotoJudge, aligned
from facegpt.evaluation.benchmarks.prediction import Predictions, Step, theta_of
from facegpt.evaluation.benchmarks.store import ItemStore
from facegpt.evaluation.benchmarks.text_measures import TextJudge
from facegpt.evaluation.benchmarks.written_faces import WrittenFaces
from facegpt.evaluation.methods import MethodName, Workshop, talker
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import ImageError
from facegpt.pipeline import FaceGPT

TRUTH = MethodName("fit", "fit")
"""Whose theta of the photo is the pseudo ground truth of texts."""

_AT_ONCE = 8
"""Items between two writings: of texts each takes a second or two."""

_TRUTH_FAILED = "the photo of the text could not be fitted"


@dataclass(frozen=True)
class ItemResult:
    """What is known of one item."""

    name: str
    data: str
    """The set of photos, or the kind of texts."""
    group: str
    source: Source
    """What was asked for: a photo, a text or an answer."""
    values: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    """Why there are no values."""


class Measuring:
    """Asks, measures and keeps."""

    def __init__(
        self,
        output: Path,
        workshop: Workshop,
        step: Step,
        landmark_vertices: Int[np.ndarray, "68"] | None = None,
    ) -> None:
        """
        Args:
            output: Folder of the results.
            workshop: With a `ReferenceDetector`.
            landmark_vertices: Of a program that writes too few landmarks.
        """
        self.items_folder = output / "items"
        self.predictions = Predictions(output / "theta", workshop, step)
        self.step = step
        self.landmark_vertices = landmark_vertices
        self._photo_judge: PhotoJudge | None = None
        self._text_judge: TextJudge | None = None

    @property
    def model(self) -> MorphableModel:
        """What theta means."""
        return self.predictions.workshop.model

    def photos(self, name: MethodName, sets: Sequence[PhotoSet]) -> list[ItemResult]:
        """Every photo, set by set.

        Raises:
            ValueError, OSError: The method cannot be made.
        """
        items = [item for photos in sets for item in photos.items]
        made_with = self._made_with(name, photo_measures.VERSION)
        store = ItemStore(self._file("photos", name), made_with)
        missing = [item for item in items if item.key not in store]
        if missing and name.program:
            self._keep(store, missing, name, lambda part: self._written_photos(name, part))
        elif missing:
            asked = self.predictions.of_photos(name, missing)
            self._keep(store, missing, name, lambda part: self._photo_records(part, asked))
        return [
            _result(store[item.key], item.name, photos.name, item.group, "photos")
            for photos in sets
            for item in photos.items
        ]

    def texts(
        self, name: MethodName, items: Sequence[TextItem], source: Literal["implicit", "explicit"]
    ) -> list[ItemResult]:
        """Every text.

        Raises:
            ValueError, OSError: The method cannot be made.
            RegistrationUnavailableError: trimesh is not installed.
        """
        made_with = self._made_with(name, text_measures.VERSION)
        made_with["truth"] = self.predictions.made_with(TRUTH)
        store = ItemStore(self._file(source, name), made_with)
        missing = [item for item in items if item.key not in store]
        if missing:
            truth = self.predictions.of_photos(TRUTH, [item.photo for item in missing])
            if name.program:
                self._keep(
                    store, missing, name, lambda part: self._written_texts(name, part, truth)
                )
            else:
                asked = self.predictions.of_texts(name, missing)
                self._keep(
                    store, missing, name, lambda part: self._text_records(part, asked, truth)
                )
        data = f"{source} texts"
        return [
            _result(store[item.key], item.name, data, item.photo.group, source) for item in items
        ]

    def talk(
        self, name: MethodName, sets: Sequence[PhotoSet], prompts: Path | None
    ) -> list[ItemResult]:
        """Every question about photos that can be judged, and every prompt.

        Args:
            sets: Of each, some photos are asked about.
            prompts: File of held-out prompts; none are asked without it.

        Raises:
            MethodError: The method does not talk.
            ValueError, OSError: It cannot be made, or the prompts are damaged.
        """
        facegpt = talker(name, self.predictions.workshop)
        few = [PhotoSet(s.name, evenly(s.items, talk.MOST_PHOTOS)) for s in sets]
        asked: list[tuple[talk.TalkItem, bool | str | None]] = []
        for photos in few:
            fits = self.predictions.of_photos(TRUTH, photos.items)
            theta = [theta_of(fits.get(item.key)) for item in photos.items]
            asked += talk.photo_questions(photos, theta, self.model)
        shown = [item for photos in few for item in photos.items]
        if prompts is not None:
            asked += [(item, None) for item in talk.read_prompts(prompts, shown)]
        made_with = self._made_with(name, talk.VERSION)
        store = ItemStore(self._file("talk", name), made_with)
        missing = [item for item, _ in asked if item.key not in store]
        self._keep(store, missing, name, lambda part: _answers(facegpt(), part))
        return [
            ItemResult(
                item.name,
                item.data,
                item.group,
                "talk",
                talk.verdict(item, str(store[item.key]["answer"]), true),
            )
            for item, true in asked
        ]

    def _made_with(self, name: MethodName, version: int) -> dict[str, Any]:
        vertices = self.landmark_vertices
        given = vertices.tolist() if name.program and vertices is not None else []
        made_with = {**self.predictions.made_with(name), "measures": version}
        return {**made_with, "landmark_vertices": given} if name.program else made_with

    def _file(self, what: str, name: MethodName) -> Path:
        return self.items_folder / what / f"{name.label}.jsonl"

    def _keep(
        self,
        store: ItemStore,
        items: Sequence[Any],
        name: MethodName,
        measure: Any,
    ) -> None:
        for first in range(0, len(items), _AT_ONCE):
            self.step(f"{name.label}: measures", first, len(items))
            store.add(measure(items[first : first + _AT_ONCE]))
        self.step(f"{name.label}: measures", len(items), len(items))

    def _photo_records(
        self, items: Sequence[PhotoItem], asked: ItemStore
    ) -> dict[str, dict[str, Any]]:
        theta = {item.key: theta_of(asked[item.key]) for item in items}
        found = {
            item.key: {"problem": str(asked[item.key].get("problem", NO_FACE))}
            for item in items
            if theta[item.key] is None
        }
        good = [item for item in items if theta[item.key] is not None]
        if good:
            judge = self._photo_judge = self._photo_judge or PhotoJudge(self.model)
            values = judge.values(good, _cat([theta[item.key] for item in good]))
            found |= {i.key: {"values": v} for i, v in zip(good, values, strict=True)}
        return _named(items, found)

    def _text_records(
        self, items: Sequence[TextItem], asked: ItemStore, truth: ItemStore
    ) -> dict[str, dict[str, Any]]:
        pairs = {
            item.key: (theta_of(asked[item.key]), theta_of(truth[item.photo.key])) for item in items
        }
        found: dict[str, dict[str, Any]] = {
            item.key: {
                "problem": _TRUTH_FAILED
                if pairs[item.key][1] is None
                else str(asked[item.key].get("problem", NO_FACE))
            }
            for item in items
            if None in pairs[item.key]
        }
        good = [item for item in items if item.key not in found]
        if good:
            judge = self._text_judge = self._text_judge or TextJudge(self.model)
            made, true = (_cat([pairs[item.key][side] for item in good]) for side in (0, 1))
            values = judge.values(made, true)
            found |= {i.key: {"values": v} for i, v in zip(good, values, strict=True)}
        return _named(items, found)

    def _written_photos(
        self, name: MethodName, items: Sequence[PhotoItem]
    ) -> dict[str, dict[str, Any]]:
        written, found = self._written(name), {}
        for item in items:
            try:
                points = aligned(item).landmarks68_px.double().numpy()
                found[item.key] = {"values": written.photo_values(item.name, points)}
            except (BenchmarkError, ImageError) as error:
                found[item.key] = {"problem": str(error)}
        return _named(items, found)

    def _written_texts(
        self, name: MethodName, items: Sequence[TextItem], truth: ItemStore
    ) -> dict[str, dict[str, Any]]:
        written, found = self._written(name), {}
        for item in items:
            true = theta_of(truth[item.photo.key])
            if true is None:
                found[item.key] = {"problem": _TRUTH_FAILED}
                continue
            try:
                found[item.key] = {"values": written.text_values(item.name, self.model, true)}
            except BenchmarkError as error:
                found[item.key] = {"problem": str(error)}
        return _named(items, found)

    def _written(self, name: MethodName) -> WrittenFaces:
        assert name.folder is not None
        return WrittenFaces(name.program, name.folder, self.landmark_vertices)


def _answers(facegpt: FaceGPT, items: Sequence[talk.TalkItem]) -> dict[str, dict[str, Any]]:
    said = talk.ask(facegpt, items)
    return {
        item.key: {"name": item.name, "question": item.question, "answer": answer}
        for item, answer in zip(items, said, strict=True)
    }


def _cat(theta: Sequence[FaceParameters | None]) -> FaceParameters:
    return FaceParameters.cat([face for face in theta if face is not None])


def _named(
    items: Sequence[PhotoItem] | Sequence[TextItem], found: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Records that people can read: which item it was, and what was said."""
    said = {item.key: {"text": item.text} for item in items if isinstance(item, TextItem)}
    return {
        item.key: {"name": item.name, **said.get(item.key, {}), **found[item.key]} for item in items
    }


def _result(
    record: Mapping[str, Any], name: str, data: str, group: str, source: Source
) -> ItemResult:
    values = record.get("values", {})
    return ItemResult(name, data, group, source, values, str(record.get("problem", "")))
