"""The 68 points of a face as text and back: how LLaVA-Key (A.2) writes faces.

    jaw 1339 1450 1562 ...; right brow 2231 ...; left brow ...; ...; inner lip 3872 ...

A point is four digits: its column and its row in hundredths of the crop, from 00 to 99. The paper
names every point ("Jawline-0:(41, 88)"), which takes some 900 tokens of SmolLM2 a face; here the
nine parts are named, which takes 360. A fixed number of digits shows half a number for what it is,
and a part that is short of points does not shift those of the next. The cells are 2.24 px wide, so
writing costs 0.86 px a point on average.

What a model writes is read as it comes; what cannot be read is counted, never guessed. Knows no
model and no photo.
"""

import re
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.data.schema import LANDMARK_COUNT
from facegpt.morphable.framing import CROP_SIZE

PARTS = {
    "jaw": 17,
    "right brow": 5,
    "left brow": 5,
    "bridge": 4,
    "nostrils": 5,
    "right eye": 6,
    "left eye": 6,
    "outer lip": 12,
    "inner lip": 8,
}
"""Parts of a face in the order of the iBUG points, and their points; right is the person's own."""

CELLS = 100
"""Columns and rows of the crop that a point is told apart by."""

FEWEST_POINTS = 34
"""Half of the points: with fewer the face would be the prior's, not the model's."""

SMALLEST_FACE_PX = 30.0
"""Points that all lie closer together are no face: in an aligned crop the eyes alone are some 63 px
apart."""

IMAGE_REQUEST = "Please estimate the 68 facial landmark coordinates."
"""Asked beside a photo, after the template of A.2."""

_TEXT_REQUEST = (
    "There is a person with the following description: {description} Please estimate the 68 facial "
    "landmark coordinates."
)
_CELL_PX = CROP_SIZE / CELLS
_WORD = re.compile(rf"\b(?P<part>{'|'.join(PARTS)})\b|(?P<entry>[^\s;,]*\d[^\s;,]*)")
_POINT = re.compile(r"[0-9]{4}")


class LandmarkTextError(ValueError):
    """These points cannot be written."""


@dataclass(frozen=True, eq=False)
class ReadLandmarks:
    """What could be read of a text."""

    landmarks68_px: Float[Tensor, "68 2"]
    """Centres of the cells, in pixels of the 224 crop; NaN where a point is missing."""
    malformed: int = 0
    """Entries with digits that are no point; each stands for one of its part, which is missing."""
    surplus: int = 0
    """Entries for which there is no place: before any part, beyond the last point of a part, or in
    a part that was written before."""

    @property
    def count(self) -> int:
        """Points that were read."""
        return int(self.landmarks68_px.isfinite().all(dim=1).sum())

    @property
    def problem(self) -> str:
        """Why no face can be fitted to these points; empty if one can."""
        if self.count < FEWEST_POINTS:
            return (
                f"{self.count} of {LANDMARK_COUNT} points could be read, {FEWEST_POINTS} are needed"
            )
        known = self.landmarks68_px[self.landmarks68_px.isfinite().all(dim=1)]
        width, height = (known.amax(dim=0) - known.amin(dim=0)).tolist()
        if min(width, height) < SMALLEST_FACE_PX:
            return (
                f"the points lie within {width:.0f} x {height:.0f} px, a face has at least "
                f"{SMALLEST_FACE_PX:.0f} x {SMALLEST_FACE_PX:.0f}"
            )
        return ""


def text_request(description: str) -> str:
    """The request for the points of a person who is only described (A.2)."""
    return _TEXT_REQUEST.format(description=description)


def write_landmarks(landmarks68_px: Float[Tensor, "68 2"]) -> str:
    """The points as text; those outside the crop are written at its edge.

    Args:
        landmarks68_px: In pixels of the 224 crop, whole numbers at pixel centres.

    Raises:
        LandmarkTextError: A point is not finite.
    """
    if not landmarks68_px.isfinite().all():
        missing = (~landmarks68_px.isfinite().all(dim=1)).nonzero().flatten().tolist()
        raise LandmarkTextError(f"the points {missing} are not finite and cannot be written")
    cells = ((landmarks68_px + 0.5) / _CELL_PX).floor().long().clamp(0, CELLS - 1)
    entries = iter(f"{column:02d}{row:02d}" for column, row in cells.tolist())
    return "; ".join(
        " ".join([part, *(next(entries) for _ in range(count))]) for part, count in PARTS.items()
    )


def read_landmarks(text: str) -> ReadLandmarks:
    """The points of a text that a model wrote, whatever else stands in it.

    Words are passed over. Of a part that is written twice the first time with points counts.
    """
    places = _Places()
    for word in _WORD.finditer(text.lower()):
        if word["part"]:
            places.turn_to(word["part"])
        else:
            places.put(word["entry"])
    return ReadLandmarks(places.points, places.malformed, places.surplus)


class _Places:
    """The 68 places, filled part by part."""

    def __init__(self) -> None:
        self.points = torch.full((LANDMARK_COUNT, 2), torch.nan)
        self.malformed = self.surplus = 0
        self._left: dict[str, list[int]] = {}
        first = 0
        for part, count in PARTS.items():
            self._left[part] = list(range(first, first + count))
            first += count
        self._open: list[int] = []

    def turn_to(self, part: str) -> None:
        """What comes now belongs to this part, if nothing of it has come yet."""
        if len(self._left[part]) < PARTS[part]:
            self._open = []
        else:
            self._open = self._left[part]

    def put(self, entry: str) -> None:
        """The next point of the part."""
        if not self._open:
            self.surplus += 1
            return
        place = self._open.pop(0)
        if _POINT.fullmatch(entry.rstrip(".:)")):
            cell = torch.tensor([int(entry[:2]), int(entry[2:4])])
            self.points[place] = (cell + 0.5) * _CELL_PX - 0.5
        else:
            self.malformed += 1
