"""What one picture costs, there and back: theta -> picture -> loss -> gradient of theta.

The default face part, batch 8, 224 x 224, compiled kernels beside plain torch, in CPU time of one
thread. Bars: at least 5 times faster, at most 3 ms per image, pictures equal within 1e-5. The rows
"without M(theta)" keep one coefficient per basis: what remains is camera, light and drawing.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from facegpt.morphable.default import load_default
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.renderer import Renderer

BAR_RATIO, BAR_MS, BAR_DIFFERENCE = 5.0, 3.0, 1e-5
BATCH, SIZE = 8, 224


def some_faces(model: MorphableModel) -> Tensor:
    """Theta of people in various poses and lights, one row each, for the bases of this model."""
    sizes = [len(model.identity_mm), len(model.expression_mm), len(model.albedo_basis), 27, 6]
    spreads = [0.7, 0.7, 0.7, 0.1, 0.15]
    generator = torch.Generator().manual_seed(0)
    blocks = [
        spread * torch.randn(BATCH, size, generator=generator)
        for size, spread in zip(sizes, spreads, strict=True)
    ]
    return torch.cat(blocks, dim=1)


def picture_and_gradient(
    renderer: Renderer, theta: Tensor, photo: Tensor, *, backward: bool = True
) -> tuple[Tensor, Tensor]:
    """One step of training, as far as the renderer takes part in it."""
    theta = theta.clone().requires_grad_(backward)
    model = renderer.model
    sizes = [len(model.identity_mm), len(model.expression_mm), len(model.albedo_basis), 27, 6]
    image = renderer(FaceParameters(*theta.split(sizes, dim=1))).image
    if not backward:
        return image, image.new_zeros(())
    torch.nn.functional.mse_loss(image, photo).backward()
    assert theta.grad is not None
    return image.detach(), theta.grad


def cpu_ms_per_image(call: Callable[[], object], seconds: float = 6.0) -> float:
    """The fastest of as many calls as fit into the time, at least 4."""
    call()
    fastest, runs, end = float("inf"), 0, time.monotonic() + seconds
    while runs < 4 or time.monotonic() < end:
        start = time.process_time()
        call()
        fastest = min(fastest, time.process_time() - start)
        runs += 1
    return fastest * 1e3 / BATCH


def compare(title: str, model: MorphableModel, *, backward: bool = True) -> tuple[float, float]:
    """Print one row; compiled milliseconds and how many times faster they are."""
    theta, photo = some_faces(model), torch.rand(BATCH, 3, SIZE, SIZE)
    plain, compiled = (
        cpu_ms_per_image(
            partial(
                picture_and_gradient,
                Renderer(model, SIZE, rasterizer=name),
                theta,
                photo,
                backward=backward,
            )
        )
        for name in ("torch", "numba")
    )
    print(f"{title:36s}{plain:10.2f}{compiled:10.2f}{plain / compiled:9.1f}x")
    return compiled, plain / compiled


def differences(model: MorphableModel) -> tuple[float, float]:
    """Largest difference of a picture, and of a gradient relative to the largest gradient."""
    theta, photo = some_faces(model), torch.rand(BATCH, 3, SIZE, SIZE)
    (plain, slope), (fast, fast_slope) = (
        picture_and_gradient(Renderer(model, SIZE, rasterizer=name), theta, photo)
        for name in ("torch", "numba")
    )
    relative = (fast_slope - slope).abs().max() / slope.abs().max()
    return float((fast - plain).abs().max()), float(relative)


def main() -> int:
    """Measure, print, and fail when a bar is missed."""
    torch.set_num_threads(1)
    model = load_default().restricted_to()
    bare = replace(
        model,
        identity_mm=model.identity_mm[:1],
        expression_mm=model.expression_mm[:1],
        albedo_basis=model.albedo_basis[:1],
    )
    print(f"{len(model.mean_mm)} vertices, {len(model.triangles)} triangles, {SIZE} px, {BATCH=}")
    print(f"{'CPU ms per image':36s}{'torch':>10s}{'compiled':>10s}{'faster':>10s}")
    milliseconds, ratio = compare("forward and backward", model)
    compare("forward and backward, no M(theta)", bare)
    compare("forward", model, backward=False)
    picture, gradient = differences(model)
    print(f"largest difference: picture {picture:.1e}, gradient {gradient:.1e} (relative)")
    bars = [ratio >= BAR_RATIO, milliseconds <= BAR_MS, picture <= BAR_DIFFERENCE]
    print(
        f"bars: {BAR_RATIO:.0f}x {bars[0]}, {BAR_MS:.0f} ms {bars[1]}, {BAR_DIFFERENCE} {bars[2]}"
    )
    return int(not all(bars))


if __name__ == "__main__":
    sys.exit(main())
