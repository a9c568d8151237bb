"""Recipes of emotions."""

import pytest
import torch

from facegpt.data.emotions import RECIPES, UNPAIRED, UnknownEmotionError, emotion_arkit, halves
from facegpt.morphable.default import load_default


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_action_is_a_blendshape_of_the_default_model() -> None:
    known = set(load_default().arkit_names)
    for recipes in RECIPES.values():
        for recipe in recipes:
            assert {half for action in recipe for half in halves(action)} <= known
    assert known >= UNPAIRED


@pytest.mark.parametrize("name", RECIPES)
def test_weights_are_allowed_and_follow_the_generator(name: str) -> None:
    for seed in range(20):
        weights = emotion_arkit(name, 1.0, generator(seed))
        assert all(0 <= w <= 1 for w in weights.values())
        assert weights == emotion_arkit(name, 1.0, generator(seed))


def test_intensity_scales_the_face() -> None:
    total = {
        strength: sum(
            sum(emotion_arkit("anger", strength, generator(seed)).values()) for seed in range(40)
        )
        for strength in (0.0, 0.4, 0.9)
    }
    assert total[0.0] == 0
    assert 0 < total[0.4] < total[0.9]


def test_faces_of_one_emotion_differ() -> None:
    drawn = {tuple(emotion_arkit("happiness", 0.8, generator(s)).items()) for s in range(30)}
    assert len(drawn) == 30


def test_unknown_emotions_and_intensities_are_refused() -> None:
    with pytest.raises(UnknownEmotionError, match="did you mean 'happiness'"):
        emotion_arkit("hapiness", 0.5, generator())
    with pytest.raises(ValueError, match=r"in \[0, 1\], got 1.5"):
        emotion_arkit("anger", 1.5, generator())
