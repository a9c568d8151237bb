"""The inner loops over vertices, compiled by numba: normals and light, one mesh per call.

Same rules as `numba_kernels.py`. Constants are made in the dtype of the data, because a literal
would turn float32 arithmetic into float64 and keep the compiler from using vector instructions.
"""

import numpy as np

from facegpt.rendering.numba_kernels import compiled

_VECTORIZE = {"fastmath": {"contract", "reassoc", "nsz"}}
_BLOCK = 256
"""Vertices summed in the dtype of the data before float64 takes over."""


@compiled()
def normals_forward(vertices, triangles, total, normals):
    """Area-weighted vertex normals; `total` keeps their sums for the way back."""
    total[:] = 0
    for t in range(triangles.shape[0]):
        i, j, k = np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
        ax = vertices[j, 0] - vertices[i, 0]
        ay = vertices[j, 1] - vertices[i, 1]
        az = vertices[j, 2] - vertices[i, 2]
        bx = vertices[k, 0] - vertices[i, 0]
        by = vertices[k, 1] - vertices[i, 1]
        bz = vertices[k, 2] - vertices[i, 2]
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for corner in (i, j, k):
            total[corner, 0] += nx
            total[corner, 1] += ny
            total[corner, 2] += nz
    for v in range(vertices.shape[0]):
        x, y, z = total[v, 0], total[v, 1], total[v, 2]
        length = np.sqrt(x * x + y * y + z * z + 1e-20)
        normals[v, 0] = x / length
        normals[v, 1] = y / length
        normals[v, 2] = z / length


@compiled()
def normals_backward(vertices, triangles, total, normals, grad, grad_total, grad_vertices):
    """Gradient of the vertices from the gradient of the normals."""
    grad_vertices[:] = 0
    for v in range(vertices.shape[0]):
        x, y, z = total[v, 0], total[v, 1], total[v, 2]
        length = np.sqrt(x * x + y * y + z * z + 1e-20)
        along = grad[v, 0] * normals[v, 0] + grad[v, 1] * normals[v, 1] + grad[v, 2] * normals[v, 2]
        for d in range(3):
            grad_total[v, d] = (grad[v, d] - along * normals[v, d]) / length
    for t in range(triangles.shape[0]):
        i, j, k = np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
        gx = grad_total[i, 0] + grad_total[j, 0] + grad_total[k, 0]
        gy = grad_total[i, 1] + grad_total[j, 1] + grad_total[k, 1]
        gz = grad_total[i, 2] + grad_total[j, 2] + grad_total[k, 2]
        ax = vertices[j, 0] - vertices[i, 0]
        ay = vertices[j, 1] - vertices[i, 1]
        az = vertices[j, 2] - vertices[i, 2]
        bx = vertices[k, 0] - vertices[i, 0]
        by = vertices[k, 1] - vertices[i, 1]
        bz = vertices[k, 2] - vertices[i, 2]
        # n = a x b, so dL/da = b x g and dL/db = g x a.
        dax, day, daz = by * gz - bz * gy, bz * gx - bx * gz, bx * gy - by * gx
        dbx, dby, dbz = gy * az - gz * ay, gz * ax - gx * az, gx * ay - gy * ax
        grad_vertices[j, 0] += dax
        grad_vertices[j, 1] += day
        grad_vertices[j, 2] += daz
        grad_vertices[k, 0] += dbx
        grad_vertices[k, 1] += dby
        grad_vertices[k, 2] += dbz
        grad_vertices[i, 0] -= dax + dbx
        grad_vertices[i, 1] -= day + dby
        grad_vertices[i, 2] -= daz + dbz


@compiled(inline="always")
def _irradiance(light, c, x, y, z, xy, yz, zz, xz, xx):
    return (
        light[0, c] + light[1, c] * y + light[2, c] * z + light[3, c] * x
        + light[4, c] * xy + light[5, c] * yz + light[6, c] * zz
        + light[7, c] * xz + light[8, c] * xx
    )  # fmt: skip


@compiled(**_VECTORIZE)
def shade_forward(albedo, normals, light, colour):
    """albedo * (polynomials(n) . light); `light` already carries the scale of the harmonics."""
    one = normals.dtype.type(1)
    three = one + one + one
    for v in range(normals.shape[0]):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        xy, yz, zz, xz, xx = x * y, y * z, three * z * z - one, x * z, x * x - y * y
        for c in range(3):
            colour[v, c] = albedo[v, c] * _irradiance(light, c, x, y, z, xy, yz, zz, xz, xx)


@compiled(**_VECTORIZE)
def shade_backward(albedo, normals, light, grad, grad_albedo, grad_normals):
    """Gradients of albedo and normals."""
    one = normals.dtype.type(1)
    two, three = one + one, one + one + one
    for v in range(normals.shape[0]):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        xy, yz, zz, xz, xx = x * y, y * z, three * z * z - one, x * z, x * x - y * y
        dx, dy, dz = x - x, x - x, x - x
        for c in range(3):
            grad_albedo[v, c] = grad[v, c] * _irradiance(light, c, x, y, z, xy, yz, zz, xz, xx)
            g = grad[v, c] * albedo[v, c]
            dx += g * (light[3, c] + light[4, c] * y + light[7, c] * z + two * light[8, c] * x)
            dy += g * (light[1, c] + light[4, c] * x + light[5, c] * z - two * light[8, c] * y)
            dz += g * (
                light[2, c] + light[5, c] * y + two * three * light[6, c] * z + light[7, c] * x
            )
        grad_normals[v, 0] = dx
        grad_normals[v, 1] = dy
        grad_normals[v, 2] = dz


@compiled(**_VECTORIZE)
def light_backward(albedo, normals, grad, grad_light):
    """Gradient of the light: sums over all vertices."""
    one = normals.dtype.type(1)
    three, count = one + one + one, normals.shape[0]
    grad_light[:] = 0
    for c in range(3):
        for start in range(0, count, _BLOCK):
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = one - one
            for v in range(start, min(start + _BLOCK, count)):
                x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
                g = grad[v, c] * albedo[v, c]
                s0 += g
                s1 += g * y
                s2 += g * z
                s3 += g * x
                s4 += g * (x * y)
                s5 += g * (y * z)
                s6 += g * (three * z * z - one)
                s7 += g * (x * z)
                s8 += g * (x * x - y * y)
            for k, s in enumerate((s0, s1, s2, s3, s4, s5, s6, s7, s8)):
                grad_light[k, c] += s
