"""numba kernels as torch functions with gradients: normals, shading, interpolation, rasterising.

CPU tensors only. The images of a batch run on a thread pool that is made anew after a fork. Each
function has its slow twin in plain torch (`reference.py`), which tests hold it to.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from facegpt.geometry.lighting import HARMONIC_SCALE
from facegpt.rendering import numba_kernels as kernels

_pool: ThreadPoolExecutor | None = None


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _each_image(kernel: Callable[[int], None], count: int) -> None:
    global _pool
    if count == 1:
        kernel(0)
        return
    if _pool is None:
        _pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="facegpt-render")
    list(_pool.map(kernel, range(count)))


def rasterize_numba(
    screen: Tensor, triangles: Tensor, height: int, width: int, *, cull_back: bool = True
) -> Tensor:
    """`Rasterizer` by numba; see `rasterizer.py`."""
    points = screen.detach().contiguous().numpy()
    faces = triangles.contiguous().numpy()
    ids = torch.empty(len(points), height, width, dtype=torch.int32)
    out = ids.numpy()

    def one(i: int) -> None:
        nearest = np.empty((height, width), np.float64)
        corners = np.empty((points.shape[1], 2), np.int64)
        kernels.rasterize_one(points[i], faces, cull_back, out[i], nearest, corners)

    _each_image(one, len(points))
    return ids


class _Normals(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vertices: Tensor, triangles: Tensor) -> Tensor:
        vertices = vertices.detach().contiguous()
        total, normals = torch.empty_like(vertices), torch.empty_like(vertices)
        v, f, t, n = (x.numpy() for x in (vertices, triangles, total, normals))
        _each_image(lambda i: kernels.normals_forward(v[i], f, t[i], n[i]), len(v))
        ctx.save_for_backward(vertices, triangles, total, normals)
        return normals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        vertices, triangles, total, normals = ctx.saved_tensors
        scratch, result = torch.empty_like(vertices), torch.empty_like(vertices)
        v, f, t, n, g, s, r = (
            x.numpy()
            for x in (vertices, triangles, total, normals, grad.contiguous(), scratch, result)
        )

        def one(i: int) -> None:
            kernels.normals_backward(v[i], f, t[i], n[i], g[i], s[i], r[i])

        _each_image(one, len(v))
        return result, None


class _Shade(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, albedo: Tensor, normals: Tensor, light: Tensor) -> Tensor:
        albedo, normals = albedo.detach().contiguous(), normals.detach().contiguous()
        scale = light.new_tensor(HARMONIC_SCALE).view(1, 9, 1)
        light = (light.detach() * scale).contiguous()
        colour = torch.empty_like(albedo)
        a, n, s, c = (x.numpy() for x in (albedo, normals, light, colour))
        _each_image(lambda i: kernels.shade_forward(a[i], n[i], s[i], c[i]), len(a))
        ctx.save_for_backward(albedo, normals, light, scale)
        return colour

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        albedo, normals, light, scale = ctx.saved_tensors
        results = [torch.empty_like(x) for x in (albedo, normals, light)]
        a, n, s, g, ga, gn, gs = (
            x.numpy() for x in (albedo, normals, light, grad.contiguous(), *results)
        )

        def one(i: int) -> None:
            kernels.shade_backward(a[i], n[i], s[i], g[i], ga[i], gn[i], gs[i])

        _each_image(one, len(a))
        return results[0], results[1], results[2] * scale


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, screen: Tensor, values: Tensor, ids: Tensor, triangles: Tensor, perspective: bool
    ) -> Tensor:
        screen, values = screen.detach().contiguous(), values.detach().contiguous()
        image = values.new_empty(*ids.shape, values.shape[-1])
        s, v, t, f, out = (x.numpy() for x in (screen, values, ids, triangles, image))

        def one(i: int) -> None:
            kernels.interpolate_forward(s[i], v[i], t[i], f, perspective, out[i])

        _each_image(one, len(s))
        ctx.save_for_backward(screen, values, ids, triangles)
        ctx.perspective = perspective
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        screen, values, ids, triangles = ctx.saved_tensors
        results = [torch.empty_like(screen), torch.empty_like(values)]
        s, v, t, f, g, gs, gv = (
            x.numpy() for x in (screen, values, ids, triangles, grad.contiguous(), *results)
        )

        def one(i: int) -> None:
            kernels.interpolate_backward(s[i], v[i], t[i], f, ctx.perspective, g[i], gs[i], gv[i])

        _each_image(one, len(s))
        return results[0], results[1], None, None, None


def normals_numba(vertices: Tensor, triangles: Tensor) -> Tensor:
    """`geometry.mesh.vertex_normals`, compiled."""
    return _Normals.apply(vertices, triangles.contiguous())  # pyright: ignore[reportReturnType]


def shade_numba(albedo: Tensor, normals: Tensor, light: Tensor) -> Tensor:
    """albedo * (H(n) light), compiled; `light` (B, 9, 3) includes the white ambient light."""
    return _Shade.apply(albedo, normals, light)  # pyright: ignore[reportReturnType]


def interpolate_numba(
    screen: Tensor, values: Tensor, ids: Tensor, triangles: Tensor, *, perspective: bool = False
) -> Tensor:
    """`reference.interpolate`, compiled."""
    return _Interpolate.apply(screen, values, ids, triangles.contiguous(), perspective)  # pyright: ignore[reportReturnType]
