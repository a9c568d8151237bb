"""Square pictures of faces cut by a similarity, differentiable in the picture.

The same code cuts photo and rendering, so a difference between chips is a difference of faces.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_SMALLEST_SCALE = 1e-3


def sample_chips(
    images: Float[Tensor, "batch 3 height width"],
    points_px: Float[Tensor, "batch point 2"],
    template_px: Float[Tensor, "point 2"],
    size: int,
) -> Float[Tensor, "batch 3 size size"]:
    """Chips in which the points lie on the template as well as a similarity can bring them there.

    Bilinear, with repeated borders. Gradients flow into the images, not into the points.

    Raises:
        ValueError: An image has a side of less than two pixels, or points are not finite or lie in
            one place.
    """
    height, width = images.shape[2:]
    if min(height, width) < 2:
        raise ValueError(f"images of {height} x {width} pixels are too small to cut a face from")
    image_from_chip = _similarity(points_px.detach().double(), template_px.double())
    steps = torch.arange(size, dtype=images.dtype, device=images.device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    chip = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(1, -1, 3)
    pixel = chip @ image_from_chip.to(images.dtype).transpose(1, 2)
    last = images.new_tensor([width - 1, height - 1])
    grid = (pixel * 2 / last - 1).view(-1, size, size, 2)
    return functional.grid_sample(images, grid, align_corners=True, padding_mode="border")


def _similarity(
    points_px: Float[Tensor, "batch point 2"], template_px: Float[Tensor, "point 2"]
) -> Float[Tensor, "batch 2 3"]:
    """Pixels of the image for pixels of the chip, by least squares (Umeyama 1991; in the plane a
    rotation with scale is one complex number)."""
    template_px = template_px.to(points_px.device)
    centre, mean = template_px.mean(dim=0), points_px.mean(dim=1, keepdim=True)
    source = torch.view_as_complex((template_px - centre).contiguous())
    target = torch.view_as_complex((points_px - mean).contiguous())
    factor = (source.conj() * target).sum(dim=1) / source.abs().square().sum()
    usable = torch.isfinite(factor.abs()) & (factor.abs() > _SMALLEST_SCALE)
    if not bool(usable.all()):
        raise ValueError(
            f"faces {(~usable).nonzero().flatten().tolist()} of the batch have landmarks that are "
            "not finite or lie in one place"
        )
    turn = torch.stack([factor.real, -factor.imag, factor.imag, factor.real], dim=-1)
    turn = turn.view(-1, 2, 2)
    shift = mean.squeeze(1) - turn @ centre
    return torch.cat([turn, shift.unsqueeze(-1)], dim=-1)
