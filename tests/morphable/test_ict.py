"""ICT-FaceKit: a small folder FaceXModel written by the test.

Layout: FaceXModel/ and README.md of ICT-VGL/ICT-FaceKit (OBJ files in cm with triangles and quads,
vertex_indices.json with "expressions" and "idx_to_landmark_verts", extras that are not listed).
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from facegpt.morphable.default import FaceModelFileError
from facegpt.morphable.ict import WEIGHT_PER_DEVIATION, arkit_shapes, load_ict
from facegpt.morphable.model import MorphableModel

EXPRESSIONS = ("browInnerUp_L", "browInnerUp_R", "eyeBlink_L", "eyeBlink_R", "jawOpen", "mouthLeft")
LASHES = 4


def write_obj(path: Path, vertices_mm: np.ndarray, faces: str) -> None:
    rows = [f"v {x / 10:.6f} {y / 10:.6f} {z / 10:.6f}" for x, y, z in vertices_mm]
    path.write_text("# ICT\n" + "\n".join(rows) + "\nvt 0.25 0.75\nvn 0 0 1\n" + faces)


def write_ict(folder: Path, model: MorphableModel) -> dict[str, np.ndarray]:
    """The tiny face with four lashes behind it; offsets in mm of every file."""
    folder.mkdir()
    mean = np.concatenate([model.mean_mm.numpy(), np.full((LASHES, 3), 5.0)])
    faces = [f"f {a}/1/1 {b}/1/1 {c}/1/1" for a, b, c in (model.triangles + 1).tolist()]
    last = len(mean)
    faces.append(f"f {last - 3}/1/1 {last - 2}/1/1 {last - 1}/1/1 {last}/1/1")
    text = "\n".join(faces) + "\n"
    write_obj(folder / "generic_neutral_mesh.obj", mean, text)
    generator = np.random.default_rng(0)
    offsets = {}
    for name in (*EXPRESSIONS, "cheekRaiser_L", *(f"identity{i:03d}" for i in range(4))):
        offsets[name] = generator.standard_normal(mean.shape)
        write_obj(folder / f"{name}.obj", mean + offsets[name], text)
    indices = {
        "expressions": list(EXPRESSIONS),
        "fitting_expressions": [],
        "idx_to_landmark_verts": model.landmarks68.tolist(),
    }
    (folder / "vertex_indices.json").write_text(json.dumps(indices))
    return offsets


def load(folder: Path, tiny: MorphableModel) -> MorphableModel:
    skin = len(tiny.mean_mm) - 27
    regions = (
        ("face", skin),
        ("eye_right", skin + 9),
        ("eye_left", skin + 18),
        ("mouth", skin + 27),
    )
    return load_ict(
        folder, albedo_donor=tiny, regions=regions, vertex_count=len(tiny.mean_mm) + LASHES
    )


def test_ict_comes_out_in_mm_with_apples_names(
    tmp_path: Path, tiny_face_model: MorphableModel
) -> None:
    tiny = tiny_face_model
    offsets = write_ict(tmp_path / "FaceXModel", tiny)
    model = load(tmp_path / "FaceXModel", tiny)
    count = len(tiny.mean_mm)
    torch.testing.assert_close(model.mean_mm, tiny.mean_mm, atol=1e-3, rtol=0)
    for i in range(4):
        expected = torch.tensor(offsets[f"identity{i:03d}"][:count]).float()
        torch.testing.assert_close(model.identity_mm[i], expected, atol=1e-4, rtol=0)
    assert not model.identity_mm[4:].any()
    blink = torch.tensor(offsets["eyeBlink_L"][:count]).float()
    torch.testing.assert_close(
        model.expression_mm[2], blink * WEIGHT_PER_DEVIATION, atol=1e-4, rtol=0
    )
    assert model.arkit_names == (
        "browInnerUp",
        "eyeBlinkLeft",
        "eyeBlinkRight",
        "jawOpen",
        "mouthLeft",
    )
    torch.testing.assert_close(model.arkit_mm[1], blink, atol=1e-4, rtol=0)
    both = offsets["browInnerUp_L"] + offsets["browInnerUp_R"]
    torch.testing.assert_close(
        model.arkit_mm[0], torch.tensor(both[:count]).float(), atol=1e-4, rtol=0
    )
    assert len(model.triangles) == len(tiny.triangles)
    assert model.landmarks68.tolist() == tiny.landmarks68.tolist()
    assert model.licences == ("ict", "tiny-test-model")
    assert model.uv_triangles.shape == model.triangles.shape


def test_parts_colours_and_mirror_of_ict(tmp_path: Path, tiny_face_model: MorphableModel) -> None:
    tiny = tiny_face_model
    write_ict(tmp_path / "FaceXModel", tiny)
    model = load(tmp_path / "FaceXModel", tiny)
    for name in ("eye_left", "eye_right", "mouth"):
        assert torch.equal(model.part_mask((name,)), tiny.part_mask((name,)))
    for name in ("eye_left", "mouth", "face"):
        mask = tiny.part_mask((name,))
        assert (model.albedo_mean - tiny.albedo_mean)[mask].abs().mean() < 0.02
    assert (model.mirror == tiny.mirror).float().mean() > 0.95
    assert len(model.restricted_to().triangles)


def test_arkit_names() -> None:
    one = np.ones((2, 3))
    named = arkit_shapes(
        {"cheekPuff_L": one, "cheekPuff_R": one, "mouthSmile_R": one, "jawOpen": one}
    )
    assert list(named) == ["cheekPuff", "mouthSmileRight", "jawOpen"]
    np.testing.assert_array_equal(named["cheekPuff"], 2 * one)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("vertex_indices.json", ""),
        ("vertex_indices.json", "[1, 2]"),
        ("vertex_indices.json", "[" * 100_000),
        ("vertex_indices.json", '{"expressions": ["jawOpen"], "idx_to_landmark_verts": [1, 2]}'),
        ("generic_neutral_mesh.obj", ""),
        ("generic_neutral_mesh.obj", "v 1 2 3\nf 1 1 1\n"),
        ("jawOpen.obj", ""),
        ("jawOpen.obj", "v 1 2 3\n"),
        ("identity000.obj", "v nan nan nan\n" * 400),
        ("identity001.obj", "v 1 2\n"),
    ],
)
def test_damaged_files_are_named(
    tmp_path: Path, tiny_face_model: MorphableModel, file: str, content: str
) -> None:
    folder = tmp_path / "FaceXModel"
    write_ict(folder, tiny_face_model)
    (folder / file).write_text(content)
    with pytest.raises(FaceModelFileError, match=file.split(".")[0]):
        load(folder, tiny_face_model)


@pytest.mark.parametrize("line", ["v nan 0 0", "v 1 2", "v 1 2 x"])
def test_one_wrong_line_is_noticed(
    tmp_path: Path, tiny_face_model: MorphableModel, line: str
) -> None:
    folder = tmp_path / "FaceXModel"
    write_ict(folder, tiny_face_model)
    lines = (folder / "identity000.obj").read_text().splitlines()
    lines[5] = line
    (folder / "identity000.obj").write_text("\n".join(lines))
    with pytest.raises(FaceModelFileError, match="identity000"):
        load(folder, tiny_face_model)


def test_a_name_cannot_lead_out_of_the_folder(
    tmp_path: Path, tiny_face_model: MorphableModel
) -> None:
    folder = tmp_path / "FaceXModel"
    write_ict(folder, tiny_face_model)
    content = json.loads((folder / "vertex_indices.json").read_text())
    for names in (["../secret"], [], "jawOpen", [1], ["a" for _ in range(1000)]):
        (folder / "vertex_indices.json").write_text(json.dumps(content | {"expressions": names}))
        with pytest.raises(FaceModelFileError, match="expressions"):
            load(folder, tiny_face_model)


def test_landmarks_beyond_the_mesh_are_noticed(
    tmp_path: Path, tiny_face_model: MorphableModel
) -> None:
    folder = tmp_path / "FaceXModel"
    write_ict(folder, tiny_face_model)
    content = json.loads((folder / "vertex_indices.json").read_text())
    content["idx_to_landmark_verts"][3] = 10**9
    (folder / "vertex_indices.json").write_text(json.dumps(content))
    with pytest.raises(FaceModelFileError, match="landmarks"):
        load(folder, tiny_face_model)


@pytest.mark.parametrize("file", ["identity000.obj", "vertex_indices.json", "jawOpen.obj"])
def test_a_missing_file_is_named(
    tmp_path: Path, tiny_face_model: MorphableModel, file: str
) -> None:
    folder = tmp_path / "FaceXModel"
    write_ict(folder, tiny_face_model)
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=file.split(".")[0]):
        load(folder, tiny_face_model)
