"""FLAME: a pickle as the published one (chumpy, scipy.sparse, Python 2 bytes), written by the test.

Layout: flame_pytorch/flame.py of soubhiksanyal/FLAME_PyTorch (v_template, f, shapedirs (V, 3, 400),
weights, J_regressor ...) and decalib/models/FLAME.py of yfeng95/DECA (landmark_embedding.npy).
"""

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

from facegpt.morphable.default import FaceModelFileError
from facegpt.morphable.flame import load_flame
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.restricted_pickle import UnsafePickleError


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> type:
    """A stand-in for chumpy while the file is written; it is gone when the file is read."""

    class Ch:
        def __init__(self, x: np.ndarray) -> None:
            self.__dict__.update(x=x, _dirty_vars={}, _itr=None)

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    for name in ("chumpy", "chumpy.ch"):
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules["chumpy.ch"].Ch = Ch  # pyright: ignore[reportAttributeAccessIssue]
    return Ch


def content_of(model: MorphableModel, chumpy: type) -> dict[str, Any]:
    """The tiny face as a FLAME model in metres, with joints behind the mouth."""
    mean = model.mean_mm.double().numpy() / 1000
    generator = np.random.default_rng(0)
    directions = np.zeros((*mean.shape, 400))
    directions[..., :80] = model.identity_mm.numpy().transpose(1, 2, 0) / 1000
    directions[..., 80:300] = generator.standard_normal((*mean.shape, 220)) * 1e-4
    directions[..., 300:364] = model.expression_mm.numpy().transpose(1, 2, 0) / 1000
    weights = np.zeros((len(mean), 5))
    chin = mean[:, 1] < mean[model.landmarks68[66], 1]
    weights[:, 2], weights[:, 1] = chin, ~chin
    regressor = np.full((5, len(mean)), 1 / len(mean))
    regressor[2] = 0
    regressor[2, model.landmarks68[[0, 16]]] = 0.5
    return {
        "f": model.triangles.numpy().astype(np.uint32),
        "v_template": chumpy(np.asfortranarray(mean)),
        "shapedirs": chumpy(directions),
        "weights": weights,
        "J_regressor": scipy.sparse.csc_matrix(regressor),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], dtype=np.int64),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def write_flame(path: Path, content: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def write_embedding(path: Path, model: MorphableModel, corner: int = 0) -> Path:
    """Every landmark on a triangle around its vertex, with most of the weight on it."""
    triangles = model.triangles.numpy()
    rows = np.array([np.flatnonzero((triangles == v).any(axis=1))[0] for v in model.landmarks68])
    weights = 0.1 + 0.7 * (triangles[rows] == model.landmarks68.numpy()[:, None])
    table = {
        "static_lmk_faces_idx": rows[17:],
        "static_lmk_bary_coords": weights[17:],
        "full_lmk_faces_idx": rows[None] + corner,
        "full_lmk_bary_coords": weights[None],
        "dynamic_lmk_faces_idx": torch.zeros(79, 17, dtype=torch.long),
    }
    np.save(path, np.array(table, dtype=object), allow_pickle=True)
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_a_flame_model_comes_out_in_mm_and_our_frame(
    tmp_path: Path, chumpy: type, tiny_face_model: MorphableModel, protocol: int
) -> None:
    tiny = tiny_face_model
    path = write_flame(tmp_path / "generic_model.pkl", content_of(tiny, chumpy), protocol)
    embedding = write_embedding(tmp_path / "landmark_embedding.npy", tiny)
    del sys.modules["chumpy"], sys.modules["chumpy.ch"]
    model = load_flame(path, embedding, albedo_donor=tiny)
    torch.testing.assert_close(model.mean_mm, tiny.mean_mm, atol=1e-3, rtol=0)
    torch.testing.assert_close(model.identity_mm, tiny.identity_mm, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        model.expression_mm[:63], tiny.expression_mm[:63], atol=1e-4, rtol=1e-4
    )
    assert model.landmarks68.tolist() == tiny.landmarks68.tolist()
    assert model.albedo_basis.shape == (80, len(tiny.mean_mm), 3)
    assert model.arkit_mm.shape == (0, len(tiny.mean_mm), 3)
    assert model.licences == ("flame2020", "flame-landmarks", "tiny-test-model")
    assert len(model.restricted_to().mean_mm) <= len(model.mean_mm)


def test_the_last_expression_opens_the_jaw(
    tmp_path: Path, chumpy: type, tiny_face_model: MorphableModel
) -> None:
    path = write_flame(tmp_path / "generic_model.pkl", content_of(tiny_face_model, chumpy))
    model = load_flame(
        path, write_embedding(tmp_path / "e.npy", tiny_face_model), albedo_donor=tiny_face_model
    )
    jaw = model.expression_mm[63]
    # down in front of the joint, the more the further in front
    assert jaw[model.landmarks68[57], 1] < jaw[model.landmarks68[8], 1] < 0
    assert not jaw[model.landmarks68[30]].any()


def test_colours_come_from_the_donor(
    tmp_path: Path, chumpy: type, tiny_face_model: MorphableModel
) -> None:
    tiny = tiny_face_model
    path = write_flame(tmp_path / "generic_model.pkl", content_of(tiny, chumpy))
    model = load_flame(path, write_embedding(tmp_path / "e.npy", tiny), albedo_donor=tiny)
    skin = tiny.part_mask(("face",))
    error = (model.albedo_mean - tiny.albedo_mean)[skin].abs()
    assert error.mean() < 0.02
    assert (model.albedo_basis - tiny.albedo_basis)[:, skin].abs().mean() < 0.01


def test_without_an_embedding_the_landmarks_come_from_the_donor(
    tmp_path: Path, chumpy: type, tiny_face_model: MorphableModel
) -> None:
    path = write_flame(tmp_path / "generic_model.pkl", content_of(tiny_face_model, chumpy))
    model = load_flame(path, albedo_donor=tiny_face_model, licence="flame2023")
    apart = model.mean_mm[model.landmarks68] - tiny_face_model.mean_mm[tiny_face_model.landmarks68]
    assert apart.norm(dim=1).mean() < 6.0
    assert model.licences[0] == "flame2023"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v_template", None),
        ("f", None),
        ("shapedirs", None),
        ("f", np.array([[0, 1, 99999]])),
        ("f", np.array([[0, 1]])),
        ("f", "text"),
        ("v_template", np.zeros((5, 3))),
        ("v_template", np.full((400, 3), np.nan)),
        ("shapedirs", np.zeros((3, 3, 400))),
        ("weights", np.zeros((7, 5))),
        ("J_regressor", np.zeros((5, 7))),
    ],
)
def test_a_damaged_model_is_named(
    tmp_path: Path, chumpy: type, tiny_face_model: MorphableModel, key: str, value: object
) -> None:
    content = content_of(tiny_face_model, chumpy)
    content[key] = value
    if value is None:
        del content[key]
    path = write_flame(tmp_path / "flame.pkl", content)
    with pytest.raises(FaceModelFileError, match=r"flame\.pkl"):
        load_flame(path, albedo_donor=tiny_face_model)


def test_a_wrong_unit_is_noticed(
    tmp_path: Path, chumpy: type, tiny_face_model: MorphableModel
) -> None:
    content = content_of(tiny_face_model, chumpy)
    content["v_template"] = tiny_face_model.mean_mm.numpy()
    path = write_flame(tmp_path / "flame.pkl", content)
    embedding = write_embedding(tmp_path / "e.npy", tiny_face_model)
    with pytest.raises(FaceModelFileError, match="unit"):
        load_flame(path, embedding, albedo_donor=tiny_face_model)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no npy",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': 'f8'}  ",
        b"\x93NUMPY\x09\x00\x10\x00",
    ],
)
def test_a_damaged_embedding_is_named(
    tmp_path: Path, chumpy: type, tiny_face_model: MorphableModel, content: bytes
) -> None:
    path = write_flame(tmp_path / "flame.pkl", content_of(tiny_face_model, chumpy))
    embedding = tmp_path / "embedding.npy"
    embedding.write_bytes(content)
    with pytest.raises(FaceModelFileError, match=r"embedding\.npy"):
        load_flame(path, embedding, albedo_donor=tiny_face_model)


def test_an_embedding_of_another_mesh_or_kind_is_refused(
    tmp_path: Path, chumpy: type, tiny_face_model: MorphableModel
) -> None:
    path = write_flame(tmp_path / "flame.pkl", content_of(tiny_face_model, chumpy))
    embedding = write_embedding(tmp_path / "embedding.npy", tiny_face_model, corner=100_000)
    with pytest.raises(FaceModelFileError, match="landmarks name"):
        load_flame(path, embedding, albedo_donor=tiny_face_model)
    np.save(embedding, np.zeros(3))
    with pytest.raises(FaceModelFileError, match="no table of landmarks"):
        load_flame(path, embedding, albedo_donor=tiny_face_model)
    np.save(embedding, np.array({"lmk_face_idx": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(FaceModelFileError, match="full_lmk_faces_idx"):
        load_flame(path, embedding, albedo_donor=tiny_face_model)
    with pytest.raises(FileNotFoundError):
        load_flame(path, tmp_path / "nowhere.npy", albedo_donor=tiny_face_model)


def test_a_malicious_embedding_runs_nothing(
    tmp_path: Path, chumpy: type, tiny_face_model: MorphableModel
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "pwned",))

    path = write_flame(tmp_path / "flame.pkl", content_of(tiny_face_model, chumpy))
    embedding = tmp_path / "embedding.npy"
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header = header.ljust(117) + b"\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    embedding.write_bytes(start + pickle.dumps([Evil()]))
    with pytest.raises(UnsafePickleError, match="no face model needs"):
        load_flame(path, embedding, albedo_donor=tiny_face_model)
    assert not (tmp_path / "pwned").exists()
