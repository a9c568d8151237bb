"""Mesh files: round trips, what other programs expect of them, and damage."""

import io
import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facegpt.geometry.export import MeshFileError, TexturedMesh, read_bounded, write_atomically
from facegpt.geometry.gltf import read_glb_chunks, write_glb
from facegpt.geometry.obj import read_obj, write_obj
from facegpt.geometry.ply import read_ply, write_ply
from facegpt.morphable.model import MorphableModel

TETRAHEDRON = TexturedMesh(
    vertices_mm=torch.tensor([[0.0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]]),
    triangles=torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
    colours=torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
)
COMPONENTS = {5123: ("<u2", 2), 5125: ("<u4", 4), 5126: ("<f4", 4)}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}


@pytest.fixture
def head(tiny_face_model: MorphableModel) -> TexturedMesh:
    model = tiny_face_model
    y, x = np.mgrid[:32, :32]
    texture = np.stack([x * 8, y * 8, np.full_like(x, 128)], axis=2).astype(np.uint8)
    return TexturedMesh(
        vertices_mm=model.mean_mm,
        triangles=model.triangles,
        uv=model.uv,
        uv_triangles=model.uv_triangles,
        texture=texture,
        colours=model.albedo_mean,
        morphs_mm=dict(zip(model.arkit_names, model.arkit_mm, strict=True)),
        morph_weights={"jawOpen": 0.5, "mouthSmileLeft": 0.25},
    )


# PLY


def test_ply_round_trip(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", TETRAHEDRON, comments=("licence: CC0\nend_header",))
    again = read_ply(tmp_path / "a.ply")
    assert again.colours is not None
    torch.testing.assert_close(again.vertices_mm, TETRAHEDRON.vertices_mm)
    torch.testing.assert_close(again.colours, TETRAHEDRON.colours)
    assert torch.equal(again.triangles, TETRAHEDRON.triangles)


def test_ply_as_text_with_quads_and_more_than_we_need(tmp_path: Path) -> None:
    text = """ply
format ascii 1.0
comment made by hand
element vertex 4
property double x
property double y
property double z
property float confidence
element face 1
property list uchar uint vertex_index
property int group
element edge 1
property int a
end_header
0 0 0 1
1 0 0 1
1 1 0 1
0 1 0 1
4 0 1 2 3 7
5
"""
    (tmp_path / "a.ply").write_text(text)
    mesh = read_ply(tmp_path / "a.ply")
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.colours is None


def test_ply_big_endian(tmp_path: Path) -> None:
    header = (
        "ply\nformat binary_big_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
        "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    )
    data = struct.pack(">9f", *range(9)) + struct.pack(">B3i", 3, 0, 1, 2)
    (tmp_path / "a.ply").write_bytes(header.encode() + data)
    mesh = read_ply(tmp_path / "a.ply")
    torch.testing.assert_close(mesh.vertices_mm, torch.arange(9.0).view(3, 3))
    assert mesh.triangles.tolist() == [[0, 1, 2]]


@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000), value=st.integers(0, 255))
def test_damaged_ply_is_refused(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int, value: int
) -> None:
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    write_ply(path, TETRAHEDRON)
    data = bytearray(path.read_bytes())
    data[flip % len(data)] = value
    path.write_bytes(data[: cut % (len(data) + 1)])
    try:
        mesh = read_ply(path)
    except MeshFileError:
        return
    assert torch.isfinite(mesh.vertices_mm).all()
    assert mesh.triangles.numel() == 0 or int(mesh.triangles.max()) < len(mesh.vertices_mm)


# OBJ


def test_obj_round_trip(tmp_path: Path, head: TexturedMesh) -> None:
    write_obj(tmp_path / "head.obj", head, comments=("licence: CC0",))
    again = read_obj(tmp_path / "head.obj")
    assert again.uv is not None
    assert again.uv_triangles is not None
    torch.testing.assert_close(again.vertices_mm, head.vertices_mm, atol=1e-5, rtol=0)
    torch.testing.assert_close(again.uv, head.uv, atol=1e-6, rtol=0)
    assert torch.equal(again.triangles, head.triangles)
    assert torch.equal(again.uv_triangles, head.uv_triangles)
    assert "map_Kd head.png" in (tmp_path / "head.mtl").read_text()
    assert np.array_equal(np.asarray(Image.open(tmp_path / "head.png")), head.texture)


def test_obj_of_other_hands(tmp_path: Path) -> None:
    lines = "v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 1 1 0 0 0 1\nv 0 1 0 1 1 1\no quad\nf -4 -3 2//1 1\n"
    (tmp_path / "a.obj").write_text(lines.replace("2//1 1", "-2//1 4"))
    mesh = read_obj(tmp_path / "a.obj")
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.colours is not None
    assert mesh.colours[1].tolist() == [0, 1, 0]
    assert mesh.uv is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no vertices"),
        ("v 0 0\nf 1 1 1", "fewer than 3"),
        ("v 0 0 0\nf 1 2 3", "triangle 0 names vertices"),
        ("v 0 0 0\nf 0 1 1", "triangle 0 names vertices"),
        ("v 0 0 0\nf 1 1", "line 2"),
        ("v 0 0 nan", "not finite"),
        ("v 0 zero 0", "line 1"),
        ("v", "line 1"),
        ("v 0 0 0\nvt 0 0\nf 1/9 1/1 1/1", "texture coordinates"),
        ("v 0 0 0\nf 1/1 1/1 1/1", "texture coordinates"),
    ],
)
def test_damaged_obj_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.obj").write_text(text)
    with pytest.raises(MeshFileError, match=message):
        read_obj(tmp_path / "a.obj")


# GLB, read as the specification says, independently of how it was written


def accessor(document: dict[str, Any], binary: bytes, number: int) -> np.ndarray:
    entry = document["accessors"][number]
    values = np.zeros((entry["count"], WIDTHS[entry["type"]]), COMPONENTS[5126][0])
    if "bufferView" in entry:
        values = view(document, binary, entry["bufferView"], entry["componentType"])
        values = values.reshape(entry["count"], WIDTHS[entry["type"]])
    if "sparse" in entry:
        sparse = entry["sparse"]
        indices = sparse["indices"]
        rows = view(document, binary, indices["bufferView"], indices["componentType"])
        listed = view(document, binary, sparse["values"]["bufferView"], entry["componentType"])
        assert len(rows) == sparse["count"] > 0
        assert (np.diff(rows.astype(int)) > 0).all()
        values = values.copy()
        values[rows] = listed.reshape(sparse["count"], -1)
    if "min" in entry:
        assert entry["min"] == values.min(axis=0).tolist()
        assert entry["max"] == values.max(axis=0).tolist()
    return values


def view(document: dict[str, Any], binary: bytes, number: int, component: int) -> np.ndarray:
    entry = document["bufferViews"][number]
    kind, size = COMPONENTS[component]
    assert entry["byteOffset"] % max(size, 4) == 0
    assert entry["byteOffset"] + entry["byteLength"] <= document["buffers"][0]["byteLength"]
    assert entry["byteLength"] % size == 0
    return np.frombuffer(binary, kind, entry["byteLength"] // size, entry["byteOffset"])


@pytest.fixture
def glb(tmp_path: Path, head: TexturedMesh) -> tuple[dict[str, Any], bytes]:
    path = tmp_path / "head.glb"
    write_glb(path, head, copyright_notice="CC0", extras={"licences": [{"name": "x"}]})
    return read_glb_chunks(path)


def test_glb_surface(glb: tuple[dict[str, Any], bytes], head: TexturedMesh) -> None:
    document, binary = glb
    [primitive] = document["meshes"][0]["primitives"]
    position = accessor(document, binary, primitive["attributes"]["POSITION"])
    normal = accessor(document, binary, primitive["attributes"]["NORMAL"])
    uv = accessor(document, binary, primitive["attributes"]["TEXCOORD_0"])
    corners = accessor(document, binary, primitive["indices"]).reshape(-1, 3)
    assert corners.max() == len(position) - 1
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-5)
    # Every corner of every triangle is where it was, in metres, with v turned over.
    assert head.uv is not None
    assert head.uv_triangles is not None
    np.testing.assert_allclose(
        position[corners] * 1000, head.vertices_mm[head.triangles], atol=1e-4
    )
    expected = head.uv[head.uv_triangles].numpy() * (1, -1) + (0, 1)
    np.testing.assert_allclose(uv[corners], expected, atol=1e-6)


def test_glb_morphs(
    glb: tuple[dict[str, Any], bytes], head: TexturedMesh, tiny_face_model: MorphableModel
) -> None:
    document, binary = glb
    mesh = document["meshes"][0]
    [primitive] = mesh["primitives"]
    names = mesh["extras"]["targetNames"]
    assert names == list(tiny_face_model.arkit_names)
    assert len(primitive["targets"]) == len(mesh["weights"]) == 52
    assert dict(zip(names, mesh["weights"], strict=True))["jawOpen"] == 0.5
    corners = accessor(document, binary, primitive["indices"]).reshape(-1, 3)
    moved = accessor(document, binary, primitive["attributes"]["POSITION"]).astype(np.float64)
    expected = head.vertices_mm.clone()
    for name, weight, target in zip(names, mesh["weights"], primitive["targets"], strict=True):
        moved = moved + weight * accessor(document, binary, target["POSITION"])
        accessor(document, binary, target["NORMAL"])
        expected += head.morph_weights.get(name, 0.0) * head.morphs_mm[name]
    np.testing.assert_allclose(moved[corners] * 1000, expected[head.triangles], atol=0.01)


def test_glb_material_and_ledger(glb: tuple[dict[str, Any], bytes], head: TexturedMesh) -> None:
    document, binary = glb
    assert document["asset"]["copyright"] == "CC0"
    assert document["asset"]["extras"] == {"licences": [{"name": "x"}]}
    surface = document["materials"][0]["pbrMetallicRoughness"]
    assert surface["metallicFactor"] == 0
    assert 0.5 <= surface["roughnessFactor"] <= 0.7
    entry = document["bufferViews"][document["images"][0]["bufferView"]]
    data = binary[entry["byteOffset"] : entry["byteOffset"] + entry["byteLength"]]
    picture = np.asarray(Image.open(io.BytesIO(data)), dtype=int)
    assert head.texture is not None
    assert np.abs(picture - head.texture).mean() < 4


def test_glb_of_a_plain_mesh(tmp_path: Path) -> None:
    write_glb(tmp_path / "a.glb", TETRAHEDRON)
    document, binary = read_glb_chunks(tmp_path / "a.glb")
    [primitive] = document["meshes"][0]["primitives"]
    colours = accessor(document, binary, primitive["attributes"]["COLOR_0"])
    np.testing.assert_allclose(colours, TETRAHEDRON.colours, atol=1e-6)
    assert "targets" not in primitive
    assert "images" not in document


def test_a_morph_that_moves_nothing_and_a_lonely_vertex(tmp_path: Path) -> None:
    lonely = torch.cat([TETRAHEDRON.vertices_mm, torch.zeros(1, 3)])
    mesh = TexturedMesh(lonely, TETRAHEDRON.triangles, morphs_mm={"still": torch.zeros(5, 3)})
    write_glb(tmp_path / "a.glb", mesh)
    document, binary = read_glb_chunks(tmp_path / "a.glb")
    [primitive] = document["meshes"][0]["primitives"]
    assert not accessor(document, binary, primitive["targets"][0]["POSITION"]).any()
    normals = accessor(document, binary, primitive["attributes"]["NORMAL"])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("size", [0, 3, 12, 19, 24, 100, -1])
def test_damaged_glb_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.glb"
    write_glb(path, TETRAHEDRON)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(MeshFileError):
        read_glb_chunks(path)


VALIDATE = """
const fs = require("fs"), validator = require("gltf-validator");
validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))
  .then((report) => console.log(JSON.stringify(report.issues)));
"""


def test_khronos_validator_finds_nothing(tmp_path: Path, head: TexturedMesh, project: Path) -> None:
    node, modules = shutil.which("node"), project / ".node" / "node_modules"
    if node is None:
        pytest.skip("the Khronos validator needs Node.js, and there is no `node` on the PATH")
    if not (modules / "gltf-validator").is_dir():
        pytest.skip("the npm package gltf-validator is not installed; run: make gltf-validator")
    write_glb(tmp_path / "head.glb", head, copyright_notice="CC0", extras={"licences": []})
    done = subprocess.run(
        [node, "-e", VALIDATE, str(tmp_path / "head.glb")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"NODE_PATH": str(modules)},
    )
    issues = json.loads(done.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


# Files


def test_writes_are_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ply"
    write_atomically(path, b"old")

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]


def test_files_that_are_too_large(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(b"12345")
    with pytest.raises(MeshFileError, match="at most 4"):
        read_bounded(tmp_path / "a.ply", 4)
    assert read_bounded(tmp_path / "a.ply", 5) == b"12345"
    with pytest.raises(FileNotFoundError):
        read_ply(tmp_path / "none.ply")
