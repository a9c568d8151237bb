"""Stage three: a face rendered by the model is found again, from its picture and its points."""

from dataclasses import replace

import pytest
import torch

from facegpt.fitting.synthesis import FaceBatch, FitSettings, fit_faces, measure_fit
from facegpt.losses import LossWeights
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.renderer import Renderer

# The prior would pull a synthetic face, which lies well inside it, away from its own picture.
FREE = FitSettings(steps=40, weights=LossWeights(regularisation=0.005))


@pytest.fixture(scope="module")
def renderer(tiny_face_model: MorphableModel) -> Renderer:
    return Renderer(tiny_face_model)


def hidden_faces(model: MorphableModel, count: int = 2) -> FaceParameters:
    random = torch.Generator().manual_seed(3)
    theta = FaceParameters.zeros(count)
    turned = torch.randn(count, 6, generator=random) * torch.tensor(
        [0.1, 0.2, 0.1, 0.02, 0.02, 0.02]
    )
    light = torch.randn(count, 9, 1, generator=random).expand(-1, -1, 3).flatten(1) * 0.1
    return theta.replace(
        shape=torch.randn(count, model.identity_mm.shape[0], generator=random) * 0.5,
        expression=torch.randn(count, model.expression_mm.shape[0], generator=random) * 0.3,
        albedo=torch.randn(count, model.albedo_basis.shape[0], generator=random) * 0.7,
        illumination=light,
        camera=turned,
    )


def photographed(renderer: Renderer, theta: FaceParameters, *, grey: bool = False) -> FaceBatch:
    rendering = renderer(theta)
    photo = rendering.image.clamp(0, 1)
    if grey:
        photo = photo.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    return FaceBatch(photo, rendering.mask, rendering.landmarks_px, torch.full((len(theta),), grey))


def test_a_rendered_face_is_found_again(renderer: Renderer) -> None:
    batch = photographed(renderer, hidden_faces(renderer.model))
    mean = measure_fit(renderer, batch, FaceParameters.zeros(2))
    coarse = fit_faces(renderer, batch, replace(FREE, steps=0))
    fine = fit_faces(renderer, batch, FREE)
    assert (coarse.landmark_px < 0.3 * mean.landmark_px).all()
    assert (fine.photometric < coarse.photometric).all()
    assert (fine.photometric < 0.35 * mean.photometric).all()
    assert (fine.landmark_px < 1.0).all()


class Average:
    """An identity network that sees the mean colour; it refuses points that are not finite."""

    licences = ()

    def encode(self, images: torch.Tensor, landmarks68_px: torch.Tensor) -> torch.Tensor:
        assert landmarks68_px.isfinite().all()
        return images.mean(dim=(2, 3))


def test_a_face_with_unknown_points_is_found_by_the_others(renderer: Renderer) -> None:
    batch = photographed(renderer, hidden_faces(renderer.model))
    points = batch.landmarks68_px.clone()
    points[0, 50:60] = torch.nan
    settings = replace(FREE, perceptual_every=5)
    fit = fit_faces(renderer, replace(batch, landmarks68_px=points), settings, encoder=Average())
    assert fit.landmark_px.isnan().tolist() == [True, False]
    whole = measure_fit(renderer, batch, fit.parameters)
    assert (whole.landmark_px < 1.5).all()


def test_the_same_photos_give_the_same_theta(renderer: Renderer) -> None:
    batch = photographed(renderer, hidden_faces(renderer.model))
    first, second = (fit_faces(renderer, batch, replace(FREE, steps=5)) for _ in range(2))
    torch.testing.assert_close(
        first.parameters.to_vector(), second.parameters.to_vector(), rtol=0, atol=0
    )


def test_faces_of_a_batch_do_not_see_each_other(renderer: Renderer) -> None:
    theta = hidden_faces(renderer.model)
    settings = replace(FREE, steps=5)
    together = fit_faces(renderer, photographed(renderer, theta), settings)
    alone = fit_faces(renderer, photographed(renderer, theta[1]), settings)
    torch.testing.assert_close(
        together.parameters[1].to_vector(), alone.parameters.to_vector(), rtol=1e-3, atol=2e-3
    )


def test_refinement_starts_where_it_is_told_to(renderer: Renderer) -> None:
    theta = hidden_faces(renderer.model)
    batch = photographed(renderer, theta)
    unmoved = fit_faces(renderer, batch, replace(FREE, steps=0), start=theta)
    torch.testing.assert_close(unmoved.parameters.to_vector(), theta.to_vector())
    assert unmoved.photometric.max() < 1e-3
    wrong = theta.replace(albedo=torch.zeros_like(theta.albedo))
    refined = fit_faces(renderer, batch, replace(FREE, steps=15), start=wrong)
    assert (refined.photometric < measure_fit(renderer, batch, wrong).photometric).all()


def test_grey_photos_get_colourless_light(renderer: Renderer) -> None:
    batch = photographed(renderer, hidden_faces(renderer.model), grey=True)
    fitted = fit_faces(renderer, batch, replace(FREE, steps=15)).parameters
    phi = fitted.illumination.view(-1, 9, 3)
    assert phi.std(dim=-1).max() < 1e-5


def test_coefficients_keep_their_bound(renderer: Renderer) -> None:
    batch = photographed(renderer, hidden_faces(renderer.model))
    noise = torch.rand(batch.photo.shape, generator=torch.Generator().manual_seed(0))
    spoilt = replace(batch, photo=noise, landmarks68_px=batch.landmarks68_px * 1.3)
    fitted = fit_faces(renderer, spoilt, replace(FREE, steps=15, bound=1.5)).parameters
    for name in ("shape", "expression", "albedo"):
        assert getattr(fitted, name).abs().max() <= 1.5
    assert torch.isfinite(fitted.to_vector()).all()


def test_the_identity_encoder_is_heard(renderer: Renderer) -> None:
    class Brightness:
        """Describes a picture by its mean colour."""

        licences = ()
        calls = 0

        def encode(self, images: torch.Tensor, landmarks68_px: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return images.mean(dim=(2, 3)) * 20

    batch = photographed(renderer, hidden_faces(renderer.model))
    settings = replace(FREE, steps=6, perceptual_every=2)
    encoder = Brightness()
    with_encoder = fit_faces(renderer, batch, settings, encoder=encoder)
    without = fit_faces(renderer, batch, settings)
    assert encoder.calls == 1 + 3  # the photos once, every second step
    assert not torch.equal(with_encoder.parameters.albedo, without.parameters.albedo)


def test_no_face_is_an_empty_result(renderer: Renderer) -> None:
    empty = photographed(renderer, hidden_faces(renderer.model))
    nothing = FaceBatch(*(value[:0] for value in vars(empty).values()))
    assert len(fit_faces(renderer, nothing).parameters) == 0


@pytest.mark.parametrize(
    ("field", "value"), [("steps", -1), ("bound", 0.0), ("landmark_noise_px", -1.0)]
)
def test_settings_name_their_flag(field: str, value: float) -> None:
    with pytest.raises(ValueError, match="--" + field.split("_")[0]):
        replace(FitSettings(), **{field: value})
