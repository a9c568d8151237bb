"""The Basel Face Models, from tiny files in their layouts, written by the test.

BFM 2017: Statismo's HDF5 groups. BFM 2009: `util/load_mats.py` of sicxu/Deep3DFaceRecon_pytorch
(variables of the MATLAB files, Exp_Pca.bin, std_exp.txt, index files that count from 1).
"""

import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from facegpt.morphable.bfm import IBUG_OF_BFM_NAMES, load_bfm2009, load_bfm2017
from facegpt.morphable.default import FaceModelFileError
from facegpt.morphable.model import MorphableModel


def orthonormal(rows: int, columns: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.linalg.qr(generator.standard_normal((rows, columns)))[0].astype(np.float32)


def write_bfm2017(path: Path, model: MorphableModel, components: int = 100) -> dict[str, Any]:
    """The tiny face, all vertices in one part, 100 components of each kind."""
    rows = 3 * len(model.mean_mm)
    mean = model.mean_mm.numpy()
    tables = {}
    with h5py.File(path, "w") as file:
        for i, kind in enumerate(("shape", "expression", "color")):
            basis, variance = orthonormal(rows, components, i), np.linspace(9, 1, components) ** 2
            centre = {"shape": mean - 0.5, "expression": np.full_like(mean, 0.5)}.get(kind)
            centre = model.albedo_mean.numpy() if centre is None else centre
            group = file.create_group(f"{kind}/model")
            group["mean"], group["pcaBasis"] = centre.reshape(-1), basis
            group["pcaVariance"] = variance.astype(np.float32)
            group["noiseVariance"] = np.zeros(1)
            tables[kind] = basis * np.sqrt(variance)
        file["shape/representer/cells"] = model.triangles.numpy().T.astype(np.int32)
        places = [
            {"id": name, "coordinates": mean[model.landmarks68[i]].tolist()}
            for name, i in IBUG_OF_BFM_NAMES.items()
        ]
        places.append({"id": "left.ear.helix.top", "coordinates": [0, 0, 0]})
        text = json.dumps(places).encode()
        file["metadata/landmarks/json"] = (
            np.void(text) if components > 50 else np.frombuffer(text, dtype=np.int8)
        )
        file["metadata/landmarks/text"] = np.void(b"unused")
    return tables


def test_bfm2017_comes_out_in_standard_deviations(
    tmp_path: Path, tiny_face_model: MorphableModel
) -> None:
    path = tmp_path / "model2017.h5"
    tables = write_bfm2017(path, tiny_face_model)
    model = load_bfm2017(path, landmark_donor=tiny_face_model)
    torch.testing.assert_close(model.mean_mm, tiny_face_model.mean_mm, atol=1e-3, rtol=0)
    for block, kind, size in (
        (model.identity_mm, "shape", 80),
        (model.expression_mm, "expression", 64),
        (model.albedo_basis, "color", 80),
    ):
        expected = torch.tensor(tables[kind].T[:size]).view(size, -1, 3).float()
        torch.testing.assert_close(block, expected)
    named = list(IBUG_OF_BFM_NAMES.values())
    assert model.landmarks68[named].tolist() == tiny_face_model.landmarks68[named].tolist()
    apart = model.mean_mm[model.landmarks68] - tiny_face_model.mean_mm[tiny_face_model.landmarks68]
    assert apart.norm(dim=1).mean() < 3.0
    assert model.part_names == ("face",)
    assert model.arkit_names == ()
    assert model.uv.min() >= 0
    assert model.uv.max() <= 1
    assert model.licences == ("bfm2017", "tiny-test-model")
    # mean of the donor's mirror map: a symmetric mesh is met exactly
    assert (model.mirror[model.mirror] == torch.arange(len(model.mirror))).float().mean() > 0.95


def test_short_bases_are_filled_with_zeros(
    tmp_path: Path, tiny_face_model: MorphableModel, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model2017.h5"
    write_bfm2017(path, tiny_face_model, components=30)
    with caplog.at_level("INFO", logger="facegpt"):
        model = load_bfm2017(path, landmark_donor=tiny_face_model)
    assert model.identity_mm.shape[0] == 80
    assert model.identity_mm[29].any()
    assert not model.identity_mm[30:].any()
    assert "30 identity components, filled with zeros to 80" in caplog.text


def test_h5py_missing_says_what_to_install(
    tmp_path: Path, tiny_face_model: MorphableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r"facegpt\[bfm\]"):
        load_bfm2017(tmp_path / "any.h5", landmark_donor=tiny_face_model)


def damage(file: h5py.File, kind: str) -> None:
    if kind == "no colour":
        del file["color"]
    elif kind == "huge":
        del file["shape/model/pcaBasis"]
        file.create_dataset("shape/model/pcaBasis", (10**9, 10**6), "f4", chunks=(1024, 1024))
    elif kind == "elsewhere":
        del file["shape/model/mean"]
        file["shape/model/mean"] = h5py.ExternalLink("/etc/passwd", "/mean")
    elif kind == "raw file":
        del file["shape/model/mean"]
        external = [("/etc/hostname", 0, 12)]
        file.create_dataset("shape/model/mean", (3,), "f4", external=external)
    elif kind == "nan":
        file["shape/model/mean"][0] = np.nan
    elif kind == "negative":
        file["color/model/pcaVariance"][0] = -1
    elif kind == "triangles":
        file["shape/representer/cells"][0, 0] = 10**6
    elif kind == "text":
        del file["color/model/mean"]
        file["color/model/mean"] = "red"
    elif kind == "landmarks":
        del file["metadata/landmarks/json"]
        file["metadata/landmarks/json"] = np.void(b'[{"id": "center.nose.tip"}]')
    elif kind == "group":
        del file["shape/model/mean"]
        file.create_group("shape/model/mean")


@pytest.mark.parametrize(
    "kind",
    ["no colour", "huge", "elsewhere", "raw file", "nan", "negative", "triangles", "text"]
    + ["landmarks", "group"],
)
def test_a_damaged_bfm2017_is_named(
    tmp_path: Path, tiny_face_model: MorphableModel, kind: str
) -> None:
    path = tmp_path / "model2017.h5"
    write_bfm2017(path, tiny_face_model, components=5)
    with h5py.File(path, "a") as file:
        damage(file, kind)
    with pytest.raises(FaceModelFileError, match=r"model2017\.h5"):
        load_bfm2017(path, landmark_donor=tiny_face_model)


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_truncated_bfm2017_is_named(
    tmp_path: Path, tiny_face_model: MorphableModel, size: int
) -> None:
    path = tmp_path / "model2017.h5"
    write_bfm2017(path, tiny_face_model, components=5)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FaceModelFileError, match="damaged"):
        load_bfm2017(path, landmark_donor=tiny_face_model)
    with pytest.raises(FileNotFoundError):
        load_bfm2017(tmp_path / "nowhere.h5", landmark_donor=tiny_face_model)


EXTRA = 12
"""Vertices of the whole head that the crop of the face leaves out."""


def write_bfm2009(folder: Path, model: MorphableModel) -> dict[str, np.ndarray]:
    """The published files; the tiny face lies in the middle of a larger list of vertices."""
    count = len(model.mean_mm)
    trim = np.arange(2, count + EXTRA - 1)
    front = np.arange(count) + 3
    rows = trim[front]
    generator = np.random.default_rng(0)
    mean = generator.standard_normal((count + EXTRA, 3))
    mean[rows] = model.mean_mm.numpy()
    colour = np.full((count + EXTRA, 3), 0.5)
    colour[rows] = model.albedo_mean.numpy()
    shape, texture = (orthonormal(3 * len(mean), 199, s) for s in (0, 1))
    shape_ev, tex_ev = np.linspace(9000, 100, 199)[:, None], np.linspace(9, 1, 199)[:, None]
    savemat(
        folder / "01_MorphableModel.mat",
        {
            "shapeMU": mean.reshape(-1, 1) * 1000,
            "shapePC": shape,
            "shapeEV": shape_ev,
            "texMU": colour.reshape(-1, 1) * 255,
            "texPC": texture,
            "texEV": tex_ev,
            "tl": np.zeros((3, 3)),
        },
    )
    expression = generator.standard_normal((79, len(trim), 3)).astype(np.float32)
    deviation = np.linspace(3000, 10, 79)
    with (folder / "Exp_Pca.bin").open("wb") as file:
        np.array([79], dtype="<i4").tofile(file)
        np.zeros(3 * len(trim), dtype="<f4").tofile(file)
        expression.tofile(file)
    (folder / "std_exp.txt").write_text(" ".join(f"{d:.6e}" for d in deviation))
    savemat(folder / "BFM_front_idx.mat", {"idx": front[:, None] + 1})
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": trim[:, None] + 1})
    savemat(
        folder / "facemodel_info.mat",
        {"tri": model.triangles.numpy() + 1, "keypoints": model.landmarks68.numpy()[None] + 1},
    )
    return {
        "identity": ((shape * shape_ev[:, 0]) / 1000).T.reshape(199, -1, 3)[:80, rows],
        "expression": (expression * deviation[:, None, None] / 1000)[:64, front],
        "albedo": ((texture * tex_ev[:, 0]) / 255).T.reshape(199, -1, 3)[:80, rows],
    }


def test_bfm2009_is_what_deep3d_makes_of_it(
    tmp_path: Path, tiny_face_model: MorphableModel
) -> None:
    expected = write_bfm2009(tmp_path, tiny_face_model)
    model = load_bfm2009(tmp_path / "01_MorphableModel.mat", tmp_path / "Exp_Pca.bin")
    torch.testing.assert_close(model.mean_mm, tiny_face_model.mean_mm, atol=1e-3, rtol=0)
    torch.testing.assert_close(model.albedo_mean, tiny_face_model.albedo_mean)
    assert model.landmarks68.tolist() == tiny_face_model.landmarks68.tolist()
    for block, key in (
        (model.identity_mm, "identity"),
        (model.expression_mm, "expression"),
        (model.albedo_basis, "albedo"),
    ):
        torch.testing.assert_close(block, torch.tensor(expected[key]).float(), rtol=1e-4, atol=1e-5)
    assert model.licences == ("bfm2009", "bfm2009-expression", "bfm2009-deep3d")


def test_deep3ds_own_file_gives_the_same_model(
    tmp_path: Path, tiny_face_model: MorphableModel
) -> None:
    expected = write_bfm2009(tmp_path, tiny_face_model)
    count = len(tiny_face_model.mean_mm)
    savemat(
        tmp_path / "BFM_model_front.mat",
        {
            "meanshape": tiny_face_model.mean_mm.numpy().reshape(1, -1) / 100,
            "meantex": tiny_face_model.albedo_mean.numpy().reshape(1, -1) * 255,
            "idBase": expected["identity"].reshape(80, -1).T / 100,
            "exBase": expected["expression"].reshape(64, -1).T / 100,
            "texBase": expected["albedo"].reshape(80, -1).T * 255,
            "tri": tiny_face_model.triangles.numpy() + 1,
            "point_buf": np.ones((count, 8)),
            "keypoints": tiny_face_model.landmarks68.numpy()[None] + 1,
        },
    )
    one = load_bfm2009(tmp_path / "01_MorphableModel.mat", tmp_path / "Exp_Pca.bin")
    other = load_bfm2009(tmp_path / "BFM_model_front.mat")
    for name in ("mean_mm", "identity_mm", "expression_mm", "albedo_basis"):
        torch.testing.assert_close(getattr(other, name), getattr(one, name), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("01_MorphableModel.mat", b""),
        ("01_MorphableModel.mat", b"<html>"),
        ("01_MorphableModel.mat", b"MATLAB 5.0 MAT-file" + bytes(200)),
        ("Exp_Pca.bin", b""),
        ("Exp_Pca.bin", b"\x4f\x00\x00\x00"),
        ("Exp_Pca.bin", b"\xff\xff\xff\x7f" + bytes(1000)),
        ("Exp_Pca.bin", b"\xff\xff\xff\xff" + bytes(1000)),
        ("std_exp.txt", b"1.0 two 3.0"),
        ("std_exp.txt", b"1.0 2.0"),
        ("std_exp.txt", b"\xff\xfe\x00"),
        ("BFM_front_idx.mat", b"x"),
    ],
)
def test_damaged_files_of_bfm2009_are_named(
    tmp_path: Path, tiny_face_model: MorphableModel, file: str, content: bytes
) -> None:
    write_bfm2009(tmp_path, tiny_face_model)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(FaceModelFileError, match=file.split(".")[0]):
        load_bfm2009(tmp_path / "01_MorphableModel.mat", tmp_path / "Exp_Pca.bin")


@pytest.mark.parametrize(
    ("file", "variables"),
    [
        ("BFM_front_idx.mat", {"idx": np.array([[10**6]])}),
        ("BFM_front_idx.mat", {"idx": np.array([[0]])}),
        ("BFM_exp_idx.mat", {"other": np.array([[1]])}),
        ("BFM_exp_idx.mat", {"trimIndex": np.array([["text"]])}),
        ("facemodel_info.mat", {"tri": np.ones((5, 3)), "keypoints": np.ones(67)}),
        ("facemodel_info.mat", {"tri": np.full((5, 3), 10**6), "keypoints": np.ones(68)}),
        ("01_MorphableModel.mat", {"shapeMU": np.full((6, 1), np.nan)}),
    ],
)
def test_impossible_variables_of_bfm2009_are_named(
    tmp_path: Path, tiny_face_model: MorphableModel, file: str, variables: dict[str, np.ndarray]
) -> None:
    write_bfm2009(tmp_path, tiny_face_model)
    savemat(tmp_path / file, variables)
    with pytest.raises(FaceModelFileError):
        load_bfm2009(tmp_path / "01_MorphableModel.mat", tmp_path / "Exp_Pca.bin")


@pytest.mark.parametrize(
    "file", ["01_MorphableModel.mat", "Exp_Pca.bin", "std_exp.txt", "BFM_exp_idx.mat"]
)
def test_a_missing_file_points_to_the_doctor(
    tmp_path: Path, tiny_face_model: MorphableModel, file: str
) -> None:
    write_bfm2009(tmp_path, tiny_face_model)
    (tmp_path / file).unlink()
    with pytest.raises(FileNotFoundError, match="facegpt doctor"):
        load_bfm2009(tmp_path / "01_MorphableModel.mat", tmp_path / "Exp_Pca.bin")
