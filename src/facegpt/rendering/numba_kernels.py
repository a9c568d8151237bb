"""The inner loops of rasterising and interpolating on a CPU, compiled by numba: one image per call.

Serial on purpose: the images of a batch run in threads (the kernels release the GIL), because
numba's own parallel loops kill forked children or abort on concurrent callers. Every kernel writes
into arrays it is given. float32 and float64 both work. Knows nothing about torch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from facegpt.rendering.sampling import SLIVER_PX2, SUBPIXEL_BITS, SUBPIXELS

_FUSED = {"fastmath": {"contract", "nsz"}}
"""For interpolation only: depths of a rasteriser must round as those of its twin do."""


def compiled(**options: Any) -> Callable[[Callable], Callable]:
    """`numba.njit` that keeps its machine code on disk where it may.

    numba falls back to a cache folder of the user when the package cannot be written to; where
    there is none either, it refuses, and the kernel is compiled anew in every process.
    """

    def compile_(function: Callable) -> Callable:
        try:
            return njit(cache=True, nogil=True, error_model="numpy", **options)(function)
        except RuntimeError:
            return njit(nogil=True, error_model="numpy", **options)(function)

    return compile_


@compiled()
def rasterize_one(screen, triangles, cull_back, ids, nearest, corners):
    """Number of the nearest triangle at every pixel centre, -1 for background.

    Corners are snapped to 1/256 pixel, so the edge functions are exact integers. Top-left rule: a
    pixel on a shared edge belongs to exactly one of the two triangles. Of equal depths the lower
    number wins. A triangle seen from outside runs clockwise on the screen, whose y points down, so
    its area is negative.

    Args:
        screen: (vertex, 3) x, y in pixels, and depth.
        ids: (height, width) int32, the result.
        nearest: (height, width) float64, scratch.
        corners: (vertex, 2) int64, scratch.
    """
    height, width = ids.shape
    ids[:] = -1
    nearest[:] = np.inf
    for v in range(screen.shape[0]):
        corners[v, 0] = np.int64(np.floor(screen[v, 0] * SUBPIXELS + 0.5))
        corners[v, 1] = np.int64(np.floor(screen[v, 1] * SUBPIXELS + 0.5))
    for t in range(triangles.shape[0]):
        # Unsigned, or numba asks at every access whether the index counts from the end.
        a, b, c = np.uint32(triangles[t, 0]), np.uint32(triangles[t, 2]), np.uint32(triangles[t, 1])
        xa, ya = corners[a, 0], corners[a, 1]
        xb, yb = corners[b, 0], corners[b, 1]
        xc, yc = corners[c, 0], corners[c, 1]
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if area == 0 or (area < 0 and cull_back):
            continue
        left = max((min(xa, min(xb, xc)) + SUBPIXELS - 1) >> SUBPIXEL_BITS, 0)
        right = min(max(xa, max(xb, xc)) >> SUBPIXEL_BITS, width - 1)
        top = max((min(ya, min(yb, yc)) + SUBPIXELS - 1) >> SUBPIXEL_BITS, 0)
        bottom = min(max(ya, max(yb, yc)) >> SUBPIXEL_BITS, height - 1)
        if left > right or top > bottom:
            continue
        if area < 0:
            b, c = c, b
            xb, yb, xc, yc = xc, yc, xb, yb
            area = -area
        depth_a = np.float64(screen[a, 2])
        slope_b, slope_c = (screen[b, 2] - depth_a) / area, (screen[c, 2] - depth_a) / area
        dxa, dya = xc - xb, yc - yb
        dxb, dyb = xa - xc, ya - yc
        dxc, dyc = xb - xa, yb - ya
        # An edge that is neither top nor left gives its own pixels away.
        give_a = 0 if (dya < 0 or (dya == 0 and dxa > 0)) else -1
        give_b = 0 if (dyb < 0 or (dyb == 0 and dxb > 0)) else -1
        give_c = 0 if (dyc < 0 or (dyc == 0 and dxc > 0)) else -1
        x, y = left << SUBPIXEL_BITS, top << SUBPIXEL_BITS
        row_a = dxa * (y - yb) - dya * (x - xb) + give_a
        row_b = dxb * (y - yc) - dyb * (x - xc) + give_b
        row_c = dxc * (y - ya) - dyc * (x - xa) + give_c
        for py in range(top, bottom + 1):
            edge_a, edge_b, edge_c = row_a, row_b, row_c
            for px in range(left, right + 1):
                if (edge_a | edge_b | edge_c) >= 0:
                    depth = depth_a + (edge_b - give_b) * slope_b + (edge_c - give_c) * slope_c
                    if depth < nearest[np.uint32(py), np.uint32(px)]:
                        nearest[np.uint32(py), np.uint32(px)] = depth
                        ids[np.uint32(py), np.uint32(px)] = t
                edge_a -= dya << SUBPIXEL_BITS
                edge_b -= dyb << SUBPIXEL_BITS
                edge_c -= dyc << SUBPIXEL_BITS
            row_a += dxa << SUBPIXEL_BITS
            row_b += dxb << SUBPIXEL_BITS
            row_c += dxc << SUBPIXEL_BITS


@compiled(inline="always", **_FUSED)
def _corner_shares(screen, i, j, k, px, py, perspective):
    """What the three corners weigh at a pixel, not yet divided by their sum.

    Snapping lets a pixel lie up to 1/256 outside its triangle: there a share is cut off at zero.

    Returns:
        The shares, 1 / depth of the corners where perspective counts, and 1 for each corner whose
        share may move (else 0).
    """
    xi, yi = np.float64(screen[i, 0]) - px, np.float64(screen[i, 1]) - py
    xj, yj = np.float64(screen[j, 0]) - px, np.float64(screen[j, 1]) - py
    xk, yk = np.float64(screen[k, 0]) - px, np.float64(screen[k, 1]) - py
    qi, qj, qk = xj * yk - xk * yj, xk * yi - xi * yk, xi * yj - xj * yi
    total = qi + qj + qk
    if abs(total) < SLIVER_PX2:
        return 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0
    mi = 1.0 if qi * total > 0 else 0.0
    mj = 1.0 if qj * total > 0 else 0.0
    mk = 1.0 if qk * total > 0 else 0.0
    si, sj, sk = 1.0, 1.0, 1.0
    if perspective:
        si, sj, sk = 1.0 / screen[i, 2], 1.0 / screen[j, 2], 1.0 / screen[k, 2]
    return qi * si * mi, qj * sj * mj, qk * sk * mk, si, sj, sk, mi, mj, mk


@compiled(inline="always", **_FUSED)
def _paint(screen, values, ids, triangles, perspective, image, channels):
    height, width = ids.shape
    real = values.dtype.type
    for py in range(height):
        for px in range(width):
            t = ids[py, px]
            if t < 0:
                for c in range(channels):
                    image[py, px, c] = 0
                continue
            i, j, k = (
                np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
            )  # fmt: skip
            ri, rj, rk = _corner_shares(screen, i, j, k, px, py, perspective)[:3]
            scale = 1.0 / (ri + rj + rk)
            wi, wj, wk = real(ri * scale), real(rj * scale), real(rk * scale)
            for c in range(channels):
                image[py, px, c] = wi * values[i, c] + wj * values[j, c] + wk * values[k, c]


@compiled(**_FUSED)
def interpolate_forward(screen, values, ids, triangles, perspective, image):
    """Attributes of the visible triangle at every pixel, zero where there is none.

    Shares are found in float64, because thin triangles cancel; the rest has the dtype of the data.
    """
    # A constant number of channels lets the compiler unroll the innermost loop.
    if values.shape[1] == 3:
        _paint(screen, values, ids, triangles, perspective, image, 3)
    else:
        _paint(screen, values, ids, triangles, perspective, image, values.shape[1])


@compiled(inline="always", **_FUSED)
def _collect(screen, values, ids, triangles, perspective, grad, grad_screen, grad_values, channels):
    height, width = ids.shape
    real = values.dtype.type
    for py in range(height):
        for px in range(width):
            t = ids[py, px]
            if t < 0:
                continue
            i, j, k = (
                np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
            )  # fmt: skip
            ri, rj, rk, si, sj, sk, mi, mj, mk = _corner_shares(
                screen, i, j, k, px, py, perspective
            )
            scale = 1.0 / (ri + rj + rk)
            wi, wj, wk = real(ri * scale), real(rj * scale), real(rk * scale)
            gi, gj, gk = real(0), real(0), real(0)
            for c in range(channels):
                g = grad[py, px, c]
                vi, vj, vk = values[i, c], values[j, c], values[k, c]
                mean = wi * vi + wj * vj + wk * vk
                gi += g * (vi - mean)
                gj += g * (vj - mean)
                gk += g * (vk - mean)
                grad_values[i, c] += wi * g
                grad_values[j, c] += wj * g
                grad_values[k, c] += wk * g
            if perspective:
                grad_screen[i, 2] -= gi * wi * si * mi
                grad_screen[j, 2] -= gj * wj * sj * mj
                grad_screen[k, 2] -= gk * wk * sk * mk
            gi, gj, gk = (
                gi * real(scale * si * mi), gj * real(scale * sj * mj), gk * real(scale * sk * mk)
            )  # fmt: skip
            xi, yi = screen[i, 0] - real(px), screen[i, 1] - real(py)
            xj, yj = screen[j, 0] - real(px), screen[j, 1] - real(py)
            xk, yk = screen[k, 0] - real(px), screen[k, 1] - real(py)
            grad_screen[i, 0] += gk * yj - gj * yk
            grad_screen[i, 1] += gj * xk - gk * xj
            grad_screen[j, 0] += gi * yk - gk * yi
            grad_screen[j, 1] += gk * xi - gi * xk
            grad_screen[k, 0] += gj * yi - gi * yj
            grad_screen[k, 1] += gi * xj - gj * xi


@compiled(**_FUSED)
def interpolate_backward(
    screen, values, ids, triangles, perspective, grad, grad_screen, grad_values
):
    """Gradients of corners and attributes, for fixed visibility."""
    grad_screen[:] = 0
    grad_values[:] = 0
    if values.shape[1] == 3:
        _collect(screen, values, ids, triangles, perspective, grad, grad_screen, grad_values, 3)
    else:
        _collect(
            screen, values, ids, triangles, perspective, grad, grad_screen, grad_values,
            values.shape[1],
        )  # fmt: skip
