"""Rendering in plain torch: the slow, obvious twin of the compiled kernels, and the path on a
GPU."""

import torch
from torch import Tensor

from facegpt.rendering.sampling import SLIVER_PX2, SUBPIXEL_BITS, SUBPIXELS

_FRAGMENTS_AT_ONCE = 1 << 22


def rasterize_torch(
    screen: Tensor, triangles: Tensor, height: int, width: int, *, cull_back: bool = True
) -> Tensor:
    """`Rasterizer` in plain torch, on any device; see `rasterizer.py`."""
    images = [_rasterize_one(points, triangles, height, width, cull_back) for points in screen]
    if not images:
        return torch.empty(0, height, width, dtype=torch.int32, device=screen.device)
    return torch.stack(images)


def _rasterize_one(
    points: Tensor, triangles: Tensor, height: int, width: int, cull_back: bool
) -> Tensor:
    points = points.detach()
    snapped = torch.floor(points[:, :2] * SUBPIXELS + 0.5).long()
    order = triangles[:, [0, 2, 1]].long()
    corners, depth = snapped[order], points[:, 2][order]
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = one[:, 0] * two[:, 1] - two[:, 0] * one[:, 1]
    turned = (area < 0).view(-1, 1, 1)
    corners = torch.where(turned, corners[:, [0, 2, 1]], corners)
    depth = torch.where(turned[:, 0], depth[:, [0, 2, 1]], depth)
    first = ((corners.amin(dim=1) + SUBPIXELS - 1) >> SUBPIXEL_BITS).clamp(min=0)
    limit = torch.tensor([width - 1, height - 1], device=points.device)
    last = torch.minimum(corners.amax(dim=1) >> SUBPIXEL_BITS, limit)
    drawn = (area > 0) if cull_back else (area != 0)
    chosen = (drawn & (first <= last).all(dim=1)).nonzero()[:, 0]
    nearest = torch.full((height * width,), torch.inf, dtype=torch.float64, device=points.device)
    ids = torch.full((height * width,), len(triangles), device=points.device)
    boxes = last - first + 1
    count = boxes[:, 0] * boxes[:, 1]
    for part in _parts(chosen, count):
        _draw(part, corners, depth, area, first, boxes, width, nearest, ids)
    ids = torch.where(ids == len(triangles), -1, ids)
    return ids.view(height, width).int()


def _parts(chosen: Tensor, count: Tensor) -> list[Tensor]:
    """Triangles in groups whose bounding boxes hold a bounded number of pixels together."""
    group = count[chosen].cumsum(0) // _FRAGMENTS_AT_ONCE
    sizes = torch.unique_consecutive(group, return_counts=True)[1]
    return list(chosen.split(sizes.tolist()))


def _draw(
    part: Tensor,
    corners: Tensor,
    depth: Tensor,
    area: Tensor,
    first: Tensor,
    boxes: Tensor,
    width: int,
    nearest: Tensor,
    ids: Tensor,
) -> None:
    count = boxes[part, 0] * boxes[part, 1]
    triangle = part.repeat_interleave(count)
    start = (count.cumsum(0) - count).repeat_interleave(count)
    inside_box = torch.arange(len(triangle), device=part.device) - start
    column, row = inside_box % boxes[triangle, 0], inside_box // boxes[triangle, 0]
    x, y = first[triangle, 0] + column, first[triangle, 1] + row
    edges, covered = [], torch.ones_like(triangle, dtype=torch.bool)
    for k in range(3):
        a, b = corners[triangle, (k + 1) % 3], corners[triangle, (k + 2) % 3]
        step = b - a
        edge = step[:, 0] * (y * SUBPIXELS - a[:, 1]) - step[:, 1] * (x * SUBPIXELS - a[:, 0])
        owns = (step[:, 1] < 0) | ((step[:, 1] == 0) & (step[:, 0] > 0))
        covered &= torch.where(owns, edge >= 0, edge > 0)
        edges.append(edge)
    triangle, x, y = triangle[covered], x[covered], y[covered]
    z = depth[triangle].double()
    size = area[triangle].abs()
    pixel_depth = (
        depth[triangle][:, 0].double()
        + edges[1][covered] * ((z[:, 1] - z[:, 0]) / size)
        + edges[2][covered] * ((z[:, 2] - z[:, 0]) / size)
    )
    pixel = y * width + x
    before = nearest.clone()
    nearest.scatter_reduce_(0, pixel, pixel_depth, "amin")
    # A pixel that got nearer forgets its triangle; of equal depths the lower number wins.
    ids[nearest < before] = torch.iinfo(torch.int64).max
    wins = pixel_depth == nearest[pixel]
    ids.scatter_reduce_(0, pixel[wins], triangle[wins], "amin")


def interpolate(
    screen: Tensor, values: Tensor, ids: Tensor, triangles: Tensor, *, perspective: bool = False
) -> Tensor:
    """Attributes (B, V, C) of the visible triangle at every pixel: (B, H, W, C), zero elsewhere."""
    batch, row, column = (ids >= 0).nonzero(as_tuple=True)
    corners = triangles.long()[ids[batch, row, column].long()]
    corner_px = screen[batch[:, None], corners].double()
    x, y = (corner_px[..., :2] - torch.stack([column, row], dim=-1)[:, None]).unbind(-1)
    share = x.roll(-1, 1) * y.roll(-2, 1) - x.roll(-2, 1) * y.roll(-1, 1)
    total = share.detach().sum(dim=1, keepdim=True)
    # Snapping lets a pixel lie up to 1/256 outside its triangle: there a share is cut off at zero.
    share = torch.where(share * total > 0, share, 0.0)
    if perspective:
        share = share / corner_px[..., 2]
    share = torch.where(total.abs() < SLIVER_PX2, 1.0, share)
    weight = (share / share.sum(dim=1, keepdim=True)).to(values.dtype)
    shown = (values[batch[:, None], corners] * weight[..., None]).sum(dim=1)
    image = values.new_zeros(*ids.shape, values.shape[-1])
    return image.index_put((batch, row, column), shown)
