"""Random people out of MakeHuman sliders: which sliders move, how far, and together with which.

The statistics are choices of the artists and of this file, not measurements of scans. Body height
and proportions stay
out: they only scale the head.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from face_model.makehuman import ETHNICITIES, Array, Indices, MakeHuman

_OPPOSITES = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
)
_SPREAD = {
    "cheek": 0.24,
    "chin": 0.22,
    "ears": 0.2,
    "eyebrows": 0.24,
    "eyes": 0.24,
    "forehead": 0.22,
    "head": 0.18,
    "mouth": 0.22,
    "nose": 0.22,
    "neck": 0.14,
}
"""Standard deviation of the sliders (range -1 to 1) of each folder."""
_LEFT_OUT = ("head-trans", "head-angle", "neck-trans", "measure-neck-height", "neck-scale-vert")
"""Sliders that only move or turn the head on its body."""
_SHY = ("mouth-trans-out", "mouth-trans-in", "nose-trans-out", "nose-trans-in")
"""Sliders that push a feature off the midline."""


@dataclass(frozen=True)
class SliderSpace:
    """Local sliders as two half axes each, over the control vertices.

    Attributes:
        low, high: (slider, control, 3) offsets in mm at -1 and +1.
        spread: (slider,) standard deviation.
        twin: (slider,) number of the slider drawn for it; both sides of a face share one draw.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    spread: Array
    twin: Indices


def local_sliders(data: MakeHuman, controls: Indices) -> SliderSpace:
    """Every pair of opposite sliders, the head outlines (one-sided) and the asymmetries."""
    rows: list[tuple[str | None, str, float, str]] = []
    for folder, spread in _SPREAD.items():
        for name in data.target_names(folder):
            stem = name.split("/")[1]
            if stem.startswith(_LEFT_OUT):
                continue
            ends = [(lo, hi) for lo, hi in _OPPOSITES if stem.endswith((f"-{lo}", f"-{hi}"))]
            if not ends:
                rows.append((None, name, 0.15, name))
            elif name.endswith(f"-{ends[0][1]}"):
                opposite = name.removesuffix(ends[0][1]) + ends[0][0]
                shared = stem[2:] if stem[:2] in ("l-", "r-") else stem
                own = spread * 0.3 if stem.endswith(_SHY) else spread
                if data.has(opposite):
                    rows.append((opposite, name, own, f"{folder}/{shared}"))
    asymmetries = (n[:-2] for n in data.target_names("asym") if n.endswith("-l"))
    rows += [(f"{n}-l", f"{n}-r", 0.12, n) for n in asymmetries if "asymm" not in n]
    keys = [row[3] for row in rows]
    zero = np.zeros((len(controls), 3), np.float32)
    return SliderSpace(
        np.stack([zero if lo is None else data.target(lo)[controls] for lo, *_ in rows]),
        np.stack([data.target(hi)[controls] for _, hi, *_ in rows]),
        np.array([row[2] for row in rows]),
        np.array([keys.index(key) for key in keys]),
    )


def sample_people(
    data: MakeHuman, controls: Indices, count: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Control vertices in mm of random adults, (count, control, 3)."""
    names, weights = _phenotype_weights(count, generator)
    offsets = np.stack([data.target(name)[controls] for name in names])
    people = _combine(weights, offsets) + data.vertices_mm[controls].astype(np.float32)
    space = local_sliders(data, controls)
    draw = generator.normal(size=(count, len(space.spread))) * space.spread
    both = draw[:, space.twin] + 0.05 * (space.twin != np.arange(len(space.twin))) * (
        generator.normal(size=draw.shape)
    )
    both = np.clip(both, -1, 1)
    one_sided = ~space.low.any((1, 2))
    both[:, one_sided] = np.abs(both[:, one_sided])
    people += _combine(np.maximum(-both, 0), space.low)
    people += _combine(np.maximum(both, 0), space.high)
    return people


def _combine(weights: Array, offsets: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = weights.astype(np.float32) @ offsets.reshape(len(offsets), -1)
    return flat.reshape(-1, *offsets.shape[1:])


def _phenotype_weights(count: int, generator: np.random.Generator) -> tuple[list[str], Array]:
    """Weights of the phenotype targets, products of piecewise linear ramps as in MakeHuman."""
    gender = generator.beta(7, 1.6, count)
    gender = np.where(generator.random(count) < 0.5, gender, 1 - gender)
    old = generator.beta(1.1, 2.2, count)
    muscle = np.clip(generator.normal(0.5, 0.15, count), 0, 1)
    weight = np.clip(generator.normal(0.5, 0.18, count), 0, 1)
    mixture = generator.dirichlet([0.7] * 3, count)

    def ramp(value: Array, noun: str) -> dict[str, Array]:
        return {
            f"min{noun}": np.maximum(0, 1 - 2 * value),
            f"average{noun}": 1 - np.abs(2 * value - 1),
            f"max{noun}": np.maximum(0, 2 * value - 1),
        }

    table: dict[str, Array] = {}
    for sex, of_sex in (("male", gender), ("female", 1 - gender)):
        for age, of_age in (("young", 1 - old), ("old", old)):
            for k, ethnicity in enumerate(ETHNICITIES):
                name = f"macrodetails/{ethnicity}-{sex}-{age}"
                table[name] = of_sex * of_age * mixture[:, k]
            for m, of_muscle in ramp(muscle, "muscle").items():
                for w, of_weight in ramp(weight, "weight").items():
                    name = f"macrodetails/universal-{sex}-{age}-{m}-{w}"
                    table[name] = of_sex * of_age * of_muscle * of_weight
    return list(table), np.stack(list(table.values()), 1)
