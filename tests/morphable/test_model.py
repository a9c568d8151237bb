"""M(theta): linearity, parts, mirror, dtypes."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis.strategies import integers

from facegpt.morphable.model import FACE_PARTS, MorphableModel
from tiny_face import LANDMARK_MIRROR, build_tiny_face_model

FLIP_X = torch.tensor([-1.0, 1.0, 1.0])


def coefficients(batch: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape, expression, albedo = (torch.randn(batch, n, generator=generator) for n in (80, 64, 80))
    return shape, expression, albedo


def test_zero_is_the_mean_face(tiny_face_model: MorphableModel) -> None:
    model = tiny_face_model
    vertices = model.vertices_mm(torch.zeros(2, 80), torch.zeros(2, 64))
    torch.testing.assert_close(vertices, model.mean_mm.expand(2, -1, -1))
    torch.testing.assert_close(model.albedo_srgb(torch.zeros(1, 80))[0], model.albedo_mean)


@given(seed=integers(0, 99))
def test_vertices_and_albedo_are_the_written_sums(seed: int) -> None:
    model = build_tiny_face_model(seed % 3).to(torch.float64)
    shape, expression, albedo = (c.double() for c in coefficients(2, seed))
    vertices = model.mean_mm.clone().expand(2, -1, -1)
    vertices = vertices + torch.einsum("bi,ivc->bvc", shape, model.identity_mm)
    vertices = vertices + torch.einsum("bi,ivc->bvc", expression, model.expression_mm)
    colours = model.albedo_mean + torch.einsum("bi,ivc->bvc", albedo, model.albedo_basis)
    torch.testing.assert_close(model.vertices_mm(shape, expression), vertices)
    torch.testing.assert_close(model.albedo_srgb(albedo), colours)


def test_a_unit_coefficient_is_one_standard_deviation(tiny_face_model: MorphableModel) -> None:
    shape = torch.zeros(1, 80)
    shape[0, 3] = -2.0
    offset = tiny_face_model.vertices_mm(shape, torch.zeros(1, 64))[0] - tiny_face_model.mean_mm
    torch.testing.assert_close(offset, -2 * tiny_face_model.identity_mm[3], atol=1e-4, rtol=1e-4)


def test_vertices_and_albedo_pass_gradcheck() -> None:
    model = build_tiny_face_model(0).restricted_to(("eye_left", "face")).to(torch.float64)
    shape, expression, albedo = (c.double().requires_grad_() for c in coefficients(1, 5))
    landmarks = model.landmarks68[::9]
    assert torch.autograd.gradcheck(
        lambda a, d: model.vertices_mm(a, d)[:, landmarks], (shape, expression)
    )
    assert torch.autograd.gradcheck(lambda g: model.albedo_srgb(g)[:, landmarks], (albedo,))


def test_part_mask_passes_over_unknown_names(tiny_face_model: MorphableModel) -> None:
    model = tiny_face_model
    eyes = model.part_mask(("eye_left", "eye_right", "third_eye"))
    assert int(eyes.sum()) == 18
    assert not model.part_mask(("third_eye",)).any()
    assert model.part_mask(model.part_names).all()


def test_restriction_keeps_every_triangle_of_the_parts_where_it_was(
    tiny_face_model: MorphableModel,
) -> None:
    model, shape_and_expression = tiny_face_model, coefficients(2, 1)[:2]
    face = model.restricted_to()
    kept = model.part_mask(FACE_PARTS)[model.triangles].all(dim=1)
    assert 0 < int(kept.sum()) < len(model.triangles)
    whole = model.vertices_mm(*shape_and_expression)[:, model.triangles[kept]]
    torch.testing.assert_close(
        face.vertices_mm(*shape_and_expression)[:, face.triangles], whole, rtol=0, atol=1e-4
    )
    albedo = coefficients(2, 1)[2]
    torch.testing.assert_close(
        face.albedo_srgb(albedo)[:, face.triangles],
        model.albedo_srgb(albedo)[:, model.triangles[kept]],
    )
    torch.testing.assert_close(face.uv[face.uv_triangles], model.uv[model.uv_triangles[kept]])
    torch.testing.assert_close(
        face.arkit_mm[:, face.triangles], model.arkit_mm[:, model.triangles[kept]]
    )
    assert face.part[face.triangles].tolist() == model.part[model.triangles[kept]].tolist()


def test_restriction_leaves_no_vertex_and_no_texel_unused(tiny_face_model: MorphableModel) -> None:
    face = tiny_face_model.restricted_to()
    assert face.triangles.unique().tolist() == list(range(len(face.mean_mm)))
    assert face.uv_triangles.unique().tolist() == list(range(len(face.uv)))


def test_restriction_keeps_landmarks_and_mirror(tiny_face_model: MorphableModel) -> None:
    model, face = tiny_face_model, tiny_face_model.restricted_to()
    torch.testing.assert_close(face.mean_mm[face.landmarks68], model.mean_mm[model.landmarks68])
    torch.testing.assert_close(face.mean_mm[face.mirror] * FLIP_X, face.mean_mm)
    assert face.mirror[face.mirror].tolist() == list(range(len(face.mirror)))
    assert (
        face.mirror[face.landmarks68].tolist()
        == face.landmarks68[torch.tensor(LANDMARK_MIRROR)].tolist()
    )


def test_a_vertex_whose_twin_is_cut_off_becomes_its_own_mirror(
    tiny_face_model: MorphableModel,
) -> None:
    one_eyed = tiny_face_model.restricted_to(("face", "eye_left"))
    eye = one_eyed.part_mask(("eye_left",)).nonzero().flatten()
    assert one_eyed.mirror[eye].tolist() == eye.tolist()


def test_restricting_to_everything_or_twice_changes_nothing(
    tiny_face_model: MorphableModel,
) -> None:
    model = tiny_face_model
    everything = model.restricted_to(model.part_names)
    torch.testing.assert_close(everything.mean_mm, model.mean_mm)
    torch.testing.assert_close(everything.triangles, model.triangles)
    once = model.restricted_to()
    twice = once.restricted_to()
    for name, value in vars(once).items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(getattr(twice, name), value, rtol=0, atol=0)


def test_parts_without_triangles_and_lost_landmarks_are_refused(
    tiny_face_model: MorphableModel,
) -> None:
    with pytest.raises(ValueError, match=r"tiny has no triangle in \('beard',\).*scalp"):
        tiny_face_model.restricted_to(("beard",))
    with pytest.raises(ValueError, match="landmark vertex of tiny"):
        tiny_face_model.restricted_to(("scalp",))


def test_a_dtype_reaches_real_numbers_only(tiny_face_model: MorphableModel) -> None:
    double = tiny_face_model.to(torch.float64)
    assert double.mean_mm.dtype == double.albedo_basis.dtype == double.uv.dtype == torch.float64
    for name in ("triangles", "uv_triangles", "landmarks68", "mirror", "part"):
        assert getattr(double, name).dtype == torch.int64
    again = double.to(torch.float32)
    torch.testing.assert_close(again.identity_mm, tiny_face_model.identity_mm, rtol=0, atol=0)


def test_a_model_cannot_be_changed_in_place(tiny_face_model: MorphableModel) -> None:
    with pytest.raises(FrozenInstanceError):
        tiny_face_model.name = "other"  # pyright: ignore


def test_wrong_coefficient_counts_are_refused(tiny_face_model: MorphableModel) -> None:
    with pytest.raises(Exception, match=r"shape|size|mat1"):
        tiny_face_model.vertices_mm(torch.zeros(1, 79), torch.zeros(1, 64))


def test_the_tiny_face_is_symmetric_and_turned_outwards(tiny_face_model: MorphableModel) -> None:
    """Other tests rely on it: mirror images, holes and normals towards the viewer."""
    model = tiny_face_model
    torch.testing.assert_close(model.mean_mm[model.mirror] * FLIP_X, model.mean_mm)
    a, b, c = (model.mean_mm[model.triangles[:, i]] for i in range(3))
    assert (torch.linalg.cross(b - a, c - a)[:, 2] > 0).all()
    left, right = (
        model.arkit_mm[model.arkit_names.index(f"mouthSmile{side}")] for side in ("Left", "Right")
    )
    torch.testing.assert_close(left[model.mirror] * FLIP_X, right)
    assert len(model.landmarks68.unique()) == 68
    assert 0 <= float(model.uv.min()) < float(model.uv.max()) <= 1
