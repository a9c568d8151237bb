"""Models by name: near misses, what is missing, and the way of an added file through the loader."""

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_flame import write_embedding

from facegpt import assets
from facegpt.assets import AssetMissingError
from facegpt.morphable import registry
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.registry import LOADERS, load_morphable_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEGPT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_names_of_the_design() -> None:
    assert sorted(LOADERS) == sorted(
        ["default", "default-procedural", "bfm2017", "bfm2009", "flame", "ict"]
    )


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("BFM2017", "bfm2017"), ("flam", "flame"), ("defualt", "default"), ("ICT", "ict")],
)
def test_a_wrong_name_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean '{nearest}'"):
        load_morphable_model(name)


@pytest.mark.parametrize(
    ("name", "asset"),
    [("bfm2017", "bfm2017"), ("bfm2009", "bfm2009"), ("flame", "flame2020"), ("ict", "ict")],
)
def test_a_gated_model_says_how_to_get_it(name: str, asset: str) -> None:
    with pytest.raises(AssetMissingError, match=f"facegpt assets add {asset} PATH"):
        load_morphable_model(name)


def test_an_added_flame_is_loaded_by_name(
    tmp_path: Path, tiny_face_model: MorphableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_face_model
    monkeypatch.setattr(registry, "_default", lambda: tiny)
    mean = tiny.mean_mm.double().numpy() / 1000
    content: dict[str, Any] = {
        "v_template": mean,
        "f": tiny.triangles.numpy(),
        "shapedirs": np.zeros((*mean.shape, 400)),
    }
    (tmp_path / "generic_model.pkl").write_bytes(pickle.dumps(content, 2))
    assets.add_asset("flame2020", tmp_path / "generic_model.pkl")
    without = load_morphable_model("flame")
    assert without.licences == ("flame2020", *tiny.licences)
    assets.add_asset("flame-landmarks", write_embedding(tmp_path / "e.npy", tiny))
    assets.add_asset("flame2023", tmp_path / "generic_model.pkl")
    model = load_morphable_model("flame")
    assert model.licences == ("flame2023", "flame-landmarks", *tiny.licences)
    assert model.landmarks68.tolist() == tiny.landmarks68.tolist()


def test_the_ledger_knows_every_model_by_its_asset_names() -> None:
    names = ("default", "default-procedural", "bfm2017", "bfm2009", "flame2020", "ict")
    assert all(row["licence"] != "unknown" for row in assets.licence_ledger(names))


@pytest.mark.skipif(
    not importlib.import_module("facegpt.morphable.default").ASSET_PATH.is_file(),
    reason="the default face model has not been built",
)
@pytest.mark.parametrize("name", ["default-procedural"])
def test_the_shipped_model_is_there(name: str) -> None:
    model = load_morphable_model(name)
    assert assets.find_asset(name).is_file()
    assert model.licences == (name,)
    assert model.identity_mm.shape[0] == 80
