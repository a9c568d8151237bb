"""The folder of a face: complete or absent, readable again, safe to write twice."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from face_records import made_up_face, made_up_theta
from facegpt.geometry.gltf import read_glb_chunks
from facegpt.geometry.obj import read_obj
from facegpt.geometry.ply import read_ply
from facegpt.morphable.blendshapes import expression_from_arkit, fit_blendshapes
from facegpt.morphable.model import MorphableModel
from facegpt.perception.images import Photo
from facegpt.reconstruction import FaceReconstruction, read_record
from facegpt.rendering import results
from facegpt.rendering.renderer import Renderer
from facegpt.rendering.results import (
    FORMATS,
    head_mesh,
    is_complete,
    load_texture,
    rigged_mesh,
    save_reconstruction,
    sheet_of,
)

EVERYTHING = {
    "face.json", "head.glb", "head.mtl", "head.obj", "head.ply", "head.png", "overlay.png"
}  # fmt: skip


@pytest.fixture(scope="module")
def face(tiny_face_model: MorphableModel) -> FaceReconstruction:
    theta = made_up_theta()
    smile = expression_from_arkit(tiny_face_model, {"jawOpen": 0.4, "mouthSmileLeft": 0.8})
    theta = theta.replace(expression=smile)
    crop_px = Renderer(tiny_face_model).landmarks_px(theta)[0]
    image_px = (crop_px + torch.tensor([30.0, 15.0])) / 1.5
    return replace(made_up_face(theta), landmarks68_px=image_px)


@pytest.fixture(scope="module")
def photo() -> Photo:
    rgb = np.random.default_rng(0).integers(80, 200, (260, 300, 3), dtype=np.uint8)
    return Photo(rgb, False, (300, 260), 1.0)


@pytest.fixture(scope="module")
def saved(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_face_model: MorphableModel,
    face: FaceReconstruction,
    photo: Photo,
) -> Path:
    directory = tmp_path_factory.mktemp("out") / "nested" / "photo"
    save_reconstruction(face, tiny_face_model, photo, directory)
    return directory


def test_everything_is_written_and_nothing_else(saved: Path) -> None:
    assert {p.name for p in saved.iterdir()} == EVERYTHING
    assert [p.name for p in saved.parent.iterdir()] == ["photo"]
    assert is_complete(saved)
    assert saved.stat().st_mode & 0o777 == 0o755
    assert (saved / "head.glb").stat().st_mode & 0o777 == 0o644


def test_every_file_holds_the_same_head(
    saved: Path, tiny_face_model: MorphableModel, face: FaceReconstruction
) -> None:
    theta = face.parameters
    wanted = tiny_face_model.vertices_mm(theta.shape, theta.expression)[0]
    for mesh in (read_obj(saved / "head.obj"), read_ply(saved / "head.ply")):
        torch.testing.assert_close(mesh.vertices_mm, wanted, atol=1e-4, rtol=0)
        assert torch.equal(mesh.triangles, tiny_face_model.triangles)
    assert read_record(saved / "face.json").to_record() == face.to_record()
    with Image.open(saved / "overlay.png") as picture:
        assert picture.size == (300, 260)


def test_the_rig_at_its_weights_is_the_fitted_head(
    tiny_face_model: MorphableModel, face: FaceReconstruction
) -> None:
    theta = face.parameters.replace(
        expression=torch.randn(1, 64, generator=torch.Generator().manual_seed(5))
    )
    loud = replace(face, parameters=theta)
    fit = fit_blendshapes(tiny_face_model, theta.expression)
    rig = rigged_mesh(tiny_face_model, loud, None, fit.weights)
    posed = rig.vertices_mm + sum(w * rig.morphs_mm[k] for k, w in rig.morph_weights.items())
    distance = (posed - head_mesh(tiny_face_model, loud, None).vertices_mm).norm(dim=1)
    assert float(distance.square().mean().sqrt()) == pytest.approx(fit.residual_mm, rel=1e-3)
    assert float(distance.max()) == pytest.approx(fit.residual_max_mm, rel=1e-3)


def test_glb_carries_rig_and_licences(saved: Path, face: FaceReconstruction) -> None:
    document, _ = read_glb_chunks(saved / "head.glb")
    [mesh] = document["meshes"]
    weights = dict(zip(mesh["extras"]["targetNames"], mesh["weights"], strict=True))
    assert weights["jawOpen"] == pytest.approx(0.4, abs=0.05)
    extras = document["asset"]["extras"]
    assert extras["licences"] == face.to_record()["licences"]
    assert extras["expression_residual_mm"] < 0.01
    assert document["asset"]["copyright"] == "tiny-test-model: CC0"


def test_models_without_blendshapes(
    tmp_path: Path, tiny_face_model: MorphableModel, face: FaceReconstruction, photo: Photo
) -> None:
    bare = replace(tiny_face_model, arkit_mm=tiny_face_model.arkit_mm[:0], arkit_names=())
    save_reconstruction(face, bare, photo, tmp_path / "a", ("glb",))
    document, _ = read_glb_chunks(tmp_path / "a/head.glb")
    [primitive] = document["meshes"][0]["primitives"]
    assert "targets" not in primitive
    smiling = rigged_mesh(bare, face, None, {}).vertices_mm
    torch.testing.assert_close(smiling, head_mesh(bare, face, None).vertices_mm)


def test_the_texture_can_be_read_back(
    saved: Path,
    tmp_path: Path,
    tiny_face_model: MorphableModel,
    face: FaceReconstruction,
    photo: Photo,
) -> None:
    exact = load_texture(saved)
    files = save_reconstruction(face, tiny_face_model, photo, tmp_path / "b", ("glb",))
    assert [p.name for p in files] == ["head.glb"]
    from_glb = load_texture(tmp_path / "b")
    assert exact is not None
    assert from_glb is not None
    assert np.abs(exact.astype(int) - from_glb).mean() < 4
    assert load_texture(tmp_path / "none") is None


def test_writing_again_replaces_and_keeps_strangers(
    tmp_path: Path, tiny_face_model: MorphableModel, face: FaceReconstruction, photo: Photo
) -> None:
    directory = tmp_path / "a"
    save_reconstruction(face, tiny_face_model, photo, directory, ("ply", "json"))
    (directory / "notes.txt").write_text("mine")
    other = replace(face, parameters=made_up_theta(9))
    save_reconstruction(other, tiny_face_model, photo, directory, ("ply", "json"))
    assert {p.name for p in directory.iterdir()} == {"face.json", "head.ply", "notes.txt"}
    assert read_record(directory / "face.json").to_record() == other.to_record()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert not is_complete(directory)
    assert is_complete(directory, ("ply", "json"))


def test_a_failure_leaves_nothing(
    tmp_path: Path,
    tiny_face_model: MorphableModel,
    face: FaceReconstruction,
    photo: Photo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setitem(results._WRITERS, "json", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_reconstruction(face, tiny_face_model, photo, tmp_path / "a", ("ply", "json"))
    assert not list(tmp_path.iterdir())


def test_unknown_formats(
    tmp_path: Path, tiny_face_model: MorphableModel, face: FaceReconstruction, photo: Photo
) -> None:
    with pytest.raises(ValueError, match="no format 'gltf'; did you mean 'glb'"):
        save_reconstruction(face, tiny_face_model, photo, tmp_path / "a", ("gltf",))
    assert not list(tmp_path.iterdir())
    assert set(FORMATS) == {"glb", "obj", "ply", "overlay", "json"}


def test_sheet(tiny_face_model: MorphableModel, face: FaceReconstruction, photo: Photo) -> None:
    sheet = sheet_of(face, tiny_face_model, photo)
    assert sheet.shape == (2 * 348 + 6, 4 * 326 + 6, 3)
