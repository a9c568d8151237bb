"""The default head: whole, symmetric, whitened, named, unfolded; and its file when damaged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facegpt.morphable.default import (
    ASSET_PATH,
    FaceModelFileError,
    load_default,
    load_default_procedural,
    read_face_model,
)
from facegpt.morphable.framing import FIVE_POINT_TEMPLATE_PX, five_points
from facegpt.morphable.model import MorphableModel

FLIP_X = torch.tensor([-1.0, 1.0, 1.0])
PARTS = (
    *("face", "ear", "scalp", "neck", "eye_left", "eye_right"),
    *("mouth", "teeth", "tongue"),
)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_default()


def shape(model: MorphableModel, name: str) -> Tensor:
    return model.arkit_mm[model.arkit_names.index(name)]


def test_sizes(model: MorphableModel) -> None:
    assert ASSET_PATH.stat().st_size <= 15_000_000
    assert model.identity_mm.shape[0] == 80
    assert model.expression_mm.shape[0] == 64
    assert model.albedo_basis.shape[0] == 80
    assert len(model.mean_mm) <= 22_000
    face = model.restricted_to()
    assert len(face.mean_mm) <= 11_000
    assert len(face.triangles) <= 21_500


def test_loading_twice_gives_the_same_object() -> None:
    assert load_default() is load_default()
    assert load_default().name == "default"
    assert load_default_procedural().name == "default-procedural"


def test_every_part_is_there_and_every_vertex_used(model: MorphableModel) -> None:
    assert model.part_names == PARTS
    assert model.part.bincount(minlength=len(PARTS)).min() > 50
    assert len(model.triangles.unique()) == len(model.mean_mm)
    assert len(model.uv_triangles.unique()) == len(model.uv)


def test_the_whole_model_is_symmetric(model: MorphableModel) -> None:
    mirror = model.mirror
    assert (mirror[mirror] == torch.arange(len(mirror))).all()
    torch.testing.assert_close(model.mean_mm[mirror] * FLIP_X, model.mean_mm, atol=0.01, rtol=0)
    left, right = PARTS.index("eye_left"), PARTS.index("eye_right")
    swapped = model.part.clone()
    swapped[model.part == left], swapped[model.part == right] = right, left
    assert (model.part[mirror] == swapped).all()
    flipped = {
        tuple(t[t.index(min(t)) :] + t[: t.index(min(t))])
        for t in mirror[model.triangles][:, [0, 2, 1]].tolist()
    }
    assert flipped == {
        tuple(t[t.index(min(t)) :] + t[: t.index(min(t))]) for t in model.triangles.tolist()
    }


def test_every_identity_axis_is_symmetric_or_antisymmetric(model: MorphableModel) -> None:
    flipped = model.identity_mm[:, model.mirror] * FLIP_X
    product = (flipped * model.identity_mm).sum((1, 2)) / (model.identity_mm**2).sum((1, 2))
    assert product.abs().min() > 0.99


def test_identity_axes_are_orthogonal_with_falling_deviations(model: MorphableModel) -> None:
    weight = torch.ones(len(model.mean_mm))  # as in scripts/face_model/identity.py
    for name, share in (("ear", 0.1), ("scalp", 0.15), ("neck", 0.05)):
        weight[model.part_mask([name])] = share
    axes = (model.identity_mm * weight[:, None].sqrt()).flatten(1).double()
    gram = axes @ axes.T
    length = gram.diag().sqrt()
    off = gram / (length[:, None] * length[None]) - torch.eye(80, dtype=torch.float64)
    assert off.abs().max() < 5e-3
    assert (length[1:] <= length[:-1] * 1.001).all()
    # a standard deviation of a vertex of the face is some millimetres, not centimetres
    deviation = (model.identity_mm[:, model.part_mask(["face"])] ** 2).sum((0, 2)).sqrt()
    assert 2 < deviation.mean() < 6


def test_the_arkit_shapes_lie_exactly_in_the_expression_space(model: MorphableModel) -> None:
    axes, shapes = model.expression_mm.flatten(1).double(), model.arkit_mm.flatten(1).double()
    coefficients = torch.linalg.lstsq(axes.T, shapes.T).solution.T
    assert (coefficients @ axes - shapes).abs().max() < 0.01
    # a full shape is some standard deviations away, not hundreds
    assert 1 < coefficients.norm(dim=1).median() < 30


def test_arkit_names_are_apples(model: MorphableModel) -> None:
    names = model.arkit_names
    assert len(set(names)) == len(names) == 52
    assert names[0] == "eyeBlinkLeft"
    assert names[-1] == "tongueOut"
    for name in names:
        if name.endswith("Left"):
            assert name.removesuffix("Left") + "Right" in names


@pytest.mark.parametrize(("side", "sign"), [("Left", 1), ("Right", -1)])
def test_left_is_the_persons_left(model: MorphableModel, side: str, sign: int) -> None:
    for name in ("eyeBlink", "mouthSmile", "browDown", "cheekSquint", "eyeLookUp"):
        motion = shape(model, name + side).norm(dim=1)
        centre_x = (motion * model.mean_mm[:, 0]).sum() / motion.sum()
        assert sign * centre_x > 10, name


def test_a_blink_closes_the_eye(model: MorphableModel) -> None:
    upper, lower = model.landmarks68[[43, 44]], model.landmarks68[[47, 46]]
    closed = model.mean_mm + shape(model, "eyeBlinkLeft")
    assert (model.mean_mm[upper, 1] - model.mean_mm[lower, 1]).min() > 4
    assert (closed[upper, 1] - closed[lower, 1]).max() < 0.5
    other = shape(model, "eyeBlinkLeft")[model.landmarks68[36:42]]
    assert other.abs().max() < 0.05


def test_closed_lids_lie_outside_the_eyeball(model: MorphableModel) -> None:
    eye = model.mean_mm[model.part_mask(["eye_left"])]
    closed = model.mean_mm + shape(model, "eyeBlinkLeft")
    lids = closed[model.landmarks68[[43, 44, 46, 47]]]
    front = eye[torch.cdist(lids[:, :2], eye[:, :2]).argmin(1)]
    assert (lids[:, 2] > front[:, 2] - 0.3).all()


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [
        ("eyeLookOutLeft", 0, 1),
        ("eyeLookInLeft", 0, -1),
        ("eyeLookOutRight", 0, -1),
        ("eyeLookInRight", 0, 1),
        ("eyeLookUpLeft", 1, 1),
        ("eyeLookDownRight", 1, -1),
    ],
)
def test_a_glance_turns_the_eyeball(model: MorphableModel, name: str, axis: int, sign: int) -> None:
    part = "eye_left" if name.endswith("Left") else "eye_right"
    rows = model.part_mask([part]).nonzero()[:, 0]
    pupil = rows[model.mean_mm[rows, 2].argmax()]
    assert sign * shape(model, name)[pupil, axis] > 3


def test_an_open_jaw_parts_the_lips_and_lowers_teeth_and_tongue(model: MorphableModel) -> None:
    jaw = shape(model, "jawOpen")
    upper, lower = model.landmarks68[62], model.landmarks68[66]
    assert jaw[upper, 1] - jaw[lower, 1] > 20
    assert jaw[model.part_mask(["tongue"]), 1].mean() < -10
    teeth = jaw[model.part_mask(["teeth"]), 1]
    assert (teeth.abs() < 0.1).any()
    assert (teeth < -10).any()
    # mouthClose is ARKit's corrective: with the open jaw it brings the lips together again
    both = jaw + shape(model, "mouthClose")
    assert (both[upper, 1] - both[lower, 1]).abs() < 4


def test_landmarks_lie_where_their_numbers_say(model: MorphableModel) -> None:
    points = model.mean_mm[model.landmarks68]
    face = PARTS.index("face")
    assert (model.part[model.landmarks68] == face).all()
    assert (points[36:42, 0] < 0).all()
    assert (points[42:48, 0] > 0).all()
    assert points[36, 0] < points[37, 0] < points[38, 0] < points[39, 0]
    assert (points[37:39, 1] > points[[41, 40], 1]).all()
    assert (points[27:30, 1] > points[28:31, 1]).all()
    assert points[30, 2] == points[:, 2].max()
    assert points[48, 0] < points[60, 0] < points[61, 0] < points[62, 0]
    assert points[51, 1] > points[62, 1] > points[57, 1] > points[8, 1]
    assert points[[8, 27, 30, 33, 51, 57], 0].abs().max() < 0.01
    twins = [[0, 16], [17, 26], [36, 45], [39, 42], [31, 35], [48, 54], [61, 63], [67, 65]]
    for right, left in twins:
        assert model.mirror[model.landmarks68[right]] == model.landmarks68[left]


def test_the_mean_sits_in_the_aligned_frame(model: MorphableModel) -> None:
    points = five_points(model.mean_mm[model.landmarks68].double())
    pixels = points[:, :2] * model.pixels_per_mm * torch.tensor([1.0, -1.0]) + 111.5
    assert (pixels - FIVE_POINT_TEMPLATE_PX).norm(dim=1).mean() < 3
    eyes = (points[1] - points[0]).norm()
    assert 55 < eyes < 70  # adults: 63 mm


def test_triangles_face_outwards(model: MorphableModel) -> None:
    for part in ("face", "eye_left", "eye_right"):
        triangles = model.triangles[model.part_mask([part])[model.triangles].all(1)]
        a, b, c = (model.mean_mm[triangles[:, k]] for k in range(3))
        normal = torch.linalg.cross(b - a, c - a)
        centre = model.mean_mm[triangles.unique()].mean(0) - torch.tensor([0.0, 0.0, 20.0])
        outward = ((a - centre) * normal).sum(1) > 0
        assert (normal.norm(dim=1) * outward).sum() > 0.8 * normal.norm(dim=1).sum()


def test_texture_coordinates_never_overlap(model: MorphableModel) -> None:
    assert model.uv.min() >= 0
    assert model.uv.max() <= 1
    corners = model.uv[model.uv_triangles].double().numpy()
    assert (signed_areas(corners) > 0).all()
    side = 512
    covered = np.zeros((side, side), int)
    for triangle in corners * side:
        cover(covered, triangle)
    # samples closer than a hair to a common edge may count for both neighbours
    assert (covered > 1).mean() < 1e-4
    assert (covered > 0).mean() > 0.75
    face = model.part_mask(["face"])[model.triangles].all(1).numpy()
    assert signed_areas(corners)[face].sum() > 0.35


def signed_areas(corners: np.ndarray) -> np.ndarray:
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2


def cover(count: np.ndarray, triangle: np.ndarray) -> None:
    """Add one at the sample points strictly inside."""
    low = np.floor(triangle.min(0)).astype(int)
    high = np.minimum(np.ceil(triangle.max(0)).astype(int), len(count) - 1)
    x, y = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
    point = np.stack([x, y], -1) + 0.37
    inside = np.ones(x.shape, bool)
    for k in range(3):
        a, b = triangle[k], triangle[(k + 1) % 3]
        inside &= (b[0] - a[0]) * (point[..., 1] - a[1]) > (b[1] - a[1]) * (point[..., 0] - a[0])
    count[low[1] : high[1] + 1, low[0] : high[0] + 1] += inside


def test_colours_are_colours(model: MorphableModel) -> None:
    for one in (model, load_default_procedural()):
        assert one.albedo_mean.min() >= 0
        assert one.albedo_mean.max() <= 1
        assert one.albedo_basis.abs().max() < 1
        assert one.licences == (one.name,)
    torch.testing.assert_close(model.mean_mm, load_default_procedural().mean_mm)


def test_a_damaged_file_is_refused_with_a_remedy(tmp_path: Path) -> None:
    whole = ASSET_PATH.read_bytes()
    for name, content in (("cut.npz", whole[: len(whole) // 2]), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FaceModelFileError, match="build_face_model"):
            read_face_model(tmp_path / name, colours="procedural", name="default")
    with pytest.raises(FaceModelFileError, match="no file at"):
        read_face_model(tmp_path / "none.npz", colours="procedural", name="default")


def test_another_format_and_missing_colours_are_refused(tmp_path: Path) -> None:
    with np.load(ASSET_PATH, allow_pickle=False) as file:
        blocks = {key: file[key] for key in file.files}
    np.savez(tmp_path / "new.npz", **(blocks | {"format": np.array(99)}))
    with pytest.raises(FaceModelFileError, match="format 99"):
        read_face_model(tmp_path / "new.npz", colours="procedural", name="default")
    with pytest.raises(FaceModelFileError, match="pink"):
        read_face_model(ASSET_PATH, colours="pink", name="default")
