"""An edit reaches what is asked, by the smallest change of theta and in one block only."""

import pytest
import torch

from facegpt.morphable.default import load_default
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.population import sample_population
from facegpt.morphable.semantics import MEASUREMENTS, Shift, edit, measure, prior_population

NEUTRAL = FaceParameters.zeros(1)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_default()


def crowd(model: MorphableModel, count: int) -> FaceParameters:
    return sample_population(model, count, generator=torch.Generator().manual_seed(0))


REACHABLE = (
    *("jaw_width", "face_length", "length_to_width", "nose_size", "lip_fullness", "eye_spacing"),
    *("smile", "mouth_open", "eye_openness_left", "brow_raise", "skin_lightness", "lip_redness"),
    *("light_side", "light_intensity", "light_warmth", "yaw", "pitch", "roll"),
)


@pytest.mark.parametrize("name", REACHABLE)
def test_an_edit_reaches_its_target_and_moves_one_block(model: MorphableModel, name: str) -> None:
    face = crowd(model, 2)
    prior = prior_population(model)
    edited = edit(face, model, {name: Shift(1.0)}, population=prior)
    deviation = prior.deviation(name)
    got = (measure(edited, model)[name] - measure(face, model)[name]) / deviation
    torch.testing.assert_close(got, torch.ones(2), atol=5e-3, rtol=0)
    for block, before in face.blocks().items():
        if block != MEASUREMENTS[name].block:
            assert getattr(edited, block) is before
    # A change of one standard deviation of a Gaussian measurement costs one unit of theta.
    if MEASUREMENTS[name].block in ("shape", "albedo"):
        assert float((edited.to_vector() - face.to_vector()).norm(dim=1).max()) < 2.0


def test_several_targets_at_once_and_what_is_held(model: MorphableModel) -> None:
    face = crowd(model, 1)
    targets = {"nose_width": 36.0, "smile": 6.0, "yaw": 20.0}
    edited = edit(face, model, targets, hold=["face_width", "mouth_width"])
    after, before = measure(edited, model), measure(face, model)
    for name, value in targets.items():
        assert float(after[name]) == pytest.approx(value, abs=0.02)
    for name in ("face_width", "mouth_width"):
        assert float(after[name]) == pytest.approx(float(before[name]), abs=0.02)


def test_an_edit_is_the_smallest_one(model: MorphableModel) -> None:
    edited = edit(NEUTRAL, model, {"jaw_width": Shift(1.0)})
    length = edited.shape.norm()
    other = torch.randn(50, edited.shape.shape[1], generator=torch.Generator().manual_seed(0))
    others = FaceParameters.zeros(50).replace(shape=other / other.norm(dim=1)[:, None] * length)
    best = measure(others, model, ["jaw_width"])["jaw_width"].max()
    assert float(best) < float(measure(edited, model, ["jaw_width"])["jaw_width"])


def test_editing_light_does_not_paint_it(model: MorphableModel) -> None:
    edited = edit(NEUTRAL, model, {"light_side": Shift(1.0)})
    assert abs(float(measure(edited, model)["light_warmth"])) < 0.03


def test_edits_that_cannot_be_say_why(model: MorphableModel) -> None:
    with pytest.raises(ValueError, match="light_contrast cannot be brought"):
        edit(NEUTRAL, model, {"light_contrast": -1.0})
    with pytest.raises(ValueError, match="both a target and held"):
        edit(NEUTRAL, model, {"yaw": 1.0}, hold=["yaw"])
    with pytest.raises(ValueError, match="did you mean 'smile'"):
        edit(NEUTRAL, model, {"smyle": 1.0})
    assert edit(NEUTRAL, model, {}) is NEUTRAL
