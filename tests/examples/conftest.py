"""Examples as modules, and a tiny FaceGPT in the place of the shipped one."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from facegpt.morphable.model import MorphableModel
from facegpt.pipeline import FaceGPT
from tiny_facegpt import tiny_facegpt


@pytest.fixture
def example(project: Path) -> Callable[[str], ModuleType]:
    """An example by its name; it runs nothing of itself."""

    def load(name: str) -> ModuleType:
        file = project / "examples" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"example_{name}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def tiny(tiny_face_model: MorphableModel, monkeypatch: pytest.MonkeyPatch) -> FaceGPT:
    """What `from_pretrained` gives while this lasts."""
    facegpt = tiny_facegpt(tiny_face_model)
    monkeypatch.setattr(FaceGPT, "from_pretrained", lambda weights: facegpt)
    return facegpt
