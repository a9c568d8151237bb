"""Baking: a rendered face gives its own colours back, without light, and nothing is left empty."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from face_records import made_up_theta
from facegpt.geometry.camera import project_orthographic
from facegpt.geometry.lighting import directional_light
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.rendering.photo_view import PhotoView
from facegpt.rendering.renderer import Renderer
from facegpt.rendering.texture import (
    bake_texture,
    model_texture,
    sample_texture,
    vertex_of_uv,
)
from facegpt.rendering.tone import luminance, spread_tone

SCALE = 2
SIZE = 256


def person(seed: int = 0) -> FaceParameters:
    lamp = directional_light(torch.tensor([-1.0, 0.3, 0.8]))[None]
    return made_up_theta(seed).replace(illumination=lamp)


def photographed(
    model: MorphableModel, theta: FaceParameters, *, is_grey: bool = False
) -> PhotoView:
    """What a camera would see of this theta."""
    rendering = Renderer(model, 224 * SCALE)(theta)
    image = rendering.image[0].clamp(0, 1)
    if is_grey:
        grey = luminance(image.permute(1, 2, 0).reshape(-1, 3))
        image = grey.view(1, *image.shape[1:]).expand(3, -1, -1)
    everywhere = torch.ones(image.shape[1:])
    return PhotoView(image, everywhere, everywhere, SCALE, is_grey)


def well_seen(model: MorphableModel, theta: FaceParameters) -> torch.Tensor:
    """Rows of uv on the skin that face the camera and lie in front."""
    rendering = Renderer(model, 448)(theta)
    ids = rendering.triangle_ids[0]
    seen = torch.zeros(len(model.mean_mm), dtype=torch.bool)
    seen[model.triangles[ids[ids >= 0].unique().long()].flatten()] = True
    central = model.mean_mm[:, 0].abs() < 25
    return (seen & central & model.part_mask(["face"]))[vertex_of_uv(model)]


def baked_colours(model: MorphableModel, texture: np.ndarray) -> torch.Tensor:
    return sample_texture(texture, model.uv)


def test_the_photo_gives_its_albedo_back(tiny_face_model: MorphableModel) -> None:
    model, theta = tiny_face_model, person()
    view = photographed(model, theta)
    # The fit knows shape, pose and light, but not the colours: those must come from the photo.
    unknown = theta.replace(albedo=torch.zeros_like(theta.albedo))
    texture = bake_texture(model, unknown, view, size=SIZE)
    rows = well_seen(model, theta)
    truth = model.albedo_srgb(theta.albedo)[0][vertex_of_uv(model)][rows]
    model_only = model.albedo_srgb(unknown.albedo)[0][vertex_of_uv(model)][rows]
    error = (baked_colours(model, texture)[rows] - truth).abs().mean()
    assert error < 0.03
    assert error < 0.4 * (model_only - truth).abs().mean()


def test_what_is_not_seen_follows_the_tone_of_what_is(tiny_face_model: MorphableModel) -> None:
    model, theta = tiny_face_model, person()
    darker = replace(model, albedo_mean=model.albedo_mean * 0.6)
    view = photographed(darker, theta)
    # Only a patch in the middle of the photo may be used.
    patch = torch.zeros_like(view.skin)
    patch[170:280, 170:280] = 1
    texture = bake_texture(model, theta, replace(view, skin=patch), size=SIZE)
    far = (model.part_mask(["face"]) & (model.mean_mm[:, 1] < -60))[vertex_of_uv(model)]
    ratio = (
        baked_colours(model, texture)[far].mean()
        / model.albedo_mean.clamp(0, 1)[vertex_of_uv(model)][far].mean()
    )
    assert 0.4 < float(ratio) < 0.85


def test_without_a_usable_photo_the_model_is_baked(tiny_face_model: MorphableModel) -> None:
    model, theta = tiny_face_model, person()
    view = photographed(model, theta)
    nothing = replace(view, skin=torch.zeros_like(view.skin), eyes=torch.zeros_like(view.eyes))
    baked = bake_texture(model, theta, nothing, size=SIZE)
    plain = model_texture(model, theta, size=SIZE)
    assert np.abs(baked.astype(int) - plain).max() <= 3


def test_a_hidden_half_is_taken_from_the_other_side(tiny_face_model: MorphableModel) -> None:
    model, theta = tiny_face_model, person()
    view = photographed(model, theta)
    spot = project_orthographic(model.mean_mm[None], theta.camera, 448, model.pixels_per_mm)[0]
    cheek = (model.mean_mm - torch.tensor([-30.0, -35.0, 40.0]))[:, :2].norm(dim=1).argmin()
    other = model.mirror[cheek]
    column, row = spot[cheek, :2].round().long().tolist()
    image, skin = view.image.clone(), view.skin.clone()
    image[:, row - 25 : row + 25, column - 25 : column + 25] = torch.tensor(
        [[[0.1]], [[0.8]], [[0.1]]]
    )
    skin[:, 224:] = 0
    texture = bake_texture(model, theta, replace(view, image=image, skin=skin), size=SIZE)
    owner = vertex_of_uv(model)
    colours = baked_colours(model, texture)
    for vertex in (cheek, other):
        [red, green, _] = colours[owner == vertex][0].tolist()
        assert green > red


def test_grey_photos_keep_the_colour_of_the_model(tiny_face_model: MorphableModel) -> None:
    model, theta = tiny_face_model, person()
    texture = bake_texture(model, theta, photographed(model, theta, is_grey=True), size=SIZE)
    rows = well_seen(model, theta)
    colours = baked_colours(model, texture)[rows]
    truth = model.albedo_srgb(theta.albedo)[0][vertex_of_uv(model)][rows]
    assert (colours - truth).abs().mean() < 0.04
    assert (colours[:, 0] > colours[:, 2] + 0.05).float().mean() > 0.95


@pytest.mark.parametrize("is_grey", [False, True])
def test_baking_is_deterministic_and_leaves_no_hole(
    tiny_face_model: MorphableModel, is_grey: bool
) -> None:
    model, theta = tiny_face_model, person(1)
    view = photographed(model, theta, is_grey=is_grey)
    first, second = (bake_texture(model, theta, view, size=SIZE) for _ in range(2))
    assert first.shape == (SIZE, SIZE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    # Texels outside of every triangle have the colour of their surroundings, not black.
    assert first.max(axis=2).min() > 10


def test_a_face_that_left_the_picture(tiny_face_model: MorphableModel) -> None:
    theta = person()
    camera = theta.camera.clone()
    camera[0, 3] = 30.0
    view = photographed(tiny_face_model, theta)
    texture = bake_texture(tiny_face_model, theta.replace(camera=camera), view, size=64)
    plain = model_texture(tiny_face_model, theta, size=64)
    assert np.abs(texture.astype(int) - plain).max() <= 3


def test_sampling_finds_the_texel_centres() -> None:
    texture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    uv = torch.tensor([[0.125, 0.875], [0.875, 0.125], [0.25, 0.875]])
    expected = torch.tensor([[0.0, 1, 2], [45, 46, 47], [1.5, 2.5, 3.5]]) / 255
    torch.testing.assert_close(sample_texture(texture, uv), expected)


def test_tone_keeps_a_constant_and_ignores_outliers(tiny_face_model: MorphableModel) -> None:
    count = len(tiny_face_model.mean_mm)
    ratio = torch.full((count, 3), -0.3)
    trust = (tiny_face_model.mean_mm[:, 1] > -40).float()
    torch.testing.assert_close(spread_tone(tiny_face_model, ratio, trust), ratio, atol=1e-5, rtol=0)
    hair = ratio.clone()
    hair[::9] = -3.0
    assert (spread_tone(tiny_face_model, hair, trust) + 0.3).abs().mean() < 0.05
    assert not spread_tone(tiny_face_model, ratio, torch.zeros(count)).any()
