"""From theta to a picture, differentiably: M(theta), camera, light, raster, interpolation (eq. 2b).

float32 and float64 on a CPU go through compiled kernels, everything else through plain torch.
Visibility is fixed within a step: gradients flow through colours and positions, not silhouettes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

from facegpt.geometry.camera import (
    project_orthographic,
    project_perspective,
    rotation_from_angles,
)
from facegpt.geometry.lighting import light_coefficients, sh_basis
from facegpt.geometry.mesh import vertex_normals
from facegpt.morphable.framing import CROP_SIZE
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.fast import interpolate_numba, normals_numba, shade_numba
from facegpt.rendering.rasterizer import check_screen, find_rasterizer
from facegpt.rendering.reference import interpolate


@dataclass(frozen=True)
class Rendering:
    """What a batch of theta looks like."""

    image: Float[Tensor, "batch 3 height width"]
    """sRGB, black where there is no face; not clamped, light may exceed 1."""
    mask: Bool[Tensor, "batch height width"]
    """Where the face is."""
    triangle_ids: Int32[Tensor, "batch height width"]
    """Number of the visible triangle, -1 for background."""
    vertices_px: Float[Tensor, "batch vertex 3"]
    """x, y in pixels and depth in mm (small is near)."""
    landmarks_px: Float[Tensor, "batch 68 2"]


@dataclass(frozen=True)
class _Linear:
    """A linear model of a value with three components at every vertex."""

    weight: Float[Tensor, "component coefficient"]
    mean: Float[Tensor, "component"]

    @classmethod
    def of(cls, basis: Tensor, mean: Tensor) -> "_Linear":
        """From basis vectors (N, V, 3) and their mean (V, 3)."""
        return cls(basis.flatten(1).T.contiguous(), mean.flatten())

    def __call__(self, coefficients: Tensor) -> Tensor:
        """(B, V, 3)."""
        return torch.nn.functional.linear(coefficients, self.weight, self.mean).unflatten(
            1, (-1, 3)
        )


class Renderer:
    """Renders one morphable model into square pictures."""

    def __init__(
        self,
        model: MorphableModel,
        size: int = CROP_SIZE,
        *,
        rasterizer: str = "auto",
        focal_px: float | None = None,
    ) -> None:
        """Prepare the model for fast evaluation.

        Args:
            model: Usually `MorphableModel.restricted_to()`, the parts that photos show.
            size: Side of the pictures in pixels.
            rasterizer: numba, torch, nvdiffrast, pytorch3d, or auto. `torch` also takes the plain
                torch twins of all other steps.
            focal_px: Perspective with this focal length; weak perspective, as in the paper, if
                None.

        Raises:
            ValueError: No such rasteriser, or a size below 1.
        """
        if size < 1:
            raise ValueError(f"a picture needs a size of at least 1 pixel, got {size}")
        self.model = model
        self.size = size
        self.focal_px = focal_px
        self._name = rasterizer
        self._compiled = rasterizer != "torch" and model.mean_mm.device.type == "cpu"
        self._rasterize = find_rasterizer(rasterizer, model.mean_mm.device)
        self._triangles = model.triangles.int().contiguous()
        geometry = torch.cat([model.identity_mm, model.expression_mm])
        landmarks = model.landmarks68
        # One product for shape and expression; laid out as a linear layer, its way back is fast.
        self._geometry = _Linear.of(geometry, model.mean_mm)
        self._landmarks = _Linear.of(geometry[:, landmarks], model.mean_mm[landmarks])
        self._albedo = _Linear.of(model.albedo_basis, model.albedo_mean)

    def to(self, device: torch.device | str) -> "Renderer":
        """The same pictures on another device: on a GPU without the compiled kernels of the CPU."""
        if self.model.mean_mm.device == torch.device(device):
            return self
        model = self.model.to(device)
        return Renderer(model, self.size, rasterizer=self._name, focal_px=self.focal_px)

    def __call__(self, theta: FaceParameters) -> Rendering:
        """Render every face of the batch, in the dtype of the model (autocast is ignored).

        Raises:
            ValueError: A vertex is NaN, infinite or, in perspective, behind the camera.
        """
        with torch.autocast(self.model.mean_mm.device.type, enabled=False):
            return self._render(theta.to(self.model.mean_mm.dtype))

    def landmarks_px(self, theta: FaceParameters) -> Float[Tensor, "batch 68 2"]:
        """Where the 68 points lie, without drawing anything."""
        with torch.autocast(self.model.mean_mm.device.type, enabled=False):
            theta = theta.to(self.model.mean_mm.dtype)
            vertices = self._landmarks(torch.cat([theta.shape, theta.expression], dim=1))
            return self._project(vertices, theta.camera)[..., :2]

    def _render(self, theta: FaceParameters) -> Rendering:
        model = self.model
        vertices = self._geometry(torch.cat([theta.shape, theta.expression], dim=1))
        screen = self._project(vertices, theta.camera)
        check_screen(screen)
        with torch.no_grad():
            ids = self._rasterize(self._flat(screen), self._triangles, self.size, self.size)
        normals = self._normals(vertices)
        normals = normals @ rotation_from_angles(theta.camera[:, :3]).transpose(1, 2)
        colours = self._shade(self._albedo(theta.albedo), normals, theta.illumination)
        image = self._interpolate(screen, colours, ids)
        return Rendering(
            image.permute(0, 3, 1, 2), ids >= 0, ids, screen, screen[:, model.landmarks68, :2]
        )

    def _project(self, vertices_mm: Tensor, camera: Tensor) -> Tensor:
        scale = self.model.pixels_per_mm
        if self.focal_px is None:
            return project_orthographic(vertices_mm, camera, self.size, scale)
        return project_perspective(vertices_mm, camera, self.size, scale, self.focal_px)

    def _flat(self, screen: Tensor) -> Tensor:
        """Screen positions with a depth that is linear in the picture, as rasterisers expect."""
        if self.focal_px is None:
            return screen
        depth = screen[..., 2:]
        if not (depth > 0).all():
            raise ValueError(
                f"the head reaches behind the camera: with a focal length of {self.focal_px} px it "
                f"stands too near; use a longer one or weak perspective (focal_px=None)"
            )
        return torch.cat([screen[..., :2], -1 / depth], dim=-1)

    def _normals(self, vertices: Tensor) -> Tensor:
        function = normals_numba if self._compiled else vertex_normals
        return function(vertices, self._triangles)

    def _shade(self, albedo: Tensor, normals: Tensor, phi: Tensor) -> Tensor:
        light = light_coefficients(phi)
        if self._compiled:
            return shade_numba(albedo, normals, light)
        return albedo * (sh_basis(normals) @ light)

    def _interpolate(self, screen: Tensor, colours: Tensor, ids: Tensor) -> Tensor:
        function = interpolate_numba if self._compiled else interpolate
        perspective = self.focal_px is not None
        return function(screen, colours, ids, self._triangles, perspective=perspective)


def render_mesh(
    vertices_px: Float[Tensor, "batch vertex 3"],
    values: Float[Tensor, "batch vertex channel"],
    triangles: Int[Tensor, "triangle 3"],
    height: int,
    width: int,
    *,
    rasterizer: str = "auto",
    cull_back: bool = False,
) -> tuple[Float[Tensor, "batch height width channel"], Int32[Tensor, "batch height width"]]:
    """Any attributes of any mesh as a picture, zero where there is nothing.

    Args:
        vertices_px: x, y in pixels and depth (small is near).
        values: Any number of channels, interpolated without perspective.

    Returns:
        The picture and the number of the visible triangle at every pixel (-1 for background).
    """
    check_screen(vertices_px)
    compiled = vertices_px.device.type == "cpu" and rasterizer != "torch"
    triangles = triangles.int()
    with torch.no_grad():
        rasterize = find_rasterizer(rasterizer, vertices_px.device)
        ids = rasterize(vertices_px, triangles, height, width, cull_back=cull_back)
    function = interpolate_numba if compiled else interpolate
    return function(vertices_px, values, ids, triangles), ids
