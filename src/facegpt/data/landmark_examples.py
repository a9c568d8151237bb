"""Training examples of LLaVA-Key (A.2): the 68 points of a face are asked for and told as text.

No answer holds `<FACE>`, so L_txt alone judges them (eq. 4). Knows no tokenizer and no network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from facegpt.data.examples import Augment, Example, conversation, draw, target_of
from facegpt.data.landmark_text import IMAGE_REQUEST, text_request, write_landmarks
from facegpt.data.table import FaceTable


@dataclass(frozen=True, eq=False)
class ImageToLandmarks:
    """A photo is shown, its points are asked for."""

    faces: FaceTable
    rows: Sequence[int]
    augment: Augment | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def example(self, row: int, generator: torch.Generator) -> Example:
        """Picture and points are changed together."""
        shown = target_of(self.faces[self.rows[row]], self.augment, generator)
        messages = conversation((), IMAGE_REQUEST, image=True)
        answer = write_landmarks(shown.landmarks68_px)
        return Example("image-points", messages, answer, shown.photo)


@dataclass(frozen=True, eq=False)
class TextToLandmarks:
    """A description is all that is given, the points of its photo are asked for."""

    faces: FaceTable
    rows: Sequence[int]
    """Faces with descriptions."""

    def __len__(self) -> int:
        return len(self.rows)

    def example(self, row: int, generator: torch.Generator) -> Example:
        """One of the descriptions of the face."""
        stored = self.faces.row(self.rows[row])
        description = stored.descriptions[draw(len(stored.descriptions), generator)]
        messages = conversation((), text_request(description))
        return Example("text-points", messages, write_landmarks(stored.landmarks68_px))
