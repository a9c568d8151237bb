"""Light: known values, the lamp, gradients."""

import math

import pytest
import torch

from facegpt.geometry.lighting import directional_light, light_coefficients, sh_basis, shade


def unit_normals(count: int = 50, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    normals = torch.randn(count, 3, dtype=torch.float64, generator=generator)
    return normals / normals.norm(dim=1, keepdim=True)


def sphere(count: int = 20_000) -> torch.Tensor:
    """Normals spread evenly, so that a mean is an integral."""
    z = 1 - (2 * torch.arange(count, dtype=torch.float64) + 1) / count
    turn = torch.arange(count, dtype=torch.float64) * math.pi * (3 - 5**0.5)
    radius = (1 - z.square()).sqrt()
    return torch.stack([radius * turn.cos(), radius * turn.sin(), z], dim=1)


def test_basis_on_the_axes() -> None:
    linear, band2 = (2 * math.pi / 3 * 0.488603, math.pi / 4 * 1.092548)
    constant = math.pi * 0.282095
    x = sh_basis(torch.tensor([1.0, 0.0, 0.0]))
    expected = torch.zeros(9)
    expected[0], expected[3] = 1.0, linear / constant
    expected[6], expected[8] = -(math.pi / 4 * 0.315392) / constant, band2 / 2 / constant
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-7)


def test_harmonics_are_orthogonal() -> None:
    basis = sh_basis(sphere())
    gram = basis.T @ basis / len(basis)
    off_diagonal = gram - torch.diag(gram.diagonal())
    assert off_diagonal.abs().max() < 1e-3


def test_zero_is_white_ambient_light() -> None:
    albedo = torch.rand(1, 50, 3, dtype=torch.float64)
    colour = shade(albedo, unit_normals()[None], torch.zeros(1, 27, dtype=torch.float64))
    torch.testing.assert_close(colour, albedo)


def test_phi_goes_harmonic_by_harmonic() -> None:
    phi = torch.zeros(2, 27)
    phi[1, 3 * 3 + 0] = 0.5
    light = light_coefficients(phi)
    assert light.shape == (2, 9, 3)
    assert light[1, 3, 0] == 0.5, "red of the harmonic x"
    assert light[:, 0].eq(1).all()


@pytest.mark.parametrize("direction", [(0.0, 0.0, 1.0), (1.0, 0.0, 0.2), (-0.3, 2.0, 0.5)])
def test_a_lamp_lights_the_side_it_is_on(direction: tuple[float, float, float]) -> None:
    lamp = torch.tensor(direction, dtype=torch.float64)
    phi = directional_light(lamp, ambient=0.4, strength=0.6)
    normals = unit_normals(200)
    white = torch.ones(1, 200, 3, dtype=torch.float64)
    colour = shade(white, normals[None], phi[None])[0]
    cosine = normals @ (lamp / lamp.norm())
    # Nine harmonics follow a clamped cosine within a few percent (Basri and Jacobs 2003).
    expected = 0.4 + 0.6 * cosine.clamp(min=0)
    assert (colour[:, 0] - expected).abs().max() < 0.08
    # A white lamp; some processors add the columns of a product in another order.
    torch.testing.assert_close(colour[:, 0], colour[:, 2], rtol=0, atol=1e-14)


def test_gradients() -> None:
    normals = unit_normals(4)[None].requires_grad_()
    albedo = torch.rand(1, 4, 3, dtype=torch.float64, requires_grad=True)
    phi = (torch.rand(1, 27, dtype=torch.float64) * 0.2).requires_grad_()
    assert torch.autograd.gradcheck(shade, (albedo, normals, phi))


def test_an_empty_batch_is_fine() -> None:
    assert shade(torch.zeros(0, 5, 3), torch.zeros(0, 5, 3), torch.zeros(0, 27)).shape == (0, 5, 3)
