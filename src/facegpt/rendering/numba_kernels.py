"""The inner loops of rendering on a CPU, compiled by numba: one image per call.

Serial on purpose: the images of a batch run in threads (the kernels release the GIL), because
numba's own parallel loops kill forked children or abort on concurrent callers. Every kernel writes
into arrays it is given. float32 and float64 both work. Knows nothing about torch.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
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
        corners[v, 0] = np.int64(np.floor(screen[v, 0] * 256 + 0.5))
        corners[v, 1] = np.int64(np.floor(screen[v, 1] * 256 + 0.5))
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 2], triangles[t, 1]
        xa, ya = corners[a, 0], corners[a, 1]
        xb, yb = corners[b, 0], corners[b, 1]
        xc, yc = corners[c, 0], corners[c, 1]
        left = max((min(xa, min(xb, xc)) + 255) >> 8, 0)
        right = min(max(xa, max(xb, xc)) >> 8, width - 1)
        top = max((min(ya, min(yb, yc)) + 255) >> 8, 0)
        bottom = min(max(ya, max(yb, yc)) >> 8, height - 1)
        if left > right or top > bottom:
            continue
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if area == 0 or (area < 0 and cull_back):
            continue
        if area < 0:
            b, c = c, b
            xb, yb, xc, yc = xc, yc, xb, yb
            area = -area
        za, zb, zc = screen[a, 2], screen[b, 2], screen[c, 2]
        slope_b = (np.float64(zb) - za) / area
        slope_c = (np.float64(zc) - za) / area
        dxa, dya = xc - xb, yc - yb
        dxb, dyb = xa - xc, ya - yc
        dxc, dyc = xb - xa, yb - ya
        # An edge that is neither top nor left gives its own pixels away.
        give_a = 0 if (dya < 0 or (dya == 0 and dxa > 0)) else -1
        give_b = 0 if (dyb < 0 or (dyb == 0 and dxb > 0)) else -1
        give_c = 0 if (dyc < 0 or (dyc == 0 and dxc > 0)) else -1
        x, y = left << 8, top << 8
        row_a = dxa * (y - yb) - dya * (x - xb)
        row_b = dxb * (y - yc) - dyb * (x - xc)
        row_c = dxc * (y - ya) - dyc * (x - xa)
        for py in range(top, bottom + 1):
            edge_a, edge_b, edge_c = row_a, row_b, row_c
            for px in range(left, right + 1):
                if edge_a + give_a >= 0 and edge_b + give_b >= 0 and edge_c + give_c >= 0:
                    depth = za + edge_b * slope_b + edge_c * slope_c
                    if depth < nearest[py, px]:
                        nearest[py, px] = depth
                        ids[py, px] = t
                edge_a -= dya << 8
                edge_b -= dyb << 8
                edge_c -= dyc << 8
            row_a += dxa << 8
            row_b += dxb << 8
            row_c += dxc << 8


@njit(cache=True, nogil=True)
def normals_forward(vertices, triangles, total, normals):
    """Area-weighted vertex normals; `total` keeps their sums for the way back."""
    total[:] = 0
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
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


@njit(cache=True, nogil=True)
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
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
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


@njit(cache=True, nogil=True)
def shade_forward(albedo, normals, light, colour):
    """albedo * (polynomials(n) . light); `light` already carries the scale of the harmonics."""
    for v in range(normals.shape[0]):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        xy, yz, zz, xz, xx = x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y
        for c in range(3):
            irradiance = (
                light[0, c] + light[1, c] * y + light[2, c] * z + light[3, c] * x
                + light[4, c] * xy + light[5, c] * yz + light[6, c] * zz
                + light[7, c] * xz + light[8, c] * xx
            )  # fmt: skip
            colour[v, c] = albedo[v, c] * irradiance


@njit(cache=True, nogil=True)
def shade_backward(albedo, normals, light, grad, grad_albedo, grad_normals, grad_light):
    """Gradients of albedo, normals and light; the light is summed in float64."""
    total = np.zeros((9, 3), np.float64)
    for v in range(normals.shape[0]):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        xy, yz, zz, xz, xx = x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y
        dx, dy, dz = x * 0, x * 0, x * 0
        for c in range(3):
            irradiance = (
                light[0, c] + light[1, c] * y + light[2, c] * z + light[3, c] * x
                + light[4, c] * xy + light[5, c] * yz + light[6, c] * zz
                + light[7, c] * xz + light[8, c] * xx
            )  # fmt: skip
            grad_albedo[v, c] = grad[v, c] * irradiance
            g = grad[v, c] * albedo[v, c]
            dx += g * (light[3, c] + light[4, c] * y + light[7, c] * z + 2 * light[8, c] * x)
            dy += g * (light[1, c] + light[4, c] * x + light[5, c] * z - 2 * light[8, c] * y)
            dz += g * (light[2, c] + light[5, c] * y + 6 * light[6, c] * z + light[7, c] * x)
            total[0, c] += g
            total[1, c] += g * y
            total[2, c] += g * z
            total[3, c] += g * x
            total[4, c] += g * xy
            total[5, c] += g * yz
            total[6, c] += g * zz
            total[7, c] += g * xz
            total[8, c] += g * xx
        grad_normals[v, 0] = dx
        grad_normals[v, 1] = dy
        grad_normals[v, 2] = dz
    for k in range(9):
        for c in range(3):
            grad_light[k, c] = total[k, c]


SLIVER_PX2 = 1e-2
"""Below this doubled area the corners are averaged: snapping moves them too far."""


@njit(cache=True, nogil=True)
def interpolate_forward(screen, values, ids, triangles, perspective, image):
    """Attributes of the visible triangle at every pixel, zero where there is none."""
    height, width = ids.shape
    channels = values.shape[1]
    for py in range(height):
        for px in range(width):
            t = ids[py, px]
            if t < 0:
                for c in range(channels):
                    image[py, px, c] = 0
                continue
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            xi, yi = screen[i, 0] - px, screen[i, 1] - py
            xj, yj = screen[j, 0] - px, screen[j, 1] - py
            xk, yk = screen[k, 0] - px, screen[k, 1] - py
            wi, wj, wk = xj * yk - xk * yj, xk * yi - xi * yk, xi * yj - xj * yi
            if abs(wi + wj + wk) < SLIVER_PX2:
                wi, wj, wk = xi * 0 + 1, xi * 0 + 1, xi * 0 + 1
            elif perspective:
                wi, wj, wk = wi / screen[i, 2], wj / screen[j, 2], wk / screen[k, 2]
            total = wi + wj + wk
            wi, wj, wk = wi / total, wj / total, wk / total
            for c in range(channels):
                image[py, px, c] = wi * values[i, c] + wj * values[j, c] + wk * values[k, c]


@njit(cache=True, nogil=True)
def interpolate_backward(
    screen, values, ids, triangles, perspective, grad, grad_screen, grad_values
):
    """Gradients of corners and attributes, for fixed visibility."""
    height, width = ids.shape
    channels = values.shape[1]
    grad_screen[:] = 0
    grad_values[:] = 0
    for py in range(height):
        for px in range(width):
            t = ids[py, px]
            if t < 0:
                continue
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            xi, yi = screen[i, 0] - px, screen[i, 1] - py
            xj, yj = screen[j, 0] - px, screen[j, 1] - py
            xk, yk = screen[k, 0] - px, screen[k, 1] - py
            qi, qj, qk = xj * yk - xk * yj, xk * yi - xi * yk, xi * yj - xj * yi
            sliver = abs(qi + qj + qk) < SLIVER_PX2
            si, sj, sk = xi * 0 + 1, xi * 0 + 1, xi * 0 + 1
            if sliver:
                qi, qj, qk = si, sj, sk
            elif perspective:
                si, sj, sk = si / screen[i, 2], sj / screen[j, 2], sk / screen[k, 2]
            total = qi * si + qj * sj + qk * sk
            wi, wj, wk = qi * si / total, qj * sj / total, qk * sk / total
            gi, gj, gk = xi * 0, xi * 0, xi * 0
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
            if sliver:
                continue
            gi, gj, gk = gi / total, gj / total, gk / total
            if perspective:
                grad_screen[i, 2] -= gi * qi * si * si
                grad_screen[j, 2] -= gj * qj * sj * sj
                grad_screen[k, 2] -= gk * qk * sk * sk
            gi, gj, gk = gi * si, gj * sj, gk * sk
            grad_screen[i, 0] += gk * yj - gj * yk
            grad_screen[i, 1] += gj * xk - gk * xj
            grad_screen[j, 0] += gi * yk - gk * yi
            grad_screen[j, 1] += gk * xi - gi * xk
            grad_screen[k, 0] += gj * yi - gi * yj
            grad_screen[k, 1] += gi * xj - gj * xi
