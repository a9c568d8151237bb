"""People who were never photographed: theta drawn from the prior, and the words that fit it.

Free and unlimited training pairs of text and face. Identities are drawn around the typical face of
the population that measurements are compared with, not around the mean of the morphable model: what
is called a long chin here must be a long chin in fitted photos too. Nothing here renders.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from facegpt.data.describe import Description
from facegpt.data.emotions import RECIPES, glance, mixed_weights
from facegpt.data.facts import read_faces
from facegpt.data.grammar import VOICES, dice_of
from facegpt.data.people import MEN, Person, draw_people, voice_of
from facegpt.data.wording import describe_reading
from facegpt.geometry.camera import project_orthographic
from facegpt.losses import light_precision, mean_light
from facegpt.morphable.apparent import apparent_people
from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.framing import CROP_SIZE, FIVE_POINT_TEMPLATE_PX, five_points
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.probe import ProbedFace, probe_of
from facegpt.morphable.semantics import MEASUREMENTS, available, default_population, measure


@dataclass(frozen=True)
class ComposedFaces:
    """People without a photo."""

    theta: FaceParameters
    descriptions: list[Description]
    emotions: list[str]
    intensities: Float[Tensor, "batch"]
    semantics: list[Mapping[str, float]]
    """Of every face its measurements by name."""

    def __len__(self) -> int:
        return len(self.theta)


_SHARES = {"neutral": 4.0, "happiness": 5.5, "anger": 2.0, "sadness": 1.6, "surprise": 1.6}
_SHARES |= {"speaking": 1.8, "playfulness": 0.6}
_SHAPE_SPREAD, _ALBEDO_SPREAD, _EXPRESSION_NOISE = 0.65, 0.95, 0.1
"""In standard deviations of the prior; fitted photos spread like this."""

_EVENLY_TONED, _TONE_DEGREES = 0.35, (-25.0, 47.0)
"""Share of the people whose skin is as likely dark as pale, and the typology angles they have. Of
the others one in a hundred is very dark, too few to learn the words from."""
_LONGEST_TONING = 5.0
"""Of a step towards a tone, in standard deviations: an albedo that hardly knows tones is not torn
apart for one."""

_YAW_DEGREES, _PITCH_DEGREES, _ROLL_DEGREES = (3.5, 9.0, 18.0), (3.0, 8.0), (0.7, 7.0)
"""Standard deviations of a head that looks ahead, turns, turns far; each as likely as the next,
except that few heads tilt: alignment takes the tilt out of photos."""
_TILTED = 0.12

_LIGHT_SPREAD = 0.5
"""Of the spread that the prior of the loss allows: its tails are light that no photo shows."""
_EXPOSURE, _WARMTH = 0.03, 0.011
"""Standard deviations of the brightness of the lamp and of how far red and blue part."""

_AT_REST = (
    *("smile_left", "smile_right", "frown", "mouth_open", "jaw_drop", "mouth_width_change"),
    *("pucker", "mouth_shift", "jaw_shift"),
)
"""Measurements of the mouth that are zero in an idle face, whatever the average photo does."""
_TYPICAL = (
    *("brow_raise_left", "brow_raise_right", "brow_raise_inner", "brow_raise_outer"),
    *("brow_furrow", "eye_openness_left", "eye_openness_right", "eye_squint"),
    *("nose_wrinkle", "cheek_puff"),
)
"""Measurements that an idle face shares with the average photo: a fit moves them always."""
_TRUST = 0.15
"""How closely the typical face meets a median, in deviations of the population."""


def draw_theta(
    count: int,
    model: MorphableModel,
    *,
    generator: torch.Generator,
    emotions: Sequence[str] | None = None,
    people: Sequence[Person] | None = None,
) -> tuple[FaceParameters, list[str], Float[Tensor, "batch"]]:
    """Theta of people who are not there, what they express and how strongly.

    Args:
        emotions: One per face; drawn when left out.
        people: Who they are, one per face; drawn when left out. Models without a table of
            apparent people (`morphable.apparent`) do not show it.

    Raises:
        UnknownEmotionError: An emotion has no recipe.
    """
    dice = dice_of(generator)
    if emotions is None:
        shares = [_SHARES.get(name, 0.8) for name in RECIPES]
        emotions = dice.choices(list(RECIPES), shares, k=count)
    strengths = [dice.uniform(0.25, 1.0) for _ in range(count)]
    shape, albedo = _identities(people or draw_people(count, dice), model, generator)
    albedo = _evenly_toned(albedo, model, dice)
    expression = _expressions(model, emotions, strengths, dice, generator)
    theta = FaceParameters(
        shape, expression, albedo, _lights(count, generator), _poses(count, dice)
    )
    theta = theta.replace(camera=frame(theta, model))
    return theta, list(emotions), torch.tensor(strengths)


def _identities(
    people: Sequence[Person], model: MorphableModel, generator: torch.Generator
) -> tuple[Float[Tensor, "batch shape"], Float[Tensor, "batch albedo"]]:
    """Chance around the typical face of people of this gender and age."""
    count = len(people)
    shape = _typical(model)["shape"] + _SHAPE_SPREAD * torch.randn(
        count, len(model.identity_mm), generator=generator
    )
    albedo = _typical(model)["albedo"] + _ALBEDO_SPREAD * torch.randn(
        count, len(model.albedo_basis), generator=generator
    )
    known = apparent_people(model)
    if known is None:
        return shape, albedo
    men = torch.tensor([MEN[person.pronoun] for person in people])
    of_shape, of_albedo = known.offsets(men, torch.tensor([person.age for person in people]))
    return shape + of_shape, albedo + of_albedo


def _evenly_toned(
    albedo: Float[Tensor, "batch albedo"], model: MorphableModel, dice: random.Random
) -> Float[Tensor, "batch albedo"]:
    """Some of the people with the likeliest change of their albedo that gives them another tone."""
    name = "skin_typology_angle"
    rows = [row for row in range(len(albedo)) if dice.random() < _EVENLY_TONED]
    if name not in available(model) or not rows:
        return albedo
    wanted = torch.tensor([dice.uniform(*_TONE_DEGREES) for _ in rows])
    toned = albedo[rows]
    for _ in range(3):  # The angle is nearly linear in the albedo: two steps of Newton suffice.
        with torch.enable_grad():
            known = toned.detach().requires_grad_()
            people = FaceParameters.zeros(len(rows)).replace(albedo=known)
            angles = measure(people, model, [name])[name]
            [slope] = torch.autograd.grad(angles.sum(), known)
        missing = wanted - angles.detach()
        change = missing[:, None] * slope / slope.square().sum(dim=1, keepdim=True).clamp(min=1e-9)
        toned = toned + change.renorm(2, 0, _LONGEST_TONING)
    changed = albedo.clone()
    changed[rows] = toned
    return changed


def _expressions(
    model: MorphableModel,
    emotions: Sequence[str],
    strengths: Sequence[float],
    dice: random.Random,
    generator: torch.Generator,
) -> Float[Tensor, "batch expression"]:
    noise = torch.randn(len(emotions), len(model.expression_mm), generator=generator)
    if not model.arkit_names:  # Without named actions nobody knows which delta is a smile.
        return 0.5 * noise
    columns = {name: i for i, name in enumerate(model.arkit_names)}
    weights = torch.zeros(len(emotions), len(columns))
    for row, (emotion, strength) in enumerate(zip(emotions, strengths, strict=True)):
        mixed = mixed_weights(emotion, strength, dice) | glance(dice)
        for name, weight in mixed.items():
            if name in columns:
                weights[row, columns[name]] = weight
    rest = _typical(model)["expression"]
    return rest + weights @ _delta_of_actions(model) + _EXPRESSION_NOISE * noise


def _lights(count: int, generator: torch.Generator) -> Float[Tensor, "batch 27"]:
    spread = torch.linalg.cholesky(torch.linalg.inv(light_precision(dtype=torch.float64))).float()
    drawn = torch.randn(count, 27, generator=generator) @ spread.T
    light = (mean_light() + _LIGHT_SPREAD * drawn).view(count, 9, 3)
    lamp = 1 + _EXPOSURE * torch.randn(count, 1, 1, generator=generator)
    warmth = _WARMTH * torch.randn(count, 1, 1, generator=generator)
    lamp = lamp * (1 + warmth * torch.tensor([1.0, 0.0, -1.0]))
    light[:, 0] += 1.0  # phi counts from white ambient light
    light = light * lamp
    light[:, 0] -= 1.0
    return light.flatten(1)


def _poses(count: int, dice: random.Random) -> Float[Tensor, "batch 6"]:
    """Angles only; where the head lies in the picture is `frame`'s business."""
    camera = torch.zeros(count, 6)
    for row in camera:
        tilt = _ROLL_DEGREES[dice.random() < _TILTED]
        deviations = (dice.choice(_PITCH_DEGREES), dice.choice(_YAW_DEGREES), tilt)
        row[:3] = torch.tensor([min(max(dice.gauss(0, d), -2.2 * d), 2.2 * d) for d in deviations])
    camera[:, :3] = torch.deg2rad(camera[:, :3])
    return camera


def frame(theta: FaceParameters, model: MorphableModel) -> Float[Tensor, "batch 6"]:
    """The camera that shows each face where alignment would put it: shift and scale that bring the
    five points closest to their places, the rotation as it is."""
    landmarks_mm = ProbedFace(theta, probe_of(model).like(theta.shape)).moved.mm[:, :68]
    camera = theta.camera.clone()
    camera[:, 3:] = 0
    seen = project_orthographic(landmarks_mm, camera, CROP_SIZE, model.pixels_per_mm)
    points = five_points(seen[..., :2]) - (CROP_SIZE - 1) / 2
    wanted = FIVE_POINT_TEMPLATE_PX.to(points) - (CROP_SIZE - 1) / 2
    centred = points - points.mean(dim=1, keepdim=True)
    target = wanted - wanted.mean(dim=0)
    # The least-squares scale of alignment (Umeyama 1991): aligned again, the face stays as it is.
    scale = (centred * target).sum((1, 2)) / centred.square().sum((1, 2))
    camera[:, 3:5] = (wanted.mean(dim=0) - scale[:, None] * points.mean(dim=1)) / (CROP_SIZE / 2)
    camera[:, 5] = scale.log()
    return camera


_TYPICAL_OF: "WeakKeyDictionary[MorphableModel, dict[str, Tensor]]" = WeakKeyDictionary()
_DELTA_OF: "WeakKeyDictionary[MorphableModel, Tensor]" = WeakKeyDictionary()


def _delta_of_actions(model: MorphableModel) -> Float[Tensor, "blendshape expression"]:
    if model not in _DELTA_OF:
        rows = [expression_from_arkit(model, {name: 1.0}) for name in model.arkit_names]
        _DELTA_OF[model] = torch.cat(rows).float()
    return _DELTA_OF[model]


def _typical(model: MorphableModel) -> dict[str, Tensor]:
    """The smallest coefficients of each block with which the measurements are those of the average
    person of the population."""
    if model not in _TYPICAL_OF:
        _TYPICAL_OF[model] = {
            b: _solve_typical(model, b) for b in ("shape", "expression", "albedo")
        }
    return _TYPICAL_OF[model]


def _solve_typical(model: MorphableModel, block: str) -> Float[Tensor, "coefficient"]:
    people = default_population(model)
    names = [n for n in available(model) if MEASUREMENTS[n].block == block]
    if block == "expression":
        names = [n for n in names if n in _AT_REST + _TYPICAL]
    wanted = torch.tensor([0.0 if n in _AT_REST else people.value_at(n, 50.0) for n in names])
    spread = torch.tensor([max(people.deviation(n), 1e-3) for n in names])
    start = FaceParameters.zeros(1)
    unknown = getattr(start, block)[:, : _size_of(model, block)].clone()

    def seen(coefficients: Tensor) -> Tensor:
        values = measure(start.replace(**{block: coefficients}), model, names)
        return (torch.stack([values[n][0] for n in names]) - wanted) / spread

    for _ in range(3):
        jacobian = torch.func.jacrev(seen)(unknown)[:, 0]
        residual = seen(unknown) - jacobian @ unknown[0]
        gram = jacobian.T @ jacobian + _TRUST**2 * torch.eye(unknown.shape[1])
        unknown = -torch.linalg.solve(gram, jacobian.T @ residual)[None]
    return unknown[0]


def _size_of(model: MorphableModel, block: str) -> int:
    bases = {"shape": model.identity_mm, "expression": model.expression_mm}
    return len(bases.get(block, model.albedo_basis))


def compose_faces(
    count: int,
    model: MorphableModel,
    *,
    generator: torch.Generator,
    emotions: Sequence[str] | None = None,
    people: Sequence[Person] | None = None,
) -> ComposedFaces:
    """People with everything that is said about them; thousands in seconds.

    Args:
        emotions: One per face; drawn when left out.
        people: Who they are, one per face; drawn when left out. Of models that cannot show it
            nothing of it is said.

    Raises:
        UnknownEmotionError: An emotion has no recipe.
    """
    dice = dice_of(generator)
    people = people or draw_people(count, dice)
    theta, shown, strengths = draw_theta(
        count, model, generator=generator, emotions=emotions, people=people
    )
    readings = read_faces(theta, model)
    unknown = VOICES["they"] if apparent_people(model) is None else None
    descriptions = [
        describe_reading(reading, dice, voice=unknown or voice_of(who, reading, dice), emotion=mood)
        for reading, mood, who in zip(readings, shown, people, strict=True)
    ]
    return ComposedFaces(theta, descriptions, shown, strengths, [r.value for r in readings])
