"""Which sliders there are, and what they ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from facegpt.morphable.model import MorphableModel
from facegpt.morphable.semantics import MEASUREMENTS, available
from facegpt.pipeline.changing import Change
from facegpt.web.page.talk import ShownFace

MOST_DEVIATIONS = 3.0
"""Of a slider, to each side."""

_BY_MEANING = {
    "Face": ("face_width", "jaw_width", "jaw_squareness", "chin_length", "chin_projection",
             "cheekbone_prominence", "cheek_fullness", "forehead_height"),
    "Nose and mouth": ("nose_length", "nose_width", "nose_projection", "nose_tip", "mouth_width",
                       "lip_fullness", "philtrum_length"),
    "Eyes and brows": ("eye_size", "eye_spacing", "eye_tilt", "eye_depth", "brow_height",
                       "brow_arch"),
    "Skin": ("skin_lightness", "skin_undertone", "skin_redness", "cheek_redness", "lip_redness",
             "brow_darkness", "beard_shadow", "eye_lightness"),
}  # fmt: skip
_STILL = 0.005
"""Differences of a weight below this come from rounding, not from a hand."""


@dataclass(frozen=True)
class MeaningSlider:
    """A slider in standard deviations."""

    name: str
    label: str
    group: str


@dataclass(frozen=True)
class Controls:
    """The sliders of one morphable model."""

    model: MorphableModel

    @cached_property
    def meanings(self) -> list[MeaningSlider]:
        """By groups, in order."""
        there = set(available(self.model))
        return [
            MeaningSlider(name, _label(name), group)
            for group, names in _BY_MEANING.items()
            for name in names
            if name in there
        ]

    @property
    def arkit(self) -> Sequence[str]:
        """Blendshapes."""
        return self.model.arkit_names

    def weights_of(self, face: ShownFace | None) -> list[float]:
        """Where the ARKit sliders stand for a face."""
        weights: Mapping[str, float] = face.record["arkit"] if face else {}
        return [round(float(weights.get(name, 0.0)), 3) for name in self.arkit]

    def change(
        self, face: ShownFace, deviations: Sequence[float], weights: Sequence[float]
    ) -> Change:
        """What the sliders ask for; empty if none was moved.

        Raises:
            ValueError: A value is out of its range.
        """
        moved = zip(self.meanings, deviations, strict=True)
        before = self.weights_of(face)
        set_ = zip(self.arkit, before, weights, strict=True)
        return Change(
            {slider.name: float(value) for slider, value in moved if value},
            {name: float(now) for name, then, now in set_ if abs(now - then) > _STILL},
        )


def _label(name: str) -> str:
    measurement = MEASUREMENTS[name]
    return f"{measurement.subject}: {measurement.low} … {measurement.high}"
