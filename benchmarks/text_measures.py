"""What `nano_text.py` measures of faces made from text, each against the fitted face of the photo.

A face is compared by named measurements (smile, mouth_open, yaw, skin_lightness), by its ARKit
weights, and by the distance of the surfaces. This file knows faces, no texts and no language model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from report import Bar, Line

from facegpt.evaluation.metrics import (
    auc,
    bootstrap_interval,
    correlation,
    cosine,
    spearman,
)
from facegpt.evaluation.surfaces import chamfer_distance_mm
from facegpt.geometry.closest import TriangleSurface
from facegpt.geometry.registration import icp, spread_subset
from facegpt.morphable.blendshapes import arkit_weights
from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.semantics import measure

NAMES = ("smile", "mouth_open", "yaw", "skin_lightness")
OPEN_MM, CLOSED_MM = 2.0, 1.0
"""A fitted mouth counts as open above the first; with a dead zone, as closed below the second."""
_ICP_POINTS = 600


@dataclass(frozen=True)
class Faces:
    """A batch of faces, measured."""

    theta: FaceParameters
    values: dict[str, Float[np.ndarray, "face"]]
    """Measurement -> value."""
    arkit: Float[np.ndarray, "face blendshape"]

    @classmethod
    def of(cls, theta: FaceParameters) -> "Faces":
        """Measure them."""
        model = load_default()
        with torch.no_grad():
            values = {k: v.double().numpy() for k, v in measure(theta, model, NAMES).items()}
        weights = [list(arkit_weights(model, face.expression).values()) for face in theta]
        return cls(theta, values, np.array(weights))

    def __getitem__(self, rows: Int[np.ndarray, "row"]) -> "Faces":
        return Faces(
            self.theta[torch.from_numpy(rows)],
            {name: values[rows] for name, values in self.values.items()},
            self.arkit[rows],
        )


@dataclass(frozen=True)
class Witnesses:
    """How certain numbers are: rows of the same picture are drawn together."""

    groups: Int[np.ndarray, "row"]
    resamples: int

    def line(
        self,
        what: str,
        statistic: Callable[[Int[np.ndarray, "drawn"]], float],
        bar: Bar | None = None,
        floors: dict[str, float] | None = None,
        ceiling: float | None = None,
        among: Bool[np.ndarray, "row"] | None = None,
    ) -> Line:
        """A number over rows (or those among them that can be judged) with its interval."""
        rows = np.arange(len(self.groups)) if among is None else np.flatnonzero(among)
        interval = bootstrap_interval(
            lambda drawn: statistic(rows[drawn]),
            self.groups[rows],
            np.random.default_rng(0),
            resamples=self.resamples,
        )
        return Line(what, statistic(rows), len(rows), bar, interval, floors or {}, ceiling)


def auc_line(
    what: str,
    witnesses: Witnesses,
    scores: Float[np.ndarray, "row"],
    is_positive: Bool[np.ndarray, "row"],
    bar: Bar | None = None,
    ceiling: float | None = None,
    among: Bool[np.ndarray, "row"] | None = None,
) -> Line:
    """How well a score separates two kinds; a face that is always the same reaches 0.5."""
    return witnesses.line(
        what, lambda r: auc(scores[r], is_positive[r]), bar, {"mean face": 0.5}, ceiling, among
    )


def mouth_lines(witnesses: Witnesses, made: Faces, fitted: Faces, bar: Bar | None) -> list[Line]:
    """Open against closed, by the fitted face: with one threshold, and with a dead zone."""
    opening, scores = fitted.values["mouth_open"], made.values["mouth_open"]
    is_open = opening >= OPEN_MM
    clear = is_open | (opening <= CLOSED_MM)
    one = f"mouth open AUC (fit >= {OPEN_MM:g} mm)"
    two = f"the same without fits between {CLOSED_MM:g} and {OPEN_MM:g} mm"
    return [
        auc_line(one, witnesses, scores, is_open, bar),
        auc_line(two, witnesses, scores, is_open, among=clear),
    ]


def yaw_line(witnesses: Witnesses, made: Faces, fitted: Faces, said: Sequence[str]) -> Line:
    """Whether the head turns to the side that the description says, among those turned."""
    side = np.array([{"left": -1, "right": 1}.get(word, 0) for word in said])
    turned = side != 0

    def share(faces: Faces) -> Callable[[Int[np.ndarray, "drawn"]], float]:
        return lambda rows: float((np.sign(faces.values["yaw"][rows]) == side[rows]).mean())

    often = max((side[turned] == s).mean() for s in (-1, 1)) if turned.any() else float("nan")
    ceiling = share(fitted)(np.flatnonzero(turned))
    floors = {"commoner side": float(often)}
    return witnesses.line(
        "yaw sign right, of those turned", share(made), Bar(0.85, True), floors, ceiling, turned
    )


def lightness_line(
    witnesses: Witnesses, made: Faces, fitted: Faces, colour: Bool[np.ndarray, "row"]
) -> Line:
    """Whether lighter skin is made lighter, by ranks; photos in colour only."""
    first, second = made.values["skin_lightness"], fitted.values["skin_lightness"]
    return witnesses.line(
        "skin lightness, Spearman (colour photos)",
        lambda rows: spearman(first[rows], second[rows]),
        Bar(0.6, True),
        {"mean face": 0.0},
        among=colour,
    )


def agreement_lines(
    witnesses: Witnesses, made: Faces, fitted: Faces, centre: Float[np.ndarray, "blendshape"]
) -> list[Line]:
    """Agreement of the 52 ARKit weights, face by face: the cosine of the two vectors, and the same
    after the average fitted face is subtracted from both, so that what everybody shares counts
    for nothing.
    """
    plain = _by_face(cosine, made.arkit, fitted.arkit)
    constant = _by_face(cosine, np.broadcast_to(centre, fitted.arkit.shape), fitted.arkit)
    beyond = _by_face(cosine, made.arkit - centre, fitted.arkit - centre)
    return [
        witnesses.line(
            "ARKit weights, cosine",
            lambda rows: float(plain[rows].mean()),
            floors={"average fit": float(constant.mean()), "mean face": 0.0},
        ),
        witnesses.line(
            "ARKit weights beyond the average fit, cosine",
            lambda rows: float(beyond[rows].mean()),
            floors={"average fit": 0.0},
        ),
        witnesses.line(
            "smile in mm, correlation",
            lambda r: correlation(made.values["smile"][r], fitted.values["smile"][r]),
            floors={"average fit": 0.0},
        ),
    ]


def _by_face(
    measured: Callable[[np.ndarray, np.ndarray], float],
    first: Float[np.ndarray, "face blendshape"],
    second: Float[np.ndarray, "face blendshape"],
) -> Float[np.ndarray, "face"]:
    """Face by face; a face without any expression agrees with nobody."""
    return np.nan_to_num([measured(a, b) for a, b in zip(first, second, strict=True)])


def distances_mm(
    made: FaceParameters, fitted: FaceParameters, *, aligned: bool
) -> Float[np.ndarray, "face"]:
    """Chamfer distance (eq. 6) of the face region in mm, pose and scale of the camera left out.

    Args:
        aligned: Bring each face rigidly onto the fitted one first, as the paper does. ICP goes by
            points: sliding along the surface would draw apart vertices that belong together.
    """
    model = load_default().restricted_to()
    clouds = [
        model.vertices_mm(faces.shape, faces.expression).double().numpy()
        for faces in (made, fitted)
    ]
    found = []
    for first, second in zip(*clouds, strict=True):
        if aligned:
            surface = TriangleSurface(second, model.triangles.numpy())
            points = first[spread_subset(first, _ICP_POINTS)]
            pose = icp(points, surface, keep=1.0, step="point").target_from_source
            first = pose.apply(first)
        found.append(chamfer_distance_mm(first, second))
    return np.array(found)


Distances = dict[str, dict[str, Float[np.ndarray, "face"]]]
"""How surfaces are aligned -> whose (the made faces are `made`) -> mm to the fitted face."""


def all_distances(
    made: FaceParameters, fitted: FaceParameters, constants: dict[str, FaceParameters]
) -> Distances:
    """Chamfer distances with and without alignment.

    Args:
        constants: Name -> one face that stands for all: "mean face", and others.
    """
    everybody = {name: face[[0] * len(fitted)] for name, face in constants.items()}
    return {
        how: {
            name: distances_mm(faces, fitted, aligned=aligned)
            for name, faces in ({"made": made} | everybody).items()
        }
        for how, aligned in (("as they are", False), ("rigid ICP", True))
    }


def chamfer_lines(
    witnesses: Witnesses, distances: Distances, rows: Int[np.ndarray, "row"]
) -> list[Line]:
    """How much nearer to the fitted face than the mean face, as a share and in mm, over some of the
    faces. A constant face nearer than the mean face is the floor to mind.
    """
    lines = []
    for how, found in distances.items():
        mm = {name: distance[rows] for name, distance in found.items()}
        reached, mean = mm.pop("made"), mm["mean face"]
        share = "Chamfer lower than the mean face's"
        lines += [
            witnesses.line(
                f"{share} ({how})",
                lambda r, reached=reached, mean=mean: float(1 - reached[r].mean() / mean[r].mean()),
                Bar(0.15, True),
                {name: float(1 - d.mean() / mean.mean()) for name, d in mm.items()},
                1.0,
            ),
            witnesses.line(
                f"Chamfer, mm ({how})",
                lambda r, reached=reached: float(reached[r].mean()),
                floors={name: float(d.mean()) for name, d in mm.items()},
                ceiling=0.0,
            ),
        ]
    return lines
