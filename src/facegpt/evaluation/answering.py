"""What a method must be able to do to take part: answer photos, answer texts, say why it did not.

Knows theta and the methods themselves, no names of methods and no benchmark.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from facegpt.baselines.llava_key import LlavaKey
from facegpt.fitting.photos import PhotoReconstructor
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.images import Photo
from facegpt.pipeline import ImaginedFace

NO_FACE = "the method made no face"

Outcome = FaceParameters | str
"""One face, a batch of one, or why there is none."""


@runtime_checkable
class NamedReconstructor(PhotoReconstructor, Protocol):
    """A method for photos that says its name."""

    @property
    def name(self) -> str:
        """What records say."""
        ...


@runtime_checkable
class ExplainsPhotos(Protocol):
    """A method that knows why a photo got no face."""

    def outcomes_of_photos(self, photos: Sequence[Photo]) -> list[Outcome]:
        """The largest face of every photo, or why there is none."""
        ...


@runtime_checkable
class TextMethod(Protocol):
    """A method that makes faces from texts alone."""

    @property
    def model(self) -> MorphableModel:
        """What its theta means."""
        ...

    def faces_of_texts(self, texts: Sequence[str]) -> list[Outcome]:
        """The likeliest face of every text, in the same order, or why there is none."""
        ...


@dataclass(frozen=True, eq=False)
class Imagination:
    """What imagines faces, as a method for texts: the first face of each answer counts."""

    model: MorphableModel
    imagine: Callable[[list[str]], list[list[ImaginedFace]]]
    """Faces of every text; an empty list where it makes none."""

    def faces_of_texts(self, texts: Sequence[str]) -> list[Outcome]:
        """The first face of every text."""
        return [faces[0].theta if faces else NO_FACE for faces in self.imagine(list(texts))]


@dataclass(frozen=True, eq=False)
class OneFaceForAllTexts:
    """The same face for every text: a floor."""

    model: MorphableModel
    answer: FaceParameters = field(default_factory=lambda: FaceParameters.zeros(1))
    """A batch of one; by default the mean face of the model."""

    def faces_of_texts(self, texts: Sequence[str]) -> list[Outcome]:
        """The face, so many times."""
        return [self.answer for _ in texts]


@dataclass(frozen=True, eq=False)
class ToldPoints:
    """LLaVA-Key as a method for texts."""

    key: LlavaKey

    @property
    def model(self) -> MorphableModel:
        """What its theta means."""
        return self.key.model

    def faces_of_texts(self, texts: Sequence[str]) -> list[Outcome]:
        """The face fitted to the points of every text, or what is wrong with them."""
        return [attempt.outcome for attempt in self.key.attempt_texts(texts)]


def photo_outcomes(method: NamedReconstructor, photos: Sequence[Photo]) -> list[Outcome]:
    """The largest face of every photo, or why there is none."""
    if isinstance(method, ExplainsPhotos):
        return method.outcomes_of_photos(photos)
    found = method.reconstruct_photos(photos)
    return [faces[0].parameters if faces else NO_FACE for faces in found]
