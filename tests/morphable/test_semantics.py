"""Laws of the named measurements, on the default model and on a tiny one that no artist made."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facegpt.morphable.blendshapes import expression_from_arkit
from facegpt.morphable.colour import cielab_from_srgb
from facegpt.morphable.default import load_default
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters
from facegpt.morphable.population import sample_population
from facegpt.morphable.semantics import (
    MEASUREMENTS,
    Population,
    as_markdown,
    available,
    default_population,
    describe_record,
    measure,
    percentiles,
    population_of,
    prior_population,
)

NEUTRAL = FaceParameters.zeros(1)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_default()


@pytest.fixture(params=["default", "tiny"])
def any_model(
    request: pytest.FixtureRequest, model: MorphableModel, tiny_face_model: MorphableModel
) -> MorphableModel:
    return model if request.param == "default" else tiny_face_model


def crowd(model: MorphableModel, count: int = 6, seed: int = 0) -> FaceParameters:
    return sample_population(model, count, generator=torch.Generator().manual_seed(seed))


def change(model: MorphableModel, **weights: float) -> dict[str, float]:
    """What blendshapes do to every measurement, in standard deviations of the population."""
    moved = NEUTRAL.replace(expression=expression_from_arkit(model, weights))
    before, after = measure(NEUTRAL, model), measure(moved, model)
    people = prior_population(model)
    return {name: float(after[name] - before[name]) / people.deviation(name) for name in before}


@pytest.mark.parametrize(
    ("blendshape", "raised", "still"),
    [
        ("mouthSmileLeft", ["smile", "smile_left", "smile_asymmetry"], ["smile_right", "jaw_drop"]),
        ("mouthSmileRight", ["smile", "smile_right", "mouth_width_change"], ["smile_left"]),
        ("mouthFrownLeft", ["frown"], ["mouth_open", "brow_raise"]),
        ("jawOpen", ["mouth_open", "jaw_drop"], ["eye_openness", "brow_raise", "smile"]),
        ("mouthPucker", ["pucker"], ["brow_raise", "jaw_shift"]),
        ("browInnerUp", ["brow_raise", "brow_raise_inner"], ["eye_openness", "smile"]),
        ("browOuterUpRight", ["brow_raise_right", "brow_raise_outer"], ["brow_raise_left"]),
        ("browDownLeft", ["brow_furrow"], ["brow_raise_right", "smile"]),
        ("cheekPuff", ["cheek_puff"], ["jaw_drop"]),
        ("jawLeft", ["jaw_shift"], ["brow_raise"]),
        ("mouthLeft", ["mouth_shift"], ["jaw_drop"]),
        ("noseSneerLeft", ["nose_wrinkle", "brow_furrow"], ["mouth_open"]),
        ("eyeWideLeft", ["eye_openness_left"], ["smile"]),
        ("eyeSquintRight", ["eye_squint"], ["smile"]),
        ("mouthUpperUpLeft", ["upper_lip_raise"], ["jaw_drop"]),
        ("mouthLowerDownLeft", ["lower_lip_drop"], ["jaw_drop"]),
        ("tongueOut", ["tongue"], ["smile", "eye_openness"]),
        ("eyeLookUpLeft", ["gaze_vertical"], ["smile"]),
        ("eyeLookOutLeft", ["gaze_horizontal"], ["smile"]),
    ],
)
def test_a_blendshape_moves_what_its_name_says(
    model: MorphableModel, blendshape: str, raised: list[str], still: list[str]
) -> None:
    moved = change(model, **{blendshape: 1.0})
    for name in raised:
        assert moved[name] > 0.3, name
    for name in still:
        assert abs(moved[name]) < 0.3, name


def test_a_blink_of_one_eye_closes_only_this_eye(model: MorphableModel) -> None:
    wink = NEUTRAL.replace(expression=expression_from_arkit(model, {"eyeBlinkLeft": 1.0}))
    values = measure(wink, model)
    assert float(values["eye_openness_left"]) < 0.35
    assert float(values["eye_openness_right"]) == pytest.approx(1.0, abs=0.1)


def test_expression_leaves_identity_alone(any_model: MorphableModel) -> None:
    face = crowd(any_model)
    calm = face.replace(expression=torch.zeros_like(face.expression))
    before, after = measure(calm, any_model), measure(face, any_model)
    for name, m in MEASUREMENTS.items():
        if m.block == "shape":
            torch.testing.assert_close(after[name], before[name])


def test_the_neutral_face_has_no_expression(any_model: MorphableModel) -> None:
    face = crowd(any_model)
    face = face.replace(expression=torch.zeros_like(face.expression))
    for name, value in measure(face, any_model).items():
        if MEASUREMENTS[name].block == "expression":
            wanted = 1.0 if name.startswith("eye_openness") else 0.0
            torch.testing.assert_close(value, torch.full_like(value, wanted), atol=1e-5, rtol=0)


def test_each_measurement_reads_its_own_block(model: MorphableModel) -> None:
    theta = crowd(model, 1).to(torch.float64).to_vector().requires_grad_()
    values = measure(FaceParameters.from_vector(theta), model)
    for name, value in values.items():
        gradient = torch.autograd.grad(value.sum(), theta, retain_graph=True)[0]
        assert gradient.isfinite().all(), name
        sizes = FaceParameters.from_vector(gradient).blocks()
        assert sizes[MEASUREMENTS[name].block].abs().max() > 0, name
        moved = {block for block, g in sizes.items() if g.abs().max() > 1e-9}
        relative = name.startswith(("eye_openness", "gaze"))  # to the person's own eyes
        assert moved == {MEASUREMENTS[name].block} | ({"shape"} if relative else set()), name


def test_gradients_are_finite_at_zero(any_model: MorphableModel) -> None:
    theta = torch.zeros(1, 257, requires_grad=True)
    for name, value in measure(FaceParameters.from_vector(theta), any_model).items():
        gradient = torch.autograd.grad(value.sum(), theta, retain_graph=True)[0]
        assert gradient.isfinite().all(), name


@pytest.mark.parametrize("block", list(BLOCK_SIZES))
def test_gradients_agree_with_differences(tiny_face_model: MorphableModel, block: str) -> None:
    face = crowd(tiny_face_model, 1).to(torch.float64)
    names = [n for n in available(tiny_face_model) if MEASUREMENTS[n].block == block]

    def values(x: Tensor) -> Tensor:
        return torch.stack(
            list(measure(face.replace(**{block: x}), tiny_face_model, names).values())
        )

    start = getattr(face, block).clone().requires_grad_()
    assert torch.autograd.gradcheck(values, (start,), fast_mode=True)


def test_pose_signs(any_model: MorphableModel) -> None:
    camera = torch.tensor([[0.1, 0.2, 0.3, 0.0, 0.0, 0.0]])
    values = measure(NEUTRAL.replace(camera=camera), any_model, ["pitch", "yaw", "roll"])
    degrees = [float(torch.rad2deg(angle)) for angle in camera[0, :3]]
    assert [float(v) for v in values.values()] == pytest.approx(degrees, rel=1e-5)
    assert "right" in MEASUREMENTS["yaw"].high


def light(y: float = 0.0, z: float = 0.0, x: float = 0.0, constant: float = 0.0) -> FaceParameters:
    phi = torch.zeros(1, 9, 3)
    phi[0, :4] = torch.tensor([constant, y, z, x])[:, None]
    return NEUTRAL.replace(illumination=phi.flatten(1))


def test_light_comes_from_where_it_shines(any_model: MorphableModel) -> None:
    left = measure(light(x=-0.4, z=0.4), any_model)
    assert float(left["light_azimuth"]) == pytest.approx(-45, abs=0.1)
    assert float(left["light_side"]) < -0.1
    above = measure(light(y=0.4), any_model)
    assert float(above["light_elevation"]) == pytest.approx(90, abs=0.1)
    assert float(above["light_height"]) > 0.1
    assert float(above["light_side"]) == pytest.approx(0.0, abs=1e-5)
    none = measure(light(), any_model)
    assert float(none["light_azimuth"]) == 0.0
    assert float(none["light_intensity"]) == pytest.approx(1.0)
    assert float(none["light_contrast"]) < float(left["light_contrast"])
    assert float(measure(light(constant=0.5), any_model)["light_intensity"]) == pytest.approx(1.5)


def test_red_light_is_warm(any_model: MorphableModel) -> None:
    phi = torch.zeros(1, 9, 3)
    phi[0, 0, 0] = 0.2
    warm = measure(NEUTRAL.replace(illumination=phi.flatten(1)), any_model)["light_warmth"]
    assert float(warm) == pytest.approx(0.263, abs=0.001)  # log2 of 1.2


@pytest.mark.parametrize(
    ("srgb", "lab"),
    [
        ((1.0, 1.0, 1.0), (100.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (53.24, 80.09, 67.20)),
        ((0.0, 0.0, 1.0), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0.0, 0.0)),
    ],
)
def test_cielab_against_published_values(srgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    got = cielab_from_srgb(torch.tensor(srgb, dtype=torch.float64))
    torch.testing.assert_close(got, torch.tensor(lab, dtype=torch.float64), atol=0.1, rtol=0)


def test_a_lighter_albedo_measures_lighter(any_model: MorphableModel) -> None:
    lighter = replace(any_model, albedo_mean=any_model.albedo_mean * 1.1)
    names = ["skin_lightness", "skin_typology_angle"]
    before, after = measure(NEUTRAL, any_model, names), measure(NEUTRAL, lighter, names)
    assert all(float(after[name]) > float(before[name]) for name in names)


def mirrored(face: FaceParameters, model: MorphableModel) -> FaceParameters:
    """The coefficients of the faces seen in a mirror."""

    def reflect(basis: Tensor, coefficients: Tensor) -> Tensor:
        flat = basis.flatten(1).double()
        flipped = (basis[:, model.mirror] * basis.new_tensor([-1.0, 1.0, 1.0])).flatten(1).double()
        gram = torch.linalg.pinv(flat @ flat.T, hermitian=True, rtol=1e-9)
        return (coefficients.double() @ flipped @ flat.T @ gram).float()

    return face.replace(
        shape=reflect(model.identity_mm, face.shape),
        expression=reflect(model.expression_mm, face.expression),
    )


def test_a_mirror_swaps_left_and_right(model: MorphableModel) -> None:
    face = crowd(model, 4)
    people = prior_population(model)
    values, mirror = measure(face, model), measure(mirrored(face, model), model)
    turned = {"smile_asymmetry", "jaw_shift", "mouth_shift", "gaze_horizontal"}
    for name, value in values.items():
        if MEASUREMENTS[name].block not in ("shape", "expression"):
            continue
        twin = name
        if name.endswith(("_left", "_right")):
            twin = name.replace("_left", "_L").replace("_right", "_left").replace("_L", "_right")
        wanted = -value if name in turned else value
        error = (mirror[twin] - wanted).abs().max() / people.deviation(name)
        assert float(error) < 0.3, name


def test_percentiles_rise_and_are_even_on_the_prior(any_model: MorphableModel) -> None:
    face = crowd(any_model, 2000, seed=5)
    people = prior_population(any_model)
    values = measure(face, any_model)
    for name, ranks in people.percentiles(values).items():
        if people.deviation(name) < 1e-6:  # the tiny model has no glance
            continue
        order = values[name].argsort()
        assert (ranks[order].diff() >= 0).all(), name
        counts = torch.histc(ranks.float(), bins=10, min=0, max=100) / len(face)
        assert (counts - 0.1).abs().max() < 0.035, (name, counts)


def test_percentiles_carry_gradients(tiny_face_model: MorphableModel) -> None:
    shape = torch.zeros(1, len(tiny_face_model.identity_mm), requires_grad=True)
    rank = percentiles(NEUTRAL.replace(shape=shape), tiny_face_model, ["jaw_width"])["jaw_width"]
    rank.sum().backward()
    assert shape.grad is not None
    assert shape.grad.abs().max() > 0


def test_the_population_is_the_same_for_the_same_content(model: MorphableModel) -> None:
    start = time.perf_counter()
    first = default_population(model)
    assert time.perf_counter() - start < 5.0
    assert default_population(model.to(torch.float32)).quantiles.keys() == first.quantiles.keys()
    assert prior_population(replace(model)) is prior_population(model)


def test_a_population_survives_its_file(tiny_face_model: MorphableModel, tmp_path: Path) -> None:
    people = population_of(crowd(tiny_face_model, 50), tiny_face_model, "fifty", ["yaw", "smile"])
    people.save(tmp_path / "people.json")
    again = Population.load(tmp_path / "people.json")
    assert again.source == "fifty"
    torch.testing.assert_close(
        again.quantiles["yaw"], people.quantiles["yaw"], atol=1e-5, rtol=1e-5
    )
    merged = prior_population(tiny_face_model).with_rows_of(again)
    assert merged.quantiles["yaw"] is again.quantiles["yaw"]
    assert merged.value_at("smile", 100.0) == pytest.approx(float(people.quantiles["smile"].max()))


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"source": "x"}', '{"source": "x", "quantiles": {"yaw": [1, 2]}}'],
)
def test_a_broken_population_file_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(ValueError, match=r"broken\.json"):
        Population.load(tmp_path / "broken.json")


def test_a_record_of_one_face(any_model: MorphableModel) -> None:
    record = describe_record(crowd(any_model, 1), any_model)
    assert list(record) == available(any_model)
    for name, row in record.items():
        assert set(row) == {"value", "unit", "percentile"}
        assert 0 <= float(row["percentile"]) <= 100, name
    with pytest.raises(ValueError, match="batch of 2"):
        describe_record(crowd(any_model, 2), any_model)


@pytest.mark.parametrize("block", list(BLOCK_SIZES))
def test_nan_raises(tiny_face_model: MorphableModel, block: str) -> None:
    face = FaceParameters.zeros(2)
    getattr(face, block)[1, 0] = float("nan")
    with pytest.raises(ValueError, match=f"{block} block .* face 1"):
        measure(face, tiny_face_model)


def test_unknown_names_are_answered_with_the_nearest(tiny_face_model: MorphableModel) -> None:
    with pytest.raises(ValueError, match="did you mean 'jaw_width'"):
        measure(NEUTRAL, tiny_face_model, ["jaw_widht"])


def test_a_model_without_eyes_and_tongue_goes_without_their_names(
    tiny_face_model: MorphableModel,
) -> None:
    plain = replace(
        tiny_face_model,
        part=torch.zeros_like(tiny_face_model.part),
        part_names=("head",),
        arkit_mm=tiny_face_model.arkit_mm[:0],
        arkit_names=(),
    )
    missing = set(MEASUREMENTS) - set(available(plain))
    assert missing == {
        *("tongue", "gaze_horizontal", "gaze_vertical", "eye_lightness", "eye_warmth")
    }
    assert set(prior_population(plain).quantiles) == set(available(plain))
    with pytest.raises(ValueError, match="has no tongue_tip"):
        measure(NEUTRAL, plain, ["tongue"])


def test_the_rendered_part_measures_as_the_whole_head(any_model: MorphableModel) -> None:
    face = crowd(any_model)
    part = any_model.restricted_to()
    assert available(part) == available(any_model)
    for name, value in measure(face, any_model).items():
        torch.testing.assert_close(measure(face, part, [name])[name], value, msg=name)


def test_one_face_is_measured_in_milliseconds(model: MorphableModel) -> None:
    measure(NEUTRAL, model)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        measure(NEUTRAL, model)
        times.append(time.perf_counter() - start)
    # 5 ms without the shape checks that tests run under.
    assert min(times) < 0.1


def test_the_documented_table_is_the_catalogue(project: Path) -> None:
    page = (project / "docs" / "semantics.md").read_text()
    assert as_markdown() in page, (
        "docs/semantics.md is out of date: put the output of "
        "facegpt.morphable.semantics.as_markdown() in the place of its table"
    )
