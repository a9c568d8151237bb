"""The few points and patches of a model on which measurements are taken.

The 68 landmark vertices carry most; the rest (hairline, cheekbones, wings of the nose, lips, brows,
irises ...) is found on the mean face from the landmarks alone, so that every model can be measured
and not only ours. What is found is a vertex, and a vertex keeps its place on the face through every
shape and expression.

Not known here: hair. `hairline` is the place where a hairline would be by the rule of thirds, no
more.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor

from facegpt.morphable.colour import cielab_from_srgb
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters


@dataclass(frozen=True)
class Probe:
    """A morphable model cut down to the points that are measured and the mean colour of some
    patches.
    """

    mean_mm: Float[Tensor, "point 3"]
    """Rows 0-67 are the landmarks; `points` names the rows behind them."""
    identity_mm: Float[Tensor, "identity point 3"]
    expression_mm: Float[Tensor, "expression point 3"]
    colour_mean: Float[Tensor, "patch 3"]
    colour_basis: Float[Tensor, "albedo patch 3"]
    points: dict[str, int]
    patches: dict[str, int]

    def has(self, names: tuple[str, ...]) -> bool:
        """Whether the model carries all these anchors."""
        return all(name in self.points or name in self.patches for name in names)

    def like(self, reference: Tensor) -> "Probe":
        """The probe with the dtype and device of a tensor."""
        names = [f.name for f in fields(self) if f.name not in ("points", "patches")]
        return replace(self, **{name: getattr(self, name).to(reference) for name in names})


class Points:
    """Points of a batch of faces: `points(36, 39)` is the mean of two, `points("hairline")` one,
    each (batch, 3) in mm.
    """

    def __init__(self, mm: Float[Tensor, "batch point 3"], names: dict[str, int]) -> None:
        self.mm = mm
        self._rows = mm.unbind(1)
        self._names = names

    def __call__(self, *which: int | str) -> Float[Tensor, "batch 3"]:
        rows = [self._rows[w if isinstance(w, int) else self._names[w]] for w in which]
        return rows[0] if len(rows) == 1 else sum(rows[1:], rows[0]) / len(rows)

    def x(self, *which: int | str) -> Float[Tensor, "batch"]:
        """Towards the viewer's right."""
        return self(*which)[:, 0]

    def y(self, *which: int | str) -> Float[Tensor, "batch"]:
        """Upwards."""
        return self(*which)[:, 1]

    def z(self, *which: int | str) -> Float[Tensor, "batch"]:
        """Out of the face."""
        return self(*which)[:, 2]


@dataclass(frozen=True)
class ProbedFace:
    """A batch of faces as measurements see it; each view is computed at its first use."""

    theta: FaceParameters
    probe: Probe

    @cached_property
    def neutral(self) -> Points:
        """The faces without their expression."""
        offsets = torch.einsum("bi,ipc->bpc", self.theta.shape, self.probe.identity_mm)
        return Points(self.probe.mean_mm + offsets, self.probe.points)

    @cached_property
    def moved(self) -> Points:
        """The faces with their expression, without the rotation of the head."""
        return Points(self.neutral.mm + self.offset.mm, self.probe.points)

    @cached_property
    def offset(self) -> Points:
        """What the expression adds to each point."""
        offsets = torch.einsum("be,epc->bpc", self.theta.expression, self.probe.expression_mm)
        return Points(offsets, self.probe.points)

    @cached_property
    def lab(self) -> dict[str, Float[Tensor, "batch 3"]]:
        """CIELAB of the mean albedo of each patch."""
        offsets = torch.einsum("ba,apc->bpc", self.theta.albedo, self.probe.colour_basis)
        rows = cielab_from_srgb(self.probe.colour_mean + offsets).unbind(1)
        return {name: rows[i] for name, i in self.probe.patches.items()}


_PROBES: "WeakKeyDictionary[MorphableModel, Probe]" = WeakKeyDictionary()


def probe_of(model: MorphableModel) -> Probe:
    """The probe of a model, built once and kept as long as the model."""
    if model not in _PROBES:
        _PROBES[model] = _build(model)
    return _PROBES[model]


def _build(model: MorphableModel) -> Probe:
    points = _anchor_vertices(model)
    patches = {name: p for name, p in _patch_vertices(model, points).items() if len(p)}
    rows = torch.cat(
        [model.landmarks68, model.landmarks68.new_tensor([points[name] for name in points])]
    )
    return Probe(
        mean_mm=model.mean_mm[rows],
        identity_mm=model.identity_mm[:, rows],
        expression_mm=model.expression_mm[:, rows],
        colour_mean=torch.stack([model.albedo_mean[p].mean(0) for p in patches.values()]),
        colour_basis=torch.stack(
            [model.albedo_basis[:, p].mean(1) for p in patches.values()], dim=1
        ),
        points={name: 68 + i for i, name in enumerate(points)},
        patches={name: i for i, name in enumerate(patches)},
    )


def _anchor_vertices(model: MorphableModel) -> dict[str, int]:
    """Name -> vertex; the places are in proportions of the mean face, right of the person first."""
    mark = model.mean_mm[model.landmarks68]
    x, y = mark[:, 0], mark[:, 1]
    brow = y[[19, 20, 23, 24]].mean()
    third = y[[21, 22]].mean() - y[33]
    midline = x[[27, 30, 33, 51, 57, 8]].mean()
    right_half = {
        "temple": (x[17] * 0.95, brow + 0.35 * third),
        "cheekbone": (x[1] * 0.86, (y[36] + y[31]) / 2),
        "malar": (x[36], (y[41] + y[31]) / 2),
        "cheek": ((x[48] + x[4]) / 2, (y[31] + 2 * y[48]) / 3),
        "wing": (x[31] * 1.3, y[31] + 0.2 * (y[30] - y[31])),
    }
    places = {
        "hairline": (midline, y[[21, 22]].mean() + 0.7 * third),
        "pogonion": (midline, y[8] + 0.35 * (y[57] - y[8])),
    }
    for name, (px, py) in right_half.items():
        places[f"{name}_right"] = (px, py)
        places[f"{name}_left"] = (2 * midline - px, py)
    skin = _front_skin(model)
    found = {}
    for name, (px, py) in places.items():
        target = torch.stack([px, py])
        found[name] = int(skin[(model.mean_mm[skin, :2] - target).norm(dim=1).argmin()])
    return found | _inner_vertices(model)


def _front_skin(model: MorphableModel) -> Int[Tensor, "skin"]:
    """Vertices of the skin in front of the ears; a model without part names counts whole."""
    mask = model.part_mask(("face",)) if "face" in model.part_names else model.part >= 0
    front = model.mean_mm[:, 2] > model.mean_mm[model.landmarks68[[0, 16]], 2].min() - 1e-3
    return (mask & front).nonzero().squeeze(1)


def _inner_vertices(model: MorphableModel) -> dict[str, int]:
    """Tip of the tongue, pupils and centres behind them, where the model has these parts."""
    found = {}
    for name, part in (
        ("tongue_tip", "tongue"),
        ("pupil_left", "eye_left"),
        ("pupil_right", "eye_right"),
    ):
        vertices = model.part_mask((part,)).nonzero().squeeze(1)
        if len(vertices):
            found[name] = int(vertices[model.mean_mm[vertices, 2].argmax()])
    return found


def _patch_vertices(model: MorphableModel, points: dict[str, int]) -> dict[str, Tensor]:
    """Name -> vertices whose mean colour is measured; sizes in shares of the outer eye distance."""
    mark = model.mean_mm[model.landmarks68]
    size = float((mark[45] - mark[36]).norm())
    skin = _front_skin(model)

    def around(centres: Tensor, radius: float) -> Tensor:
        distance = torch.cdist(centres, model.mean_mm[skin])
        near = (distance < radius * size).any(dim=0)
        return torch.cat([skin[near], skin[distance.argmin(dim=1)]]).unique()

    down = mark.new_tensor([0.0, -0.03 * size, 0.0])
    brows = mark[[18, 19, 20, 23, 24, 25]]
    forehead = (model.mean_mm[[points["hairline"]]] + mark[[21, 22]].mean(0)) / 2
    beard = torch.stack(
        [(mark[57] + mark[8]) / 2, (mark[48] + mark[6]) / 2, (mark[54] + mark[10]) / 2]
    )
    # The inner landmarks may lie inside the mouth: take their height only.
    lips = mark[[49, 50, 51, 52, 53, 55, 56, 57, 58, 59]].clone()
    lips[:, 1] += 0.4 * (mark[[61, 61, 62, 63, 63, 65, 65, 66, 67, 67], 1] - lips[:, 1])
    malar = model.mean_mm[[points["malar_right"], points["malar_left"]]]
    cheeks, front = around(malar + 5 * down, 0.1), around(forehead, 0.16)
    patches = {
        "skin": torch.cat([cheeks, front]),
        "cheeks": cheeks,
        "forehead": front,
        "nose": around(mark[[30]], 0.08),
        "lips": around(lips, 0.03),
        "brows": around(torch.cat([brows, brows + down]), 0.03),
        "beard": around(beard, 0.08),
        "irises": _iris_vertices(model, points),
    }
    return patches


def _iris_vertices(model: MorphableModel, points: dict[str, int]) -> Int[Tensor, "iris"]:
    """A ring around each pupil, in shares of the width of the eye."""
    mark = model.mean_mm[model.landmarks68]
    width = float((mark[36] - mark[39]).norm())
    found = [torch.zeros(0, dtype=torch.long, device=model.part.device)]
    for side in ("left", "right"):
        if f"pupil_{side}" not in points:
            continue
        eye = model.part_mask((f"eye_{side}",)).nonzero().squeeze(1)
        distance = (model.mean_mm[eye] - model.mean_mm[points[f"pupil_{side}"]]).norm(dim=1)
        found.append(eye[(distance > 0.12 * width) & (distance < 0.22 * width)])
    return torch.cat(found)
