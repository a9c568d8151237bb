"""The colours of the shipped head: those learnt from photos and those composed of pigments."""

import pytest
import torch

from facegpt.morphable.default import load_default, load_default_procedural
from facegpt.morphable.model import MorphableModel

LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722])
_LOADERS = {"photos": load_default, "pigments": load_default_procedural}


@pytest.fixture(params=list(_LOADERS))
def model(request: pytest.FixtureRequest) -> MorphableModel:
    return _LOADERS[request.param]()


def _step(model: MorphableModel) -> torch.Tensor:
    """What rounding to 127 steps may cost each component, (80, 1, 1)."""
    return model.albedo_basis.abs().amax(dim=(1, 2), keepdim=True) / 127


def _near(model: MorphableModel, landmarks: list[int], radius_mm: float) -> torch.Tensor:
    """Mean colour of the skin around some of the 68 points."""
    skin = model.part_mask(("face",)).nonzero().squeeze(1)
    centres = model.mean_mm[model.landmarks68[landmarks]]
    near = torch.cdist(model.mean_mm[skin], centres).amin(dim=1) < radius_mm
    return model.albedo_mean[skin[near]].mean(dim=0)


def _of_part(model: MorphableModel, *names: str) -> torch.Tensor:
    return model.albedo_mean[model.part_mask(names)]


def test_mean_is_a_colour(model: MorphableModel) -> None:
    assert model.albedo_mean.min() >= 0
    assert model.albedo_mean.max() <= 1


def test_mean_is_symmetric(model: MorphableModel) -> None:
    difference = model.albedo_mean - model.albedo_mean[model.mirror]
    assert difference.abs().max() <= 2 / 65535


def test_every_component_is_symmetric_or_antisymmetric(model: MorphableModel) -> None:
    flipped = model.albedo_basis[:, model.mirror]
    even = (model.albedo_basis - flipped).abs().amax(dim=(1, 2))
    odd = (model.albedo_basis + flipped).abs().amax(dim=(1, 2))
    assert (torch.minimum(even, odd) <= 1.01 * _step(model).flatten()).all()
    assert 0.4 < (even < odd).float().mean() < 0.95


def test_components_are_orthogonal_on_the_face_seen_from_the_front() -> None:
    """The 78 of the skin; the last two of the photo model colour the irises alone."""
    model = load_default()
    corners = model.mean_mm[model.triangles]
    across = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = torch.zeros(len(model.mean_mm))
    for k in range(3):
        area.index_add_(0, model.triangles[:, k], across[:, 2].clamp(min=0) / 6)
    weight = (area * model.part_mask(("face",))).unsqueeze(1).sqrt()
    rows = (model.albedo_basis[:78] * weight).flatten(1)
    energy = rows.square().sum(dim=1)
    cosine = (rows @ rows.T) / energy.outer(energy).sqrt()
    assert (cosine - torch.eye(78)).abs().max() < 0.05
    assert (energy.diff() <= 0.02 * energy[:-1]).all()
    skin_of_iris = model.albedo_basis[78:][:, model.part_mask(("face", "ear", "neck"))]
    assert (skin_of_iris == 0).all()


def test_random_people_keep_to_the_range_of_colours(model: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(0)
    people = model.albedo_srgb(torch.randn(40, 80, generator=generator))
    face = people[:, model.part_mask(("face",))]
    assert ((face < 0) | (face > 1)).float().mean() < 0.01
    extreme = model.albedo_srgb(
        2
        * torch.nn.functional.normalize(torch.randn(40, 80, generator=generator), dim=1)
        * 80**0.5
        / 2
    )
    face = extreme[:, model.part_mask(("face",))]
    assert ((face < 0) | (face > 1)).float().mean() < 0.03


def test_skin_spans_light_and_dark_people(model: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(1)
    people = model.albedo_srgb(torch.randn(200, 80, generator=generator))
    brightness = people[:, model.part_mask(("face",))].mean(dim=1) @ LUMINANCE
    assert 0.05 < brightness.std() < 0.2
    assert brightness.max() - brightness.min() > 0.25


def test_lips_are_redder_and_brows_darker_than_the_skin(model: MorphableModel) -> None:
    cheek, lips = _near(model, [2, 14], 15.0), _near(model, [51, 57], 3.0)
    brows = _near(model, [19, 24], 3.0)
    assert lips[0] / lips[1] > 1.05 * cheek[0] / cheek[1]
    assert brows @ LUMINANCE < 0.9 * (cheek @ LUMINANCE)


def test_eyes_teeth_and_tongue_have_their_colours(model: MorphableModel) -> None:
    eye = _of_part(model, "eye_left", "eye_right") @ LUMINANCE
    assert eye.max() > 0.45  # white, in the shade of the lids
    assert eye.min() < 0.08  # pupil
    teeth, tongue = _of_part(model, "teeth").mean(dim=0), _of_part(model, "tongue").mean(dim=0)
    assert teeth @ LUMINANCE > 0.7
    assert tongue[0] > 1.4 * tongue[1]
    throat = _of_part(model, "mouth") @ LUMINANCE
    assert throat.median() < tongue @ LUMINANCE


def test_tone_of_the_face_reaches_ears_and_neck(model: MorphableModel) -> None:
    """The strongest component is the tone of the skin: it moves all skin the same way."""
    strongest = model.albedo_basis[0] @ LUMINANCE
    face = strongest[model.part_mask(("face",))].mean()
    for part in ("ear", "neck"):
        assert 0.3 < strongest[model.part_mask((part,))].mean() / face < 1.7


def test_no_seam_between_face_and_the_rest_of_the_skin(model: MorphableModel) -> None:
    part = model.part[model.triangles]
    face, neck = (model.part_names.index(name) for name in ("face", "neck"))
    across = ((part == face).any(dim=1)) & ((part == neck).any(dim=1))
    corners = model.albedo_mean[model.triangles[across]]
    assert (corners.amax(dim=1) - corners.amin(dim=1)).max() < 0.13


def test_irises_vary_between_people(model: MorphableModel) -> None:
    eyes = model.part_mask(("eye_left", "eye_right"))
    spread = model.albedo_basis[:, eyes].square().sum(dim=0).sqrt()
    assert 0.02 < spread.max() < 0.3


def test_photos_and_pigments_are_two_different_bases() -> None:
    photos, pigments = load_default(), load_default_procedural()
    assert torch.equal(photos.triangles, pigments.triangles)
    skin = photos.part_mask(("face",))
    spaces = [
        torch.linalg.qr(m.albedo_basis[:78, skin].flatten(1).T)[0] for m in (photos, pigments)
    ]
    overlap = torch.linalg.svdvals(spaces[0].T @ spaces[1])
    assert overlap.mean() < 0.8
    assert (photos.albedo_mean - pigments.albedo_mean)[skin].abs().mean() > 0.01
