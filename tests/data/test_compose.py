"""People who were never photographed."""

import re

import pytest
import torch

from facegpt.data.compose import ComposedFaces, compose_faces, draw_theta, frame
from facegpt.data.grammar import Pronoun
from facegpt.data.people import Person
from facegpt.geometry.camera import CROP_SIZE, project_orthographic
from facegpt.morphable.apparent import apparent_people
from facegpt.morphable.default import load_default
from facegpt.morphable.framing import FIVE_POINT_TEMPLATE_PX, five_points
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.semantics import measure, percentiles
from facegpt.perception.alignment import similarity

COUNT = 80


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def people() -> ComposedFaces:
    return compose_faces(COUNT, load_default(), generator=generator(7))


def test_the_generator_decides_everything() -> None:
    first, again, other = (
        compose_faces(5, load_default(), generator=generator(seed)) for seed in (7, 7, 8)
    )
    assert torch.equal(again.theta.to_vector(), first.theta.to_vector())
    assert again.descriptions == first.descriptions
    assert not torch.equal(other.theta.to_vector(), first.theta.to_vector())


def test_parts_belong_together(people: ComposedFaces) -> None:
    assert len(people) == COUNT
    assert people.theta.to_vector().isfinite().all()
    parts = (people.descriptions, people.emotions, people.intensities, people.semantics)
    assert all(len(part) == COUNT for part in parts)


@pytest.mark.parametrize(
    "name", ["chin_length", "eye_spacing", "length_to_width", "nose_width", "skin_lightness"]
)
def test_people_are_spread_around_the_typical_face(people: ComposedFaces, name: str) -> None:
    """The mean of the morphable model is no typical face: its chin is longer than 99 of 100."""
    ranks = percentiles(people.theta, load_default(), [name])[name]
    assert 25 < float(ranks.median()) < 75
    assert float(ranks.quantile(0.1)) < 35
    assert float(ranks.quantile(0.9)) > 65


def test_there_are_dark_and_pale_people() -> None:
    """By the prior alone the very dark are one in a hundred: too few to learn the word from."""
    of_one_age = [Person("they", 30.0)] * 400
    theta, _, _ = draw_theta(400, load_default(), generator=generator(7), people=of_one_age)
    angles = measure(theta, load_default(), ["skin_typology_angle"])["skin_typology_angle"]
    assert 0.05 < float((angles < -5).float().mean()) < 0.25
    assert float((angles > 40).float().mean()) > 0.05
    assert float(theta.albedo.norm(dim=1).max()) < 13  # sqrt(80) is the usual length


def drawn(pronoun: Pronoun, age: float) -> FaceParameters:
    people = [Person(pronoun, age)] * 40
    return draw_theta(40, load_default(), generator=generator(3), people=people)[0]


def test_old_people_have_paler_brows_and_thinner_lips() -> None:
    """Nobody taught the table these two: they are what age does to faces."""
    for pronoun in ("she", "he"):
        young, old = (
            measure(drawn(pronoun, age), load_default(), ["brow_darkness", "lip_fullness"])
            for age in (24.0, 70.0)
        )
        for name in young:
            assert float(old[name].mean()) < float(young[name].mean()) - 1, (pronoun, name)


def test_age_and_gender_leave_the_tone_of_the_skin_alone() -> None:
    tones = [
        float(
            measure(drawn(pronoun, age), load_default(), ["skin_lightness"])[
                "skin_lightness"
            ].mean()
        )
        for pronoun in ("she", "he")
        for age in (24.0, 70.0)
    ]
    assert max(tones) - min(tones) < 1.5  # of 100; people differ by 30


def test_men_have_the_shadow_of_a_beard() -> None:
    shadows = [
        float(measure(drawn(who, 30.0), load_default(), ["beard_shadow"])["beard_shadow"].mean())
        for who in ("she", "he")
    ]
    assert shadows[1] > shadows[0] + 2


def test_words_call_people_what_they_are() -> None:
    people = [Person("he", 75.0)] * 30 + [Person("she", 20.0)] * 30
    made = compose_faces(60, load_default(), generator=generator(4), people=people)
    texts = [" ".join(d.descriptions) for d in made.descriptions]
    assert not any(re.search(r"\b(she|her|woman|young)\b", text.lower()) for text in texts[:30])
    assert not any(re.search(r"\b(he|his|man|old|elderly)\b", text.lower()) for text in texts[30:])
    assert sum("old" in d.short or "elder" in d.short for d in made.descriptions[:30]) > 5


def test_a_model_that_shows_no_age_says_none(tiny_face_model: MorphableModel) -> None:
    assert apparent_people(tiny_face_model) is None
    old, young = (
        draw_theta(4, tiny_face_model, generator=generator(), people=[Person("he", age)] * 4)[0]
        for age in (75.0, 20.0)
    )
    assert torch.equal(old.to_vector(), young.to_vector())


def test_faces_lie_where_alignment_would_put_them(people: ComposedFaces) -> None:
    model = load_default()
    theta = people.theta[:20]
    straight = theta.camera.clone()
    straight[:, 2] = 0  # Alignment would turn a leaning head upright.
    theta = theta.replace(camera=straight)
    theta = theta.replace(camera=frame(theta, model))
    vertices = model.vertices_mm(theta.shape, theta.expression)[:, model.landmarks68]
    seen = project_orthographic(vertices, theta.camera, CROP_SIZE, model.pixels_per_mm)
    points = five_points(seen[..., :2])
    assert torch.allclose(points.mean(dim=1), FIVE_POINT_TEMPLATE_PX.mean(dim=0).float(), atol=0.01)
    for face in points.double().numpy():
        again = similarity(face)
        assert abs(again[0, 0] - 1) < 0.005
        assert abs(again[1, 0]) < 0.15


@pytest.mark.parametrize(
    ("emotion", "name", "sign"),
    [("happiness", "smile", 1), ("sadness", "frown", 1), ("surprise", "brow_raise", 1)]
    + [("anger", "brow_furrow", 1), ("tiredness", "eye_openness", -1)],
)
def test_an_emotion_moves_what_it_should(emotion: str, name: str, sign: int) -> None:
    model = load_default()
    means = []
    for drawn in (emotion, "neutral"):
        theta, _, _ = draw_theta(40, model, generator=generator(1), emotions=[drawn] * 40)
        means.append(float(measure(theta, model, [name])[name].mean()))
    assert sign * (means[0] - means[1]) > 0.1


def test_labels_name_the_emotion_where_it_shows() -> None:
    happy = compose_faces(30, load_default(), generator=generator(2), emotions=["happiness"] * 30)
    named = [d.labels["expression"] for d in happy.descriptions]
    assert named.count("happiness") > 25
    for description, semantics in zip(happy.descriptions, happy.semantics, strict=True):
        if description.labels["expression"] == "happiness":
            assert semantics["smile"] > 0.9


def test_a_model_without_blendshapes_gets_some_expression(tiny_face_model: MorphableModel) -> None:
    theta, emotions, strengths = draw_theta(5, tiny_face_model, generator=generator())
    assert theta.shape.shape == (5, len(tiny_face_model.identity_mm))
    assert len(emotions) == len(strengths) == 5
    assert theta.expression.abs().sum(dim=1).min() > 0
