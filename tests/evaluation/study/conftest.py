"""Folders of methods, and a small study made of them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from facegpt.evaluation.study.build import BuildSettings, build_study
from facegpt.evaluation.study.plan import Study

METHODS = ("describe3d", "llava-key", "ours")

MakeFolders = Callable[..., tuple[Path, ...]]


@pytest.fixture
def method_folders(tmp_path: Path) -> MakeFolders:
    """Makes one folder of small pictures per method."""

    def make(names: Sequence[str] = ("01", "02", "03"), methods: Sequence[str] = METHODS):
        folders = tuple(tmp_path / "faces" / method for method in methods)
        for number, folder in enumerate(folders):
            folder.mkdir(parents=True)
            for shade, name in enumerate(names):
                colour = (40 * number + 20, 10 * shade + 5, 90)
                Image.new("RGB", (12, 10), colour).save(folder / f"{name}.png")
        return folders

    return make


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.json"
    path.write_text(json.dumps({f"{n:02}": f"She won race {n}." for n in range(1, 31)}))
    return path


@pytest.fixture
def built(method_folders: MakeFolders, texts: Path, tmp_path: Path) -> tuple[Study, Path]:
    """Three questions on three methods, and its folder."""
    folder = tmp_path / "study"
    settings = BuildSettings(method_folders(), folder, texts=texts, questions=3)
    return build_study(settings), folder
