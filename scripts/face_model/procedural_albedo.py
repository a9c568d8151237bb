"""The procedural albedo basis: skin colours from melanin and haemoglobin, painted regions, no
photo.

Random people are painted by an absorbance model (Beer-Lambert: colour = exp(-pigment)) and summed
up by principal components in sRGB. It knows what skin can look like, not how often; it looks like
a character of a game rather than like a photo.
"""

from dataclasses import dataclass

import numpy as np

from face_model.surface import Array, Surface, eye_angles_degrees, regions, smooth_modes

COMPONENTS = 80
_SAMPLES = 1500
_MODES = 40
_PUPIL_DEGREES, _IRIS_DEGREES = 9.1, 25.6

_MELANIN = np.array([0.50, 0.585, 0.64])
"""Absorbance of R, G, B per unit: the direction from light to dark skin in photos."""
_HAEMOGLOBIN = np.array([0.20, 0.78, 0.60])
_WARMTH = np.array([-0.45, 0.0, 0.80])
_SKIN_SRGB = (0.79, 0.62, 0.54)
"""The middle of the range of skin colours."""
_MELANIN_GROUPS = ((-0.45, 0.45), (0.25, 0.35), (1.25, 0.20))
"""Offset of melanin and share of three wide groups of people."""
_HAIR_SRGB = (0.17, 0.13, 0.11)
FIXED_SRGB = {
    "mouth": (0.42, 0.19, 0.19),
    "teeth": (0.80, 0.74, 0.65),
    "tongue": (0.70, 0.40, 0.40),
}
_IRIS_SRGB, _IRIS_BLUE = (0.30, 0.20, 0.14), (-0.03, 0.05, 0.10)
SCLERA_SRGB = (0.54, 0.50, 0.48)
_TRAITS = (
    *("melanin", "blood", "warmth", "rings", "stubble", "blush", "lip_blood", "lip_melanin"),
    *("brows", "sclera", "iris_light", "iris_blue", "hair"),
)


@dataclass(frozen=True)
class AlbedoStatistics:
    """A linear albedo model in sRGB."""

    mean: Array
    """(vertex, 3) in [0, 1]."""
    basis: Array
    """(component, vertex, 3) offsets per standard deviation."""


def linear_from_srgb(srgb: Array) -> Array:
    """IEC 61966-2-1."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: Array) -> Array:
    """IEC 61966-2-1."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


class Painter:
    """Paints people on one surface."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._mask = regions(surface)
        self._eye = eye_angles_degrees(surface)
        self._modes, wavelengths = smooth_modes(surface, _MODES)
        fall = 1 / (1 + (wavelengths[3] / wavelengths) ** 2)
        self._fall = fall / np.sqrt((fall**2).sum())

    def random_person(self, generator: np.random.Generator) -> Array:
        """(vertex, 3) sRGB colours of a random person."""
        trait = dict(zip(_TRAITS, generator.normal(size=len(_TRAITS)), strict=True))
        offsets, shares = zip(*_MELANIN_GROUPS, strict=True)
        trait["melanin"] = 0.35 * trait["melanin"] + generator.choice(offsets, p=shares)
        trait["stubble"] = abs(trait["stubble"]) * (generator.random() < 0.45)
        patches = (generator.normal(size=(3, _MODES)) * self._fall) @ self._modes
        return self.person(trait, patches)

    def person(self, trait: dict[str, float], patches: Array | None = None) -> Array:
        """(vertex, 3) sRGB colours of the person with the given traits (standard deviations).

        Args:
            patches: (3, vertex) uneven melanin, blood and warmth.
        """
        value = dict.fromkeys(_TRAITS, 0.0) | trait
        patches = np.zeros((3, len(self._eye))) if patches is None else patches
        absorbance = self._skin_absorbance(value, patches)
        hair = -np.log(linear_from_srgb(np.array(_HAIR_SRGB))) - 0.25 * value["hair"]
        strands = np.clip(0.62 + 0.2 * value["brows"], 0.1, 0.9) * self._mask["brows"]
        for cover in (strands, 0.88 * self._mask["hair"]):
            absorbance = absorbance + cover[:, None] * np.maximum(hair - absorbance, 0)
        colours = srgb_from_linear(np.exp(-absorbance))
        self._paint_inner_parts(colours, value)
        return colours

    def _skin_absorbance(self, value: dict[str, float], patches: Array) -> Array:
        mask = self._mask
        melanin = 0.75 * value["melanin"] + 0.08 * patches[0]
        melanin = melanin + 0.10 * (1 + 0.5 * value["rings"]) * mask["under_eyes"]
        melanin = melanin + (0.04 + 0.22 * value["stubble"]) * mask["beard"]
        melanin = melanin + 0.75 * mask["nostrils"] + 0.05 * mask["lids"]
        melanin = melanin + (0.16 + 0.16 * value["lip_melanin"]) * mask["lips"]
        blood = 0.12 * value["blood"] + 0.07 * patches[1]
        blood = blood + 0.10 * (1 + value["blush"]) * (mask["cheeks"] + 0.8 * mask["nose"])
        blood = blood + 0.10 * mask["lids"] + 0.12 * mask["ears"]
        blood = blood + (0.50 + 0.17 * value["lip_blood"]) * mask["lips"]
        warmth = 0.06 * value["warmth"] + 0.035 * patches[2]
        fields = np.stack(np.broadcast_arrays(melanin, blood, warmth), axis=1)
        pigment = fields @ np.stack([_MELANIN, _HAEMOGLOBIN, _WARMTH])
        # skin is never whiter than paper
        return np.maximum(pigment - np.log(linear_from_srgb(np.array(_SKIN_SRGB))), 0.03)

    def _paint_inner_parts(self, colours: Array, value: dict[str, float]) -> None:
        for name, srgb in FIXED_SRGB.items():
            colours[self._surface.within(name)] = srgb
        eye = ~np.isnan(self._eye)
        iris = np.array(_IRIS_SRGB) * np.exp(0.22 * value["iris_light"])
        iris = np.clip(iris + np.array(_IRIS_BLUE) * value["iris_blue"], 0.02, 1)
        colours[eye] = eye_colours(self._eye[eye], iris, 1 + 0.03 * value["sclera"])


def iris_share(angle_degrees: Array) -> Array:
    """(vertex,) how much an eyeball takes the colour of its iris, by the angle to its axis."""
    ring = np.exp(-(((angle_degrees - 12.5) / 4) ** 2))
    rim = np.clip((angle_degrees - 19) / (_IRIS_DEGREES - 19), 0, 1) ** 2
    inside = np.clip((_IRIS_DEGREES + 0.6 - angle_degrees) / 1.6, 0, 1)
    pupil = np.clip((_PUPIL_DEGREES + 0.5 - angle_degrees) / 1.2, 0, 1)
    return (1.1 + 0.4 * ring) * (1 - 0.45 * rim) * inside * (1 - pupil)


def eye_colours(angle_degrees: Array, iris_srgb: Array, whiteness: float = 1.0) -> Array:
    """(vertex, 3) sRGB colours of eyeballs from the angle to their axis: pupil, iris with a darker
    rim, white that reddens towards the lids."""
    white = np.array(SCLERA_SRGB) * whiteness
    # lids shade the white, and its vessels redden it
    towards_lids = np.clip((angle_degrees - 34) / 45, 0, 1)[:, None]
    white = white - towards_lids * [0.16, 0.21, 0.21]
    outside = np.clip((angle_degrees - _IRIS_DEGREES + 1.0) / 1.6, 0, 1)[:, None]
    pupil = np.clip((_PUPIL_DEGREES + 0.5 - angle_degrees) / 1.2, 0, 1)[:, None]
    colours = white * outside + iris_share(angle_degrees)[:, None] * iris_srgb
    return np.clip(colours + 0.03 * pupil, 0, 1)


def symmetric_components(
    people: Array, mirror: Array, weight: Array, count: int
) -> tuple[Array, Array]:
    """Mean and principal components of people and their mirror images.

    Args:
        people: (person, vertex, 3).
        weight: (vertex,) importance of squared differences.

    Returns:
        (vertex, 3), (count, vertex, 3) per standard deviation, each symmetric or antisymmetric.
    """
    flipped = people[:, mirror]
    mean = (people.mean(0) + flipped.mean(0)) / 2
    root = np.sqrt(weight)[:, None]
    found = []
    for half in ((people + flipped) / 2 - mean, (people - flipped) / 2):
        rows = (half * root).reshape(len(half), -1)
        values, vectors = np.linalg.eigh(rows @ rows.T / len(rows))
        for k in range(1, min(count, len(values)) + 1):
            component = np.tensordot(vectors[:, -k], half, 1) / np.sqrt(len(half))
            found.append((values[-k], component))
    found.sort(key=lambda pair: -pair[0])
    basis = np.stack([component for _, component in found[:count]])
    # the sign is open: brighter is positive
    return mean, basis * np.where(basis.sum((1, 2)) < 0, -1, 1)[:, None, None]


def procedural_albedo(surface: Surface, *, seed: int = 0) -> AlbedoStatistics:
    """Mean and 80 components of painted people, offsets in sRGB per standard deviation."""
    generator = np.random.default_rng(seed)
    painter = Painter(surface)
    people = np.stack(
        [painter.random_person(generator).astype(np.float32) for _ in range(_SAMPLES)]
    )
    areas = surface.vertex_areas_mm2()
    inner = surface.within("face", "eye_left", "eye_right")
    weight = np.where(inner, areas, 0.2 * areas).astype(np.float32)
    mean, basis = symmetric_components(people, surface.mirror, weight, COMPONENTS)
    return AlbedoStatistics(mean, basis)
