"""Stage two recovers a known light and albedo, ignores outliers, and keeps grey photos grey."""

import torch

from facegpt.fitting.light import SurfaceSamples, fit_light_and_albedo
from facegpt.geometry.lighting import shade
from facegpt.geometry.mesh import vertex_normals
from facegpt.losses import mean_light
from facegpt.morphable.model import MorphableModel


def lit_surface(
    model: MorphableModel, seed: int = 0
) -> tuple[SurfaceSamples, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    phi = torch.randn(1, 9, 1, generator=random).expand(-1, -1, 3).reshape(1, 27) * 0.1
    gamma = torch.randn(1, model.albedo_basis.shape[0], generator=random) * 0.5
    normals = vertex_normals(model.mean_mm.unsqueeze(0), model.triangles)
    colour = shade(model.albedo_srgb(gamma), normals, phi)[0]
    weight = torch.ones(len(colour))
    return SurfaceSamples(colour, normals[0], weight, is_grey=False), phi[0], gamma[0]


def explained(
    model: MorphableModel, samples: SurfaceSamples, phi: torch.Tensor, gamma: torch.Tensor
) -> torch.Tensor:
    albedo = model.albedo_srgb(gamma.unsqueeze(0))
    return shade(albedo, samples.normals.unsqueeze(0), phi.unsqueeze(0))[0]


def test_colours_are_explained(tiny_face_model: MorphableModel) -> None:
    samples, _, _ = lit_surface(tiny_face_model)
    phi, gamma = fit_light_and_albedo(tiny_face_model, samples)
    error = (explained(tiny_face_model, samples, phi, gamma) - samples.colour).norm(dim=-1)
    before = (tiny_face_model.albedo_mean - samples.colour).norm(dim=-1)
    assert error.mean() < 0.5 * before.mean()


def test_outliers_are_ignored(tiny_face_model: MorphableModel) -> None:
    clean, _, _ = lit_surface(tiny_face_model)
    spoilt_colour = clean.colour.clone()
    spoilt_colour[::12] = 0.0
    spoilt = SurfaceSamples(spoilt_colour, clean.normals, clean.weight, is_grey=False)
    _, expected = fit_light_and_albedo(tiny_face_model, clean)
    phi, gamma = fit_light_and_albedo(tiny_face_model, spoilt)
    seen = torch.ones(len(clean.colour), dtype=torch.bool)
    seen[::12] = False
    error = (explained(tiny_face_model, clean, phi, gamma) - clean.colour).norm(dim=-1)[seen]
    blind = (tiny_face_model.albedo_mean - clean.colour).norm(dim=-1)[seen]
    assert error.mean() < blind.mean()
    assert (gamma - expected).norm() < 3.0


def test_grey_photos_get_a_colourless_light(tiny_face_model: MorphableModel) -> None:
    samples, _, _ = lit_surface(tiny_face_model)
    grey = samples.colour.mean(dim=1, keepdim=True).expand(-1, 3)
    phi, _ = fit_light_and_albedo(
        tiny_face_model, SurfaceSamples(grey, samples.normals, samples.weight, is_grey=True)
    )
    assert phi.view(9, 3).std(dim=1).max() < 0.05


def test_nothing_seen_means_the_prior(tiny_face_model: MorphableModel) -> None:
    samples, _, _ = lit_surface(tiny_face_model)
    hidden = SurfaceSamples(
        samples.colour, samples.normals, torch.zeros_like(samples.weight), is_grey=False
    )
    phi, gamma = fit_light_and_albedo(tiny_face_model, hidden)
    torch.testing.assert_close(phi, mean_light())
    assert not gamma.any()
