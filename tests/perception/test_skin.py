"""The skin mask: what belongs to it, whatever the tone and the lamp."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_face import LANDMARKS_PX, SKIN, painted_face

from facegpt.perception.skin import (
    certain_skin,
    colour_mixtures,
    face_outline,
    own_skin_colour,
    relative_colours,
    skin_log_odds,
    skin_mask,
)

EVERYWHERE = np.ones((224, 224), bool)
TONES = {"pale": (240, 205, 190), "medium": SKIN, "brown": (140, 90, 65), "dark": (75, 50, 40)}
LAMPS = {"day": (1, 1, 1), "dim": (0.4, 0.4, 0.4), "warm": (1.05, 0.9, 0.6), "cold": (0.75, 0.9, 1)}


def at(mask: np.ndarray, x: float, y: float) -> bool:
    return bool(mask[round(y), round(x)])


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("lamp", LAMPS)
def test_skin_of_every_tone_under_every_lamp(tone: str, lamp: str) -> None:
    rgb = np.clip(painted_face(TONES[tone]) * np.array(LAMPS[lamp]), 0, 255).astype(np.uint8)
    mask = skin_mask(rgb, LANDMARKS_PX, EVERYWHERE, is_grey=False)
    assert mask[certain_skin(LANDMARKS_PX)].mean() > 0.99


def test_eyes_and_the_open_mouth_are_out_and_lips_are_in() -> None:
    for is_grey in (False, True):
        mask = skin_mask(painted_face(), LANDMARKS_PX, EVERYWHERE, is_grey=is_grey)
        for eye in (LANDMARKS_PX[36:42], LANDMARKS_PX[42:48]):
            assert not at(mask, *eye.mean(axis=0))
        assert not at(mask, 112, 160)
        assert at(mask, 112, 168), "the lower lip"
        assert at(mask, 112, 130), "the nose"
        assert not at(mask, 10, 10), "the background"


def test_hair_over_the_forehead_is_out() -> None:
    without = skin_mask(painted_face(), LANDMARKS_PX, EVERYWHERE, is_grey=False)
    mask = skin_mask(painted_face(fringe=True), LANDMARKS_PX, EVERYWHERE, is_grey=False)
    assert at(without, 112, 52)
    assert not at(mask, 112, 52)


def test_grey_photos_have_the_outline_only() -> None:
    grey = np.repeat(painted_face().mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    mask = skin_mask(grey, LANDMARKS_PX, EVERYWHERE, is_grey=True)
    assert (mask <= face_outline(LANDMARKS_PX)).all()
    assert mask.sum() > 8000


def test_nothing_outside_the_photo() -> None:
    validity = np.zeros((224, 224), bool)
    validity[:, :112] = True
    mask = skin_mask(painted_face(), LANDMARKS_PX, validity, is_grey=False)
    assert mask.any()
    assert not mask[:, 112:].any()


@given(seed=st.integers(0, 999), scale=st.floats(0, 1e4))
def test_any_points_give_a_mask(seed: int, scale: float) -> None:
    points = np.random.default_rng(seed).normal(112, scale, (68, 2))
    mask = skin_mask(painted_face(), points, EVERYWHERE, is_grey=bool(seed % 2))
    assert mask.shape == (224, 224)


def test_black_pictures_do_not_divide_by_zero() -> None:
    black = np.zeros((224, 224, 3), np.uint8)
    assert np.isfinite(own_skin_colour(black.reshape(-1, 3))).all()
    skin_mask(black, LANDMARKS_PX, EVERYWHERE, is_grey=False)


def test_mixtures_are_densities() -> None:
    """Their integrals over all colours, by a grid, are one."""
    steps = np.arange(-100, 500, 6.0)
    chroma = np.arange(-80, 360, 6.0)
    grid = np.stack(np.meshgrid(steps, chroma, chroma, indexing="ij"), axis=-1).reshape(-1, 3)
    for mixture in colour_mixtures():
        assert np.exp(mixture.log_density(grid)).sum() * 6**3 == pytest.approx(1, abs=0.03)


def test_own_colour_is_skin_and_black_is_not() -> None:
    own = np.array([80.0, 52.0, 40.0])
    colours = np.array([(80, 52, 40), (70, 44, 33), (5, 5, 5), (60, 90, 160)], np.uint8)
    odds = np.exp(skin_log_odds(relative_colours(colours, own)))
    assert (odds[:2] > 19).all()  # more than 95 %
    assert (odds[2:] < 1).all()
