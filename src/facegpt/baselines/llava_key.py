"""LLaVA-Key (A.2): the language model writes the 68 points of a face, a morphable model is fitted.

To a photo it is fitted by all of L_face (eq. 3), with the written points in place of detected ones;
to a text by L_LM and L_reg alone. A face whose points cannot be read has failed and gets no theta:
`attempt_photos` and `attempt_texts` say why, `reconstruct` and `imagine` leave it out. Detector and
skin mask are those of every method; the points that the detector found are never fitted to, they
only measure the result (eq. 9).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import overload

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.baselines.one_pass import OnePass, PhotoMethod
from facegpt.data.landmark_text import (
    IMAGE_REQUEST,
    ReadLandmarks,
    read_landmarks,
    text_request,
    write_landmarks,
)
from facegpt.data.schema import LANDMARK_COUNT
from facegpt.fitting.found import FoundFace, find_faces_of, split_by_photo
from facegpt.fitting.synthesis import FaceBatch, FitSettings, fit_faces
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.registry import load_morphable_model
from facegpt.perception.detection import DlibDetector
from facegpt.perception.identity import DlibIdentity, IdentityEncoder
from facegpt.perception.images import Photo
from facegpt.perception.landmarks import LandmarkDetector
from facegpt.pipeline.faces import ImaginedFace, imagined_faces
from facegpt.pipeline.network import Conversation, Network, Speaking
from facegpt.pipeline.requests import checked_text, user_turn
from facegpt.reconstruction import FaceReconstruction

_FACES_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class KeyAttempt:
    """What became of one face."""

    said: str
    """What the model wrote."""
    points: ReadLandmarks
    reconstruction: FaceReconstruction | None
    """None if too little could be read: `points.problem` says what is wrong."""

    @property
    def outcome(self) -> FaceParameters | str:
        """Theta, or what is wrong with the points."""
        return self.reconstruction.parameters if self.reconstruction else self.points.problem


@dataclass(frozen=True, eq=False)
class LlavaKey(PhotoMethod):
    """Writes points and fits to them (`FaceReconstructor`, `PhotoReconstructor`, and `imagine`)."""

    network: Network
    model: MorphableModel
    detector: LandmarkDetector
    encoder: IdentityEncoder | None = None
    """Identity network of L_perc; without one the term is left out."""
    settings: FitSettings = field(default_factory=FitSettings)
    """Of the fit; for texts pixels and identity do not count."""
    licences: Sequence[str] = ("smollm2", "nano", "nano-tower")
    """Names of the assets that shape what the network writes."""
    name: str = "llava-key"
    """What `FaceReconstruction.method` says."""

    @classmethod
    def load(cls, folder: Path, *, detector: LandmarkDetector | None = None) -> "LlavaKey":
        """The baseline of a folder that `facegpt train llava-key` wrote: `best` or `last`.

        Args:
            detector: Finds faces in photos; dlib's by default.

        Raises:
            NanoWeightsError: There are no weights, they are damaged or of another base model.
            AssetMissingError: The base language model is not installed.
        """
        network = Network.load(folder)
        model = load_morphable_model(network.model.config.morphable_model)
        return cls(network, model, detector or DlibDetector(), DlibIdentity())

    def reconstruct_photos(self, photos: Sequence[Photo]) -> list[list[FaceReconstruction]]:
        """Every face of every photo whose points could be read, largest first."""
        return [_successes(attempts) for attempts in self.attempt_photos(photos)]

    def attempt_photos(self, photos: Sequence[Photo]) -> list[list[KeyAttempt]]:
        """Every face of every photo, largest first, those that failed too."""
        by_photo = find_faces_of(photos, self.detector)
        found = [face for faces in by_photo for face in faces]
        attempts: list[KeyAttempt] = []
        for first in range(0, len(found), _FACES_AT_ONCE):
            attempts += self._attempt_faces(found[first : first + _FACES_AT_ONCE])
        return split_by_photo(attempts, [len(faces) for faces in by_photo])

    def outcomes_of_photos(self, photos: Sequence[Photo]) -> list[FaceParameters | str]:
        """Theta of the largest face of every photo, or why there is none."""
        return [
            attempts[0].outcome if attempts else "there is no face in the photo"
            for attempts in self.attempt_photos(photos)
        ]

    @overload
    def imagine(  # pyright: ignore[reportOverlappingOverload]  (a text is a sequence of texts, too)
        self, texts: str
    ) -> list[ImaginedFace]: ...

    @overload
    def imagine(self, texts: Sequence[str]) -> list[list[ImaginedFace]]: ...

    def imagine(self, texts: str | Sequence[str]) -> list[ImaginedFace] | list[list[ImaginedFace]]:
        """The face of a description, or of each text of a list, as `FaceGPT.imagine` gives them:
        one per text, none if its points could not be read. Colours are those of the mean face.

        Raises:
            RequestError: A text is empty or too long.
        """
        many = [texts] if isinstance(texts, str) else list(texts)
        made = [
            [ImaginedFace(face, self.model) for face in _successes([attempt])]
            for attempt in self.attempt_texts(many)
        ]
        return made[0] if isinstance(texts, str) else made

    def attempt_texts(self, texts: Sequence[str]) -> list[KeyAttempt]:
        """The face of every text, those that failed too.

        Raises:
            RequestError: A text is empty or too long.
        """
        tidy = [checked_text(text) for text in texts]
        attempts: list[KeyAttempt] = []
        for first in range(0, len(tidy), _FACES_AT_ONCE):
            attempts += self._attempt_texts(tidy[first : first + _FACES_AT_ONCE])
        return attempts

    def _attempt_faces(self, found: Sequence[FoundFace]) -> list[KeyAttempt]:
        turn = user_turn(IMAGE_REQUEST, image=True)
        asked = [Conversation([turn], [face.aligned.crop]) for face in found]

        def fit(chosen: list[int], points: Tensor) -> list[FaceReconstruction]:
            faces = [found[i] for i in chosen]
            batch = replace(FaceBatch.of([f.aligned for f in faces]), landmarks68_px=points)
            theta = fit_faces(self.renderer, batch, self.settings, encoder=self.encoder).parameters
            return self._one_pass.results(faces, theta)

        return self._attempts(asked, fit)

    def _attempt_texts(self, texts: Sequence[str]) -> list[KeyAttempt]:
        turns = [user_turn(text_request(self.network.plain(text))) for text in texts]

        def fit(chosen: list[int], points: Tensor) -> list[FaceReconstruction]:
            theta, sources = self._fit_points(points), [{"text": texts[i]} for i in chosen]
            named = {"method": self.name, "licences": self.licences}
            made = imagined_faces(theta, self.model, sources, **named)
            return [face.reconstruction for face in made]

        return self._attempts([Conversation([turn]) for turn in turns], fit)

    def _fit_points(self, points: Float[Tensor, "face 68 2"]) -> FaceParameters:
        """Theta by L_LM and L_reg alone: the picture is blank and no pixel of it counts."""
        count = len(points)
        blank = torch.zeros(count, 3, CROP_SIZE, CROP_SIZE)
        batch = FaceBatch(blank, blank[:, 0].bool(), points, torch.zeros(count, dtype=torch.bool))
        weights = replace(self.settings.weights, pixel=0.0, perceptual=0.0)
        return fit_faces(self.renderer, batch, replace(self.settings, weights=weights)).parameters

    def _attempts(
        self,
        asked: Sequence[Conversation],
        fit: Callable[[list[int], Tensor], list[FaceReconstruction]],
    ) -> list[KeyAttempt]:
        """Let the model write, read it, and fit where enough could be read."""
        speaking = Speaking(self._most_tokens, may_make_faces=False)
        said = [answer.text for answer in self.network.answer(asked, speaking)]
        read = [read_landmarks(text) for text in said]
        chosen = [i for i, points in enumerate(read) if not points.problem]
        fitted: dict[int, FaceReconstruction] = {}
        if chosen:
            points = torch.stack([read[i].landmarks68_px for i in chosen])
            fitted = dict(zip(chosen, fit(chosen, points), strict=True))
        return [KeyAttempt(said[i], read[i], fitted.get(i)) for i in range(len(asked))]

    @cached_property
    def _most_tokens(self) -> int:
        """A quarter more than 68 points take."""
        every = torch.arange(2.0 * LANDMARK_COUNT).view(LANDMARK_COUNT, 2)
        count = len(self.network.processor.tokenizer(write_landmarks(every)).input_ids)
        return count + count // 4

    @property
    def _one_pass(self) -> OnePass:
        licences = (*self.licences, *(self.encoder.licences if self.encoder else ()))
        return OnePass(self.name, self.model, self.detector, self.renderer, licences)


def _successes(attempts: Sequence[KeyAttempt]) -> list[FaceReconstruction]:
    return [a.reconstruction for a in attempts if a.reconstruction is not None]
