"""The morphable face model M(theta): linear shape, expression and albedo over one triangle mesh.

One final class; every known model (default, BFM, FLAME, ICT) is a function elsewhere that returns
it. This module knows no file format, no camera and no light.

Frame: millimetres, x to the viewer's right (the person's left), y up, z out of the face towards
the viewer. The origin is placed so that the camera c = 0 puts the mean face where an aligned crop
shows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

FACE_PARTS = ("face", "eye_left", "eye_right", "mouth", "teeth", "tongue")
"""What training and fitting render: skin in front of the ears, eyeballs, the inside of the
mouth."""


@final
@dataclass(frozen=True)
class MorphableModel:
    """A linear 3D morphable model in millimetres and sRGB [0, 1], coefficients in standard
    deviations.

    Basis vectors are already multiplied by their standard deviation, so N(0, 1) is the prior of
    every coefficient.
    """

    name: str
    mean_mm: Float[Tensor, "vertex 3"]
    identity_mm: Float[Tensor, "identity vertex 3"]
    """Offsets in mm per standard deviation of alpha."""
    expression_mm: Float[Tensor, "expression vertex 3"]
    """Offsets in mm per standard deviation of delta; zero is the neutral face."""
    albedo_mean: Float[Tensor, "vertex 3"]
    albedo_basis: Float[Tensor, "albedo vertex 3"]
    """Offsets in sRGB per standard deviation of gamma."""
    triangles: Int[Tensor, "triangle 3"]
    """Vertex numbers, counter-clockwise seen from outside."""
    uv: Float[Tensor, "texel 2"]
    """Texture coordinates, u right, v up, both in [0, 1]; a seam has its vertices twice."""
    uv_triangles: Int[Tensor, "triangle 3"]
    """Rows of `uv`, triangle by triangle beside `triangles`."""
    landmarks68: Int[Tensor, "68"]
    """The iBUG 68 points as vertex numbers, the right side of the person first."""
    mirror: Int[Tensor, "vertex"]
    """The vertex on the other side; a vertex on the midline is its own."""
    part: Int[Tensor, "vertex"]
    """Row of `part_names` for every vertex."""
    part_names: tuple[str, ...]
    arkit_mm: Float[Tensor, "blendshape vertex 3"]
    """Offsets in mm of the named blendshapes at weight 1 (ARKit names); empty when a model has
    none."""
    arkit_names: tuple[str, ...]
    pixels_per_mm: float
    """Scale of an aligned 224-pixel crop, in which the eyes of the mean face are 63 pixels
    apart."""
    licences: tuple[str, ...] = ()
    """Names of the assets (see `facegpt.assets`) that shaped this model."""

    def vertices_mm(
        self,
        shape: Float[Tensor, "batch identity"],
        expression: Float[Tensor, "batch expression"],
    ) -> Float[Tensor, "batch vertex 3"]:
        """The mesh of each face: mean + alpha . identity + delta . expression (Tewari et al. 2017,
        eq. 1)."""
        offsets = shape @ self.identity_mm.flatten(1) + expression @ self.expression_mm.flatten(1)
        return self.mean_mm + offsets.view(-1, *self.mean_mm.shape)

    def albedo_srgb(self, albedo: Float[Tensor, "batch albedo"]) -> Float[Tensor, "batch vertex 3"]:
        """The colour of each vertex without light; a linear model, so it may leave [0, 1] (not
        clamped here)."""
        offsets = albedo @ self.albedo_basis.flatten(1)
        return self.albedo_mean + offsets.view(-1, *self.albedo_mean.shape)

    def part_mask(self, names: Sequence[str]) -> Tensor:
        """True for the vertices of the named parts; names this model lacks are passed over."""
        rows = [i for i, name in enumerate(self.part_names) if name in names]
        return torch.isin(self.part, torch.tensor(rows, device=self.part.device))

    def restricted_to(self, names: Sequence[str] = FACE_PARTS) -> "MorphableModel":
        """The model of some parts only: triangles whose three vertices all belong, and their
        vertices.

        Raises:
            ValueError: No triangle is left, or a landmark vertex lies outside the parts.
        """
        inside = self.part_mask(names)
        keep = inside[self.triangles].all(dim=1)
        if not keep.any():
            raise ValueError(
                f"{self.name} has no triangle in {tuple(names)}; parts: {self.part_names}"
            )
        return self._with_triangles(keep)

    def _with_triangles(self, keep: Tensor) -> "MorphableModel":
        triangles, uv_triangles = self.triangles[keep], self.uv_triangles[keep]
        used, used_uv = triangles.unique(), uv_triangles.unique()
        new = torch.full((len(self.mean_mm),), -1, dtype=torch.long, device=triangles.device)
        new[used] = torch.arange(len(used), device=triangles.device)
        new_uv = torch.full((len(self.uv),), -1, dtype=torch.long, device=triangles.device)
        new_uv[used_uv] = torch.arange(len(used_uv), device=triangles.device)
        landmarks68 = new[self.landmarks68]
        if (landmarks68 < 0).any():
            raise ValueError(f"a landmark vertex of {self.name} lies outside the chosen parts")
        mirror = new[self.mirror[used]]
        return replace(
            self,
            mean_mm=self.mean_mm[used],
            identity_mm=self.identity_mm[:, used].contiguous(),
            expression_mm=self.expression_mm[:, used].contiguous(),
            albedo_mean=self.albedo_mean[used],
            albedo_basis=self.albedo_basis[:, used].contiguous(),
            triangles=new[triangles],
            uv=self.uv[used_uv],
            uv_triangles=new_uv[uv_triangles],
            landmarks68=landmarks68,
            mirror=torch.where(mirror >= 0, mirror, torch.arange(len(used), device=mirror.device)),
            part=self.part[used],
            arkit_mm=self.arkit_mm[:, used].contiguous(),
        )

    def to(self, target: torch.dtype | torch.device | str) -> "MorphableModel":
        """The model on another device, or its real numbers in another dtype."""
        moved = {}
        for field in fields(self):
            value = getattr(self, field.name)
            whole_number = isinstance(value, Tensor) and not value.is_floating_point()
            if isinstance(value, Tensor) and not (whole_number and isinstance(target, torch.dtype)):
                moved[field.name] = value.to(target)
        return replace(self, **moved)
