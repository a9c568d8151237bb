"""Raw arrays to a model: frame, winding, mirror, sizes, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facegpt.morphable.assembly import RawModel, assemble, mirror_map, outward
from facegpt.morphable.default import FaceModelFileError
from facegpt.morphable.framing import FIVE_POINT_TEMPLATE_PX, five_points
from facegpt.morphable.model import MorphableModel


@pytest.fixture
def raw(tiny_face_model: MorphableModel) -> RawModel:
    tiny = tiny_face_model
    return RawModel(
        name="raw",
        source=Path("raw.file"),
        mean_mm=tiny.mean_mm.double().numpy() + (30.0, -20.0, 500.0),
        identity_mm=tiny.identity_mm.numpy()[:7],
        expression_mm=np.concatenate([tiny.expression_mm.numpy()] * 2),
        triangles=tiny.triangles.numpy(),
        landmarks68=tiny.landmarks68.numpy(),
        albedo_mean=tiny.albedo_mean.numpy(),
        albedo_basis=tiny.albedo_basis.numpy(),
        part=tiny.part.numpy(),
        part_names=tiny.part_names,
        licences=("ict",),
        arkit_mm={"jawOpen": tiny.arkit_mm.numpy()[0]},
    )


def test_the_frame_is_that_of_the_crop(raw: RawModel) -> None:
    model = assemble(raw)
    points = five_points(model.mean_mm[model.landmarks68].double())[:, :2]
    px = 111.5 + points * torch.tensor([1.0, -1.0]) * model.pixels_per_mm
    torch.testing.assert_close(
        px.mean(dim=0), FIVE_POINT_TEMPLATE_PX.mean(dim=0), atol=1e-3, rtol=0
    )


def test_bases_are_cut_and_filled(raw: RawModel, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="facegpt"):
        model = assemble(raw)
    assert model.identity_mm.shape[0] == 80
    assert not model.identity_mm[7:].any()
    assert model.expression_mm.shape[0] == 64
    assert "7 identity components, filled with zeros to 80" in caplog.text
    assert "the first 64 of 128 expression components are used" in caplog.text
    assert model.arkit_names == ("jawOpen",)


def test_triangles_end_counter_clockwise(raw: RawModel) -> None:
    expected = assemble(raw)
    inside_out = assemble(replace(raw, triangles=raw.triangles[:, ::-1].copy()))
    a, b, c = (expected.mean_mm[expected.triangles[:, k]] for k in range(3))
    assert (torch.linalg.cross(b - a, c - a)[:, 2] > 0).float().mean() > 0.9
    assert torch.equal(inside_out.triangles.sort(dim=1)[0], expected.triangles.sort(dim=1)[0])
    a, b, c = (inside_out.mean_mm[inside_out.triangles[:, k]] for k in range(3))
    assert (torch.linalg.cross(b - a, c - a)[:, 2] > 0).float().mean() > 0.9


def test_given_texture_coordinates_turn_with_the_triangles(raw: RawModel) -> None:
    uv = np.random.default_rng(0).random((len(raw.mean_mm), 2))
    turned = raw.triangles[:, ::-1].copy()
    model = assemble(replace(raw, triangles=turned, uv=uv, uv_triangles=turned))
    assert torch.equal(model.uv_triangles, model.triangles)


def test_outward_leaves_a_good_mesh_alone(raw: RawModel) -> None:
    assert outward(raw.mean_mm, raw.triangles) is raw.triangles


def test_the_mirror_swaps_eyes(raw: RawModel, tiny_face_model: MorphableModel) -> None:
    model = assemble(raw)
    left, right = model.part_mask(("eye_left",)), model.part_mask(("eye_right",))
    assert right[model.mirror[left]].all()
    assert torch.equal(model.mirror, tiny_face_model.mirror)


def test_a_part_without_a_partner_mirrors_onto_itself() -> None:
    vertices = np.array([[-1.0, 0, 0], [1.0, 0, 0], [3.0, 0, 0]])
    mirror = mirror_map(vertices, np.array([0, 0, 1]), ("face", "patch_left"))
    assert mirror.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"triangles": np.array([[0, 1, -1]])}, "triangles name"),
        ({"triangles": np.zeros((0, 3), dtype=np.int64)}, "0 triangles"),
        ({"landmarks68": np.full(68, 10**6)}, "landmarks name"),
    ],
)
def test_contradictions_are_named(raw: RawModel, change: dict, words: str) -> None:
    with pytest.raises(FaceModelFileError, match=words):
        assemble(replace(raw, **change))


def test_numbers_and_axes_are_checked(raw: RawModel) -> None:
    broken = raw.expression_mm.copy()
    broken[0, 0, 0] = np.inf
    with pytest.raises(FaceModelFileError, match="expression holds"):
        assemble(replace(raw, expression_mm=broken))
    for wrong in (raw.mean_mm / 10, raw.mean_mm * 1000, raw.mean_mm * (-1, 1, 1)):
        with pytest.raises(FaceModelFileError, match="unit or the axes"):
            assemble(replace(raw, mean_mm=wrong))


def test_the_rendered_part_holds_every_landmark(raw: RawModel) -> None:
    below = raw.mean_mm[:, 1] < raw.mean_mm[raw.landmarks68[[5, 11]], 1].mean()
    neck = np.where(below & (raw.part == 0), len(raw.part_names), raw.part)
    model = assemble(replace(raw, part=neck, part_names=(*raw.part_names, "neck")))
    assert "neck" in {model.part_names[row] for row in model.part.tolist()}
    face = model.restricted_to()
    points = model.mean_mm[model.landmarks68]
    torch.testing.assert_close(face.mean_mm[face.landmarks68], points)
