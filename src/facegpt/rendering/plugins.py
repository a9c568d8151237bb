"""Rasterisers that the user installs: nvdiffrast and PyTorch3D. Imported at the first call only.

Neither is needed, neither is installed by us, and neither can be run on the machines we test on:
they are checked against the documented interfaces, not measured.
"""

import torch
from torch import Tensor


class RasterizerMissingError(ImportError):
    """An optional rasteriser is not installed."""


def rasterize_nvdiffrast(
    screen: Tensor, triangles: Tensor, height: int, width: int, *, cull_back: bool = True
) -> Tensor:
    """`Rasterizer` by nvdiffrast (CUDA; its licence allows research and evaluation only)."""
    try:
        import nvdiffrast.torch as dr  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise RasterizerMissingError(_advice("nvdiffrast")) from error
    context = dr.RasterizeCudaContext()
    clip = _clip_space(screen, height, width)
    images = []
    for points, corners in zip(screen, clip, strict=True):
        shown = _front_facing(points, triangles) if cull_back else torch.arange(len(triangles))
        shown = shown.to(screen.device)
        found = dr.rasterize(context, corners[None], triangles[shown].int(), (height, width))[0]
        ids = found[0, ..., 3].long() - 1
        images.append(torch.where(ids >= 0, shown[ids.clamp(min=0)], -1).int())
    return torch.stack(images)


def rasterize_pytorch3d(
    screen: Tensor, triangles: Tensor, height: int, width: int, *, cull_back: bool = True
) -> Tensor:
    """`Rasterizer` by PyTorch3D."""
    try:
        from pytorch3d.renderer.mesh import rasterize_meshes  # pyright: ignore
        from pytorch3d.structures import Meshes  # pyright: ignore
    except ImportError as error:
        raise RasterizerMissingError(_advice("pytorch3d")) from error
    shorter = min(height, width)
    centre = screen.new_tensor([(width - 1) / 2, (height - 1) / 2])
    ndc = torch.cat(
        [(centre - screen[..., :2]) * 2 / shorter, screen[..., 2:] - screen[..., 2].min() + 1], -1
    )
    meshes = Meshes(ndc, triangles.long().expand(len(screen), -1, -1))
    ids = rasterize_meshes(meshes, (height, width), cull_backfaces=cull_back)[0][..., 0]
    offset = torch.arange(len(screen), device=ids.device).view(-1, 1, 1) * len(triangles)
    return torch.where(ids >= 0, ids - offset, -1).int()


def _advice(package: str) -> str:
    return (
        f"the rasteriser {package!r} needs the package {package}, which is not installed here. "
        f"Install it as its authors describe, or use --rasterizer auto"
    )


def _front_facing(points: Tensor, triangles: Tensor) -> Tensor:
    """Numbers of the triangles seen from outside: clockwise on a screen whose y points down."""
    a, b, c = (points[triangles[:, k].long(), :2] for k in range(3))
    one, two = b - a, c - a
    return (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] < 0).nonzero()[:, 0]


def _clip_space(screen: Tensor, height: int, width: int) -> Tensor:
    """Homogeneous clip coordinates whose pixel centres lie where ours do."""
    x = (screen[..., 0] + 0.5) * 2 / width - 1
    y = (screen[..., 1] + 0.5) * 2 / height - 1
    z = screen[..., 2]
    low, high = z.min(), z.max()
    depth = (z - low) / (high - low).clamp(min=1e-6) * 1.8 - 0.9
    return torch.stack([x, y, depth, torch.ones_like(x)], dim=-1).contiguous()
