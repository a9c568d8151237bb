"""Pictures of heads: framing, edges, lights and sheets."""

import math

import numpy as np
import pytest
import torch

from face_records import made_up_theta
from facegpt.geometry.camera import project_orthographic
from facegpt.geometry.lighting import shade
from facegpt.morphable.model import MorphableModel
from facegpt.rendering.pictures import (
    BACKGROUND,
    CLAY,
    LIGHTS,
    contact_sheet,
    lit,
    named_light,
    overlay,
    portrait,
    posed,
    render_head,
    tiled,
    turntable,
)
from facegpt.rendering.renderer import Renderer


@pytest.mark.parametrize("name", list(LIGHTS))
def test_a_named_light_comes_from_where_it_says(name: str) -> None:
    direction = torch.nn.functional.normalize(torch.tensor(LIGHTS[name]), dim=0)
    normals = torch.stack([direction, -direction])[None]
    towards, away = shade(torch.ones_like(normals), normals, named_light(name))[0, :, 0]
    assert towards > away + 0.3
    assert away > 0


def test_unknown_lights_are_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="no light 'lefft'; did you mean 'left'"):
        named_light("lefft")


@pytest.mark.parametrize("yaw", [0.0, 0.7, -1.57, 3.0])
def test_portraits_hold_the_whole_head_at_one_scale(
    tiny_face_model: MorphableModel, yaw: float
) -> None:
    model, theta = tiny_face_model, made_up_theta()
    turned = portrait(model, theta, yaw=yaw, pitch=0.2)
    neutral = model.vertices_mm(theta.shape, torch.zeros_like(theta.expression))
    points = project_orthographic(neutral, turned.camera, 224, model.pixels_per_mm)[0, :, :2]
    assert points.min() > -8
    assert points.max() < 231
    assert float(turned.camera[0, 5]) == pytest.approx(float(portrait(model, theta).camera[0, 5]))
    assert float(turned.camera[0, 1]) == pytest.approx(yaw)


def test_a_picture_without_texture_is_the_renderer_with_smooth_edges(
    tiny_face_model: MorphableModel,
) -> None:
    model, theta = tiny_face_model, made_up_theta()
    picture = render_head(model, theta, size=224, background=(0, 0, 0))
    rendering = Renderer(model)(theta)
    inside = rendering.mask[0].numpy()
    core = inside.copy()
    for axis, shift in ((0, 2), (0, -2), (1, 2), (1, -2)):
        core &= np.roll(inside, shift, axis)
    exact = (rendering.image[0].clamp(0, 1) * 255).permute(1, 2, 0).numpy()
    assert np.abs(picture[core] - exact[core]).mean() < 2
    assert not picture[:5, :5].any()


def test_edges_are_smooth(tiny_face_model: MorphableModel) -> None:
    white = np.full((2, 2, 3), 255, np.uint8)
    flat = made_up_theta().replace(illumination=torch.zeros(1, 27))
    picture = render_head(tiny_face_model, flat, texture=white, size=200, background=(0, 0, 0))
    assert set(np.unique(picture)) > {0, 255}
    assert ((picture > 0) & (picture < 255)).mean() < 0.05


def test_clay_has_one_colour_and_the_background_is_kept(tiny_face_model: MorphableModel) -> None:
    flat = made_up_theta().replace(illumination=torch.zeros(1, 27))
    picture = render_head(tiny_face_model, flat, texture=CLAY, size=96)
    assert tuple(picture[0, 0]) == BACKGROUND
    assert tuple(picture[48, 48]) == tuple(CLAY[0, 0])


@pytest.mark.parametrize("is_grey", [False, True])
def test_overlay_changes_the_face_and_nothing_else(
    tiny_face_model: MorphableModel, is_grey: bool
) -> None:
    model, theta = tiny_face_model.restricted_to(), made_up_theta()
    photo = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    photo_from_crop = torch.tensor(
        [[0.8, 0.1, 120.0], [-0.1, 0.8, 90.0], [0, 0, 1]], dtype=torch.float64
    )
    result = overlay(photo, model, theta, photo_from_crop, is_grey=is_grey)
    points = Renderer(model).landmarks_px(theta)[0]
    nose = points[30].double() @ photo_from_crop[:2, :2].T + photo_from_crop[:2, 2]
    column, row = nose.round().long().tolist()
    spread = int(np.ptp(result[row, column].astype(int)))
    assert (spread == 0) == is_grey
    assert not np.array_equal(result[row, column], photo[row, column])
    unchanged = (result == photo).all(axis=2)
    assert unchanged[:, :60].all()
    assert 0.3 < unchanged.mean() < 0.95


def test_overlay_of_a_face_outside_the_photo(tiny_face_model: MorphableModel) -> None:
    photo = np.zeros((30, 40, 3), np.uint8)
    away = torch.tensor([[1.0, 0, 900], [0, 1, 900], [0, 0, 1]])
    assert not overlay(photo, tiny_face_model, made_up_theta(), away).any()
    inside_out = torch.tensor([[1.0, 0, -90], [0, 1, -90], [0, 0, 1]])
    assert overlay(photo, tiny_face_model, made_up_theta(), inside_out).any()


def test_turntables_return_to_the_start(tiny_face_model: MorphableModel) -> None:
    theta = lit(made_up_theta(), "front")
    once = turntable(tiny_face_model, theta, frames=4, size=64)
    assert len(once) == 4
    assert np.array_equal(
        once[0], render_head(tiny_face_model, portrait(tiny_face_model, theta), size=64)
    )
    swing = turntable(tiny_face_model, theta, frames=4, size=64, widest=math.radians(40))
    assert np.array_equal(swing[0], swing[2])
    assert not np.array_equal(swing[1], swing[3])


def test_posing_keeps_place_and_scale() -> None:
    theta = made_up_theta()
    turned = posed(theta, yaw=0.3, pitch=-0.1, roll=0.2)
    assert turned.camera[0, :3].tolist() == pytest.approx([-0.1, 0.3, 0.2])
    assert torch.equal(turned.camera[0, 3:], theta.camera[0, 3:])


def test_sheets(tiny_face_model: MorphableModel) -> None:
    photo = np.full((50, 100, 3), 90, np.uint8)
    sheet = contact_sheet(photo, photo, tiny_face_model, made_up_theta(), CLAY, side=64)
    assert sheet.shape == (2 * (64 + 28) + 6, 4 * 70 + 6, 3)
    one = tiled({"a": photo}, columns=1, side=40)
    assert tuple(one[26, 26]) == (90, 90, 90)
    assert tuple(one[10, 26]) == (255, 255, 255)
