"""numba kernels as torch functions with gradients: normals, shading, interpolation, rasterising.

CPU tensors only. The images of a batch run on a thread pool that is made anew after a fork. Each
function has its slow twin in plain torch (`reference.py`), which tests hold it to. Kernels are
imported where they are called: numba takes a quarter of a second, and who asks for theta alone
renders nothing.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from facegpt.geometry.lighting import HARMONIC_SCALE

_pool: ThreadPoolExecutor | None = None
_local = threading.local()
_KEPT_PIXELS = 1 << 20


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _each_image(kernel: Callable[[int], None], count: int) -> None:
    """Call the kernel for every image, on as many threads as torch may use."""
    global _pool
    numbers = iter(range(count))

    def work() -> None:
        for i in numbers:
            kernel(i)

    helpers = min(torch.get_num_threads(), count) - 1
    if helpers > 0 and _pool is None:
        _pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="facegpt-render")
    # One job per thread, not per image: handing over a job costs a tenth of a millisecond.
    jobs = [_pool.submit(work) for _ in range(helpers)] if _pool is not None else []
    work()
    for job in jobs:
        job.result()


def _scratch(height: int, width: int, vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Memory of this thread for one image: taking it anew costs a page fault per 4 kB."""
    shape = (height, width, vertices)
    if height * width > _KEPT_PIXELS:
        return np.empty((height, width)), np.empty((vertices, 2), np.int64)
    if getattr(_local, "shape", None) != shape:
        _local.shape = shape
        _local.arrays = np.empty((height, width)), np.empty((vertices, 2), np.int64)
    return _local.arrays


def rasterize_numba(
    screen: Tensor, triangles: Tensor, height: int, width: int, *, cull_back: bool = True
) -> Tensor:
    """`Rasterizer` by numba; see `rasterizer.py`."""
    from facegpt.rendering.numba_kernels import rasterize_one

    points = screen.detach().contiguous().numpy()
    faces = triangles.contiguous().numpy()
    ids = torch.empty(len(points), height, width, dtype=torch.int32)
    out = ids.numpy()

    def one(i: int) -> None:
        nearest, corners = _scratch(height, width, points.shape[1])
        rasterize_one(points[i], faces, cull_back, out[i], nearest, corners)

    _each_image(one, len(points))
    return ids


class _Normals(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vertices: Tensor, triangles: Tensor) -> Tensor:
        from facegpt.rendering.surface_kernels import normals_forward

        vertices = vertices.detach().contiguous()
        total, normals = torch.empty_like(vertices), torch.empty_like(vertices)
        v, f, t, n = (x.numpy() for x in (vertices, triangles, total, normals))
        _each_image(lambda i: normals_forward(v[i], f, t[i], n[i]), len(v))
        ctx.save_for_backward(vertices, triangles, total, normals)
        return normals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        from facegpt.rendering.surface_kernels import normals_backward

        vertices, triangles, total, normals = ctx.saved_tensors
        scratch, result = torch.empty_like(vertices), torch.empty_like(vertices)
        v, f, t, n, g, s, r = (
            x.numpy()
            for x in (vertices, triangles, total, normals, grad.contiguous(), scratch, result)
        )

        def one(i: int) -> None:
            normals_backward(v[i], f, t[i], n[i], g[i], s[i], r[i])

        _each_image(one, len(v))
        return result, None


class _Shade(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, albedo: Tensor, normals: Tensor, light: Tensor) -> Tensor:
        from facegpt.rendering.surface_kernels import shade_forward

        albedo, normals = albedo.detach().contiguous(), normals.detach().contiguous()
        scale = light.new_tensor(HARMONIC_SCALE).view(1, 9, 1)
        light = (light.detach() * scale).contiguous()
        colour = torch.empty_like(albedo)
        a, n, s, c = (x.numpy() for x in (albedo, normals, light, colour))
        _each_image(lambda i: shade_forward(a[i], n[i], s[i], c[i]), len(a))
        ctx.save_for_backward(albedo, normals, light, scale)
        return colour

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        from facegpt.rendering.surface_kernels import light_backward, shade_backward

        albedo, normals, light, scale = ctx.saved_tensors
        results = [torch.empty_like(x) for x in (albedo, normals, light)]
        a, n, s, g, ga, gn, gs = (
            x.numpy() for x in (albedo, normals, light, grad.contiguous(), *results)
        )

        def one(i: int) -> None:
            shade_backward(a[i], n[i], s[i], g[i], ga[i], gn[i])
            light_backward(a[i], n[i], g[i], gs[i])

        _each_image(one, len(a))
        return results[0], results[1], results[2] * scale


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, screen: Tensor, values: Tensor, ids: Tensor, triangles: Tensor, perspective: bool
    ) -> Tensor:
        from facegpt.rendering.numba_kernels import interpolate_forward

        screen, values = screen.detach().contiguous(), values.detach().contiguous()
        # Planes in memory, as photos and losses have them; mixed layouts are slow to compare.
        planes = values.new_empty(len(ids), values.shape[-1], *ids.shape[1:])
        image = planes.permute(0, 2, 3, 1)
        s, v, t, f, out = (x.numpy() for x in (screen, values, ids, triangles, image))

        def one(i: int) -> None:
            interpolate_forward(s[i], v[i], t[i], f, perspective, out[i])

        _each_image(one, len(s))
        ctx.save_for_backward(screen, values, ids, triangles)
        ctx.perspective = perspective
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        from facegpt.rendering.numba_kernels import interpolate_backward

        screen, values, ids, triangles = ctx.saved_tensors
        results = [torch.empty_like(screen), torch.empty_like(values)]
        grad = grad.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
        s, v, t, f, g, gs, gv = (
            x.numpy() for x in (screen, values, ids, triangles, grad, *results)
        )

        def one(i: int) -> None:
            interpolate_backward(s[i], v[i], t[i], f, ctx.perspective, g[i], gs[i], gv[i])

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
