"""Which triangle is seen at which pixel: the only question that a rasteriser answers here.

Barycentrics, interpolation, normals, light and every gradient are ours, so all rasterisers give the
same picture. To add one, write a function with the signature of `Rasterizer` into `RASTERIZERS`.
"""

import difflib
import importlib.util
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from facegpt.rendering.fast import rasterize_numba
from facegpt.rendering.plugins import rasterize_nvdiffrast, rasterize_pytorch3d
from facegpt.rendering.reference import rasterize_torch

MAX_PX = float(1 << 20)
MAX_DEPTH = 1e12


@runtime_checkable
class Rasterizer(Protocol):
    """Draws triangles into a picture of triangle numbers."""

    def __call__(
        self,
        screen: Float[Tensor, "batch vertex 3"],
        triangles: Int[Tensor, "triangle 3"],
        height: int,
        width: int,
        *,
        cull_back: bool = True,
    ) -> Int32[Tensor, "batch height width"]:
        """Number of the nearest triangle at every pixel centre, -1 where there is none.

        Args:
            screen: x and y in pixels (centres are integers, y down) and depth (small is near).
            triangles: Counter-clockwise seen from outside.
            cull_back: Leave out triangles seen from behind.
        """
        ...


RASTERIZERS: dict[str, Rasterizer] = {
    "numba": rasterize_numba,
    "torch": rasterize_torch,
    "nvdiffrast": rasterize_nvdiffrast,
    "pytorch3d": rasterize_pytorch3d,
}


def find_rasterizer(name: str, device: torch.device | None = None) -> Rasterizer:
    """The rasteriser of that name; `auto` is numba on a CPU, else nvdiffrast, else plain torch.

    Raises:
        ValueError: There is no such name.
    """
    if name == "auto":
        on_cpu = device is None or device.type == "cpu"
        has_nvdiffrast = importlib.util.find_spec("nvdiffrast") is not None
        name = "numba" if on_cpu else "nvdiffrast" if has_nvdiffrast else "torch"
    if name not in RASTERIZERS:
        [nearest] = difflib.get_close_matches(name, RASTERIZERS, n=1, cutoff=0)
        raise ValueError(
            f"no rasteriser {name!r}; did you mean {nearest!r}? Known: {sorted(RASTERIZERS)}"
        )
    return RASTERIZERS[name]


def check_screen(screen: Float[Tensor, "batch vertex 3"]) -> None:
    """Refuse what no rasteriser can draw.

    Raises:
        ValueError: A vertex is NaN, infinite or a million pixels away.
    """
    if not screen.numel():
        return
    low, high = screen.detach().aminmax()
    # Every comparison with NaN is false.
    if low > -MAX_PX and high < MAX_PX:
        return
    limit = screen.new_tensor([MAX_PX, MAX_PX, MAX_DEPTH])
    bad = ~(screen.detach().abs() < limit)
    if not bad.any():
        return
    face, vertex, axis = (int(i) for i in bad.nonzero()[0])
    raise ValueError(
        f"vertex {vertex} of face {face} cannot be drawn: {'xyz'[axis]} is "
        f"{float(screen[face, vertex, axis])} (limit {float(limit[axis]):g}); "
        f"theta is NaN or far too large"
    )
