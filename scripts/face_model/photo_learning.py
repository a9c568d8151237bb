"""The loop that learns mean and components of the albedo from samples of many photos.

Light and gamma of each photo, then mean and components of all, and again. Most of what separates
light from skin is said in `photo_light` (priors) and `photo_gauge` (conventions).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from face_model.photo_gauge import flattened, mean_light, with_white_light
from face_model.photo_light import (
    Array32,
    Explanation,
    LinearAlbedo,
    explain,
    harmonics,
    white_light,
)
from face_model.photo_samples import PhotoSamples
from face_model.photo_statistics import (
    Population,
    first_components,
    principal_axes,
    regress,
    weighted_mean,
)

_TONES = ((1, 1, 1), (1, 0, -1), (-0.5, 1, -0.5))
_TONE_DEVIATION = 0.25


@dataclass(frozen=True)
class LearningSettings:
    """How much is learnt."""

    symmetric: int = 62
    antisymmetric: int = 28
    """Components carried along; the strongest are kept at the end."""
    components: int = 78
    rounds: int = 4
    flatness: float = 1.0
    """How much of the brightness that follows the normal is taken for light."""


@dataclass(frozen=True)
class LearntAlbedo:
    """The albedo of the seen skin, and how it explains the photos."""

    albedo: LinearAlbedo
    signs: Array32
    """(component,) 1 for symmetric, -1 for antisymmetric components."""
    light: Array32
    """(9, 3) mean over the population."""
    explanation: Explanation


def learn(
    samples: PhotoSamples,
    population: Population,
    plain: Array32,
    settings: LearningSettings,
    report: Callable[[str], None],
) -> LearntAlbedo:
    """Learn from samples.

    Args:
        plain: (skin,) weight of each vertex as plain skin.
    """
    normals = _mean_normals(samples, population)
    facing = population.metric / population.metric.sum() @ harmonics(normals)
    state = _start(samples, population, settings, facing)
    report(f"start: mean RGB distance {_error(state, population):.4f}")
    for turn in range(settings.rounds):
        albedo = flattened(state.albedo, normals, plain, strength=settings.flatness)
        light = mean_light(state.explanation.light, population.people)
        explanation = explain(samples, albedo, state.explanation, light, facing)
        state = replace(state, albedo=albedo, light=light, explanation=explanation)
        report(f"round {turn + 1}: mean RGB distance {_error(state, population):.4f}")
        state = _improve(samples, population, state, facing)
        if turn == settings.rounds - 2:
            state = _strongest(state, population, settings.components)
    return _strongest(state, population, settings.components)


def _start(
    samples: PhotoSamples, population: Population, settings: LearningSettings, facing: Array32
) -> LearntAlbedo:
    """Photos explained by one tone each and light; components of what is left."""
    photos, skin = samples.pixels.shape
    light = white_light()
    nothing = Explanation.start(photos, skin, len(_TONES), light)
    mean = weighted_mean(samples, nothing, population)
    tones = np.array(_TONES, np.float32)[:, None] * mean * _TONE_DEVIATION
    toned = explain(samples, LinearAlbedo(mean, tones), nothing, light, facing, rounds=3, stride=4)
    counts = (settings.symmetric, settings.antisymmetric)
    albedo, signs = first_components(samples, toned, population, counts)
    empty = Explanation.start(photos, skin, len(signs), light)
    explanation = replace(toned, gamma=empty.gamma, doubt=empty.doubt)
    return LearntAlbedo(albedo, signs, light, explanation)


def _improve(
    samples: PhotoSamples, population: Population, state: LearntAlbedo, facing: Array32
) -> LearntAlbedo:
    explanation = _equally_exposed(state.explanation, facing)
    albedo = regress(samples, explanation, population, state.albedo, state.signs)
    albedo, gamma = principal_axes(albedo, explanation, population, state.signs)
    albedo, light = with_white_light(albedo, explanation.light, population.people, facing)
    explanation = replace(explanation, gamma=gamma, light=light)
    return replace(
        state,
        albedo=albedo,
        explanation=explanation,
        light=mean_light(light, population.people),
    )


def _equally_exposed(explanation: Explanation, facing: Array32) -> Explanation:
    """The same with every photo lit equally: whatever share of the lightness of a face the prior
    gave to its light is given back, or the spread of skin would shrink from round to round.
    """
    exposure = (facing @ explanation.light).mean(-1)
    return replace(explanation, light=explanation.light / exposure[:, None, None])


def _strongest(state: LearntAlbedo, population: Population, count: int) -> LearntAlbedo:
    """The components of most energy in the picture, strongest first."""
    energy = (np.square(state.albedo.basis).sum(-1) * population.metric).sum(-1)
    keep = np.argsort(-energy)[:count]
    basis = np.ascontiguousarray(state.albedo.basis[keep])
    # the sign is open: brighter is positive
    turn = np.where((basis.sum(-1) * population.metric).sum(-1) < 0, -1, 1).astype(np.float32)
    explanation = state.explanation
    return replace(
        state,
        albedo=LinearAlbedo(state.albedo.mean, basis * turn[:, None, None]),
        signs=state.signs[keep],
        explanation=replace(
            explanation, gamma=explanation.gamma[:, keep] * turn, doubt=explanation.doubt[:, keep]
        ),
    )


def _error(state: LearntAlbedo, population: Population) -> float:
    return float((state.explanation.error * population.people).mean())


def _mean_normals(samples: PhotoSamples, population: Population) -> Array32:
    total = np.zeros(samples.normals.shape[1:], np.float32)
    for normals, weight in zip(samples.normals, population.people, strict=True):
        total += normals.astype(np.float32) * weight
    total = total + total[population.mirror] * np.array([-1, 1, 1], np.float32)
    return total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-9)
