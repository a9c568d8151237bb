"""Files of others that our pages load: as published, named in the record, complete, small."""

import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

VENDOR = Path(str(files("facegpt.web"))) / "static" / "vendor"
IMPORT_MAP = {"three": "three/three.module.min.js", "three/addons/": "three/addons/"}
IMPORTED = re.compile(r"""\}\s*from\s*["']([^"']+)["']""")
MOST_BYTES = 1_500_000


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))


def test_every_file_is_the_published_one(record: dict[str, Any]) -> None:
    """scripts/vendor_three.py writes the record; nothing may be edited afterwards."""
    named = {path: sha for package in record.values() for path, sha in package["files"].items()}
    there = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "vendor.json"
    }
    assert there == named
    assert sum((VENDOR / path).stat().st_size for path in there) < MOST_BYTES


def test_every_package_brings_its_licence_and_stands_on_the_page(
    record: dict[str, Any], project: Path
) -> None:
    page = (project / "docs" / "licences.md").read_text(encoding="utf-8")
    for name, package in record.items():
        assert (VENDOR / name / "LICENSE").is_file()
        assert f"| {name}.js {package['version']}" in page
        assert package["licence"] in page


def imported_by(file: Path) -> list[Path]:
    """The files that a module imports, found as a browser with the import map finds them."""
    return [found_by(file, name) for name in IMPORTED.findall(file.read_text(encoding="utf-8"))]


def found_by(file: Path, name: str) -> Path:
    if name.startswith("."):
        return (file.parent / name).resolve()
    [prefix] = [
        key for key in IMPORT_MAP if name == key or (key[-1] == "/" and name.startswith(key))
    ]
    return VENDOR / (IMPORT_MAP[prefix] + name.removeprefix(prefix))


def test_every_import_of_every_module_is_there() -> None:
    modules = sorted(VENDOR.rglob("*.js"))
    imported = {target for module in modules for target in imported_by(module)}
    assert not [path for path in imported if not path.is_file()]
    assert VENDOR / "three/three.core.min.js" in imported
    assert VENDOR / "three/addons/utils/SkeletonUtils.js" in imported
