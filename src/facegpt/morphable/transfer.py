"""What a model lacks (colours, landmarks, part names) taken over from another by registration.

The donor is laid over the other model's mean face: a similarity from landmarks or, without any,
from the tip of the nose and ICP; then by its own identity statistics; then by a soft warp. Wherever
the two surfaces meet, the donor's values are read off at the closest point. Details smaller than
the registration error (a lid line, a lip edge) can slip by that much; a face the donor does not
cover takes the value of its rim.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from facegpt.geometry.closest import TriangleSurface, interpolate
from facegpt.geometry.registration import (
    Similarity,
    icp,
    nearest_vertices,
    soft_registration,
    spread_subset,
    thin_plate_warp,
    umeyama,
)
from facegpt.morphable.model import MorphableModel

SKIN_PARTS = ("face", "ear", "scalp", "neck")

_REACH_MM = 6.0
_SEARCH_POINTS = 1500
_PERSON_ROUNDS = 12
_RIDGE = 0.05
"""Square of the distance in mm that is as unlikely as one standard deviation, per point."""


@dataclass(frozen=True)
class LaidOverDonor:
    """A donor whose vertices lie on another model's mean face."""

    donor: MorphableModel
    vertices_mm: Float[np.ndarray, "vertex 3"]
    """The donor's vertices in the frame of the other model."""

    def landmarks68(
        self, mean_mm: Float[np.ndarray, "target 3"], skin: Int[np.ndarray, "skin"]
    ) -> Int[np.ndarray, "68"]:
        """The skin vertices of the other model nearest to the donor's landmarks."""
        places = self.vertices_mm[self.donor.landmarks68.numpy()]
        return skin[nearest_vertices(places, mean_mm[skin])]

    def parts(self, points_mm: Float[np.ndarray, "point 3"]) -> list[str]:
        """The donor's part of skin at each point."""
        surface, triangles = self._surface(SKIN_PARTS)
        found = surface.closest(points_mm)
        corner = triangles[found.triangle_ids, found.barycentric.argmax(axis=1)]
        return [self.donor.part_names[row] for row in self.donor.part.numpy()[corner]]

    def albedo(
        self,
        mean_mm: Float[np.ndarray, "target 3"],
        part: Int[np.ndarray, "target"],
        part_names: tuple[str, ...],
    ) -> tuple[Float[np.ndarray, "target 3"], Float[np.ndarray, "albedo target 3"]]:
        """Mean and basis of the donor's colours at every vertex of the other model.

        Skin takes from skin and a part from its namesake; a part the donor does not have takes from
        whatever is closest.
        """
        basis = self.donor.albedo_basis.numpy()
        values = np.concatenate([self.donor.albedo_mean.numpy()[None], basis])
        table = values.transpose(1, 0, 2).reshape(values.shape[1], -1)
        result = np.zeros((len(mean_mm), table.shape[1]), dtype=np.float32)
        for names in _groups(part_names):
            rows = [part_names.index(name) for name in names]
            own = np.flatnonzero(np.isin(part, rows))
            if len(own):
                surface, triangles = self._surface(SKIN_PARTS if names[0] in SKIN_PARTS else names)
                result[own] = interpolate(surface.closest(mean_mm[own]), triangles, table)
        stack = result.reshape(len(mean_mm), len(values), 3).transpose(1, 0, 2)
        return stack[0], stack[1:]

    def _surface(
        self, names: tuple[str, ...]
    ) -> tuple[TriangleSurface, Int[np.ndarray, "triangle 3"]]:
        triangles = self.donor.triangles.numpy()
        inside = self.donor.part_mask(names).numpy()[triangles].all(axis=1)
        chosen = triangles[inside] if inside.any() else triangles
        return TriangleSurface(self.vertices_mm, chosen), chosen


def _groups(part_names: tuple[str, ...]) -> list[tuple[str, ...]]:
    skin = tuple(name for name in part_names if name in SKIN_PARTS)
    others = [(name,) for name in part_names if name not in SKIN_PARTS]
    return [skin, *others] if skin else others


def lay_over(
    donor: MorphableModel,
    mean_mm: Float[np.ndarray, "target 3"],
    triangles: Int[np.ndarray, "triangle 3"],
    anchors: dict[int, int] | None = None,
) -> LaidOverDonor:
    """Register a donor's mean face onto another one; both in mm, y up, z out of the face.

    Args:
        triangles: Those of the skin: eyeballs and teeth would catch the donor's lids and lips.
        anchors: iBUG number -> vertex, as many as are known; with fewer than 5 the start is the
            foremost point of both, the tip of the nose.
    """
    surface = TriangleSurface(mean_mm, triangles)
    anchors = anchors or {}
    rows = donor.landmarks68.numpy()[list(anchors)]
    if len(anchors) < 5:
        pose = _from_the_nose(donor, mean_mm[np.unique(triangles)], surface)
        vertices = _as_person(donor, pose, surface)
        pinned = None
    else:
        target = mean_mm[list(anchors.values())].astype(np.float64)
        pose = umeyama(donor.mean_mm.double().numpy()[rows], target)
        vertices = _as_person(donor, pose, surface)
        vertices = thin_plate_warp(vertices[rows], target, vertices)
        pinned = np.unique(rows)
    return LaidOverDonor(
        donor, soft_registration(vertices, surface, reach=_REACH_MM, pinned=pinned)
    )


def _search_points(donor: MorphableModel) -> Int[np.ndarray, "chosen"]:
    """Spread vertices of the donor's face."""
    named = "face" in donor.part_names
    face = np.flatnonzero(donor.part_mask(("face",) if named else donor.part_names).numpy())
    return face[spread_subset(donor.mean_mm.double().numpy()[face], _SEARCH_POINTS)]


def _as_person(
    donor: MorphableModel, pose: Similarity, surface: TriangleSurface
) -> Float[np.ndarray, "vertex 3"]:
    """The donor's own statistics bring it closer than any warp could without landmarks.

    Identity coefficients by ridge regression on the distances along the normals, in turns with the
    pose.
    """
    rows = _search_points(donor)
    mean, identity = donor.mean_mm.double().numpy(), donor.identity_mm.double().numpy()
    basis, alpha = identity[:, rows], np.zeros(len(identity))
    for _ in range(_PERSON_ROUNDS):
        shape = mean[rows] + np.tensordot(alpha, basis, 1)
        placed = icp(shape, surface, start=pose, with_scale=True, keep=0.8, iterations=3)
        pose = placed.target_from_source
        moved = pose.apply(shape)
        found = surface.closest(moved)
        used = found.distance <= np.quantile(found.distance, 0.8)
        normals = surface.normals[found.triangle_ids[used]]
        turned = pose.scale * basis[:, used] @ pose.rotation.T
        system = np.einsum("inx,nx->ni", turned, normals)
        base = pose.apply(mean[rows[used]])
        distance = np.einsum("nx,nx->n", found.positions[used] - base, normals)
        ridge = _RIDGE * len(system) * np.eye(len(alpha))
        alpha = np.linalg.solve(system.T @ system + ridge, system.T @ distance)
    return pose.apply(mean + np.tensordot(alpha, identity, 1))


def _from_the_nose(
    donor: MorphableModel, skin: Float[np.ndarray, "skin 3"], surface: TriangleSurface
) -> Similarity:
    vertices = donor.mean_mm.double().numpy()
    tip = vertices[donor.landmarks68.numpy()[30]]
    shift = Similarity(1.0, np.eye(3), skin[skin[:, 2].argmax()] - tip)
    sample = vertices[_search_points(donor)]
    return icp(sample, surface, start=shift, keep=0.7).target_from_source
