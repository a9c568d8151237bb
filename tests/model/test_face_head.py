"""The head: eq. 2a in float32, and a first theta near the mean face."""

import pytest
import torch

from facegpt.model.face_head import FIRST_SPREAD, FaceHead


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_gradient() -> None:
    head = FaceHead([3, 4, 2])
    head.reset(seeded())
    hidden = torch.randn(2, 3, generator=seeded())
    weight = head.layers[0].weight
    head(hidden).sum().backward()
    step = torch.zeros_like(weight)
    step[1, 2] = 1e-2
    with torch.no_grad():
        sums = []
        for sign in (1, -1):
            weight += sign * step
            sums.append(head(hidden).sum())
            weight -= sign * step
    torch.testing.assert_close((sums[0] - sums[1]) / 2e-2, weight.grad[1, 2], rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("width", [64, 1024])
def test_an_untrained_head_begins_near_the_mean_face_at_any_width(width) -> None:
    head = FaceHead([256, width, 257])
    head.reset(seeded())
    theta = head(torch.randn(32, 256, generator=seeded(1)))
    assert 0.2 * FIRST_SPREAD < theta.std() < FIRST_SPREAD


def test_the_generator_decides() -> None:
    heads = [FaceHead([4, 4, 4]) for _ in range(3)]
    for head, seed in zip(heads, (1, 1, 2), strict=True):
        head.reset(seeded(seed))
    first, second, third = (head(torch.ones(1, 4)) for head in heads)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_half_precision_weights_are_computed_with_in_float32() -> None:
    head = FaceHead([8, 8, 8])
    head.reset(seeded())
    hidden = torch.randn(4, 8, generator=seeded()).bfloat16()
    head.bfloat16()
    theta = head(hidden)
    assert theta.dtype == torch.float32
    assert torch.equal(theta, head.float()(hidden.float()))


def test_no_hidden_layer_is_a_linear_head() -> None:
    head = FaceHead([4, 3])
    hidden = torch.randn(2, 4, generator=seeded())
    torch.testing.assert_close(head(2 * hidden) - head(hidden), hidden @ head.layers[0].weight.T)
