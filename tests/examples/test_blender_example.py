"""examples/07_blender_import.py: its calls, heard by a stand-in, and Blender itself where it is.

`bpy`, Blender as a package, is some 400 MB and not installed by `make install`.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

from face_records import made_up_face
from facegpt.morphable.model import MorphableModel
from facegpt.rendering.results import save_reconstruction

BLENDER = shutil.which("blender")


@pytest.fixture
def head(tiny_face_model: MorphableModel, tmp_path: Path) -> Path:
    """The GLB of a tiny face, with its record."""
    save_reconstruction(made_up_face(), tiny_face_model, None, tmp_path / "face", ("glb", "json"))
    return tmp_path / "face" / "head.glb"


@pytest.fixture
def bpy(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """Takes every call; has one mesh with the shape keys of ARKit that the record names."""
    bpy, mathutils = MagicMock(), MagicMock()
    keys = {name: MagicMock() for name in made_up_face().arkit}
    mesh = MagicMock(type="MESH")
    mesh.data.shape_keys.key_blocks = keys
    mesh.bound_box = [(0, 0, 0)] * 8
    bpy.context.scene.objects = [MagicMock(type="EMPTY"), mesh]
    monkeypatch.setitem(sys.modules, "bpy", bpy)
    monkeypatch.setitem(sys.modules, "mathutils", mathutils)
    return bpy


def test_what_blender_is_asked_for(
    bpy: MagicMock, head: Path, tmp_path: Path, example: Callable[[str], ModuleType]
) -> None:
    module = example("07_blender_import")
    module.main(head, tmp_path / "out" / "head.blend")
    bpy.ops.import_scene.gltf.assert_called_once_with(filepath=str(head))
    assert [call.args[0] for call in bpy.data.lights.new.call_args_list] == list(module.LIGHTS)
    keys = bpy.context.scene.objects[1].data.shape_keys.key_blocks
    for key in keys.values():
        frames = [call.kwargs["frame"] for call in key.keyframe_insert.call_args_list]
        assert frames == [1, 25, 49]
    saved = bpy.ops.wm.save_as_mainfile.call_args.kwargs["filepath"]
    assert Path(saved) == (tmp_path / "out" / "head.blend").resolve()
    assert bpy.context.scene.render.filepath.endswith("head.png")


def test_a_file_that_is_no_record_is_refused(
    bpy: MagicMock, head: Path, example: Callable[[str], ModuleType]
) -> None:
    head.with_name("face.json").write_text(json.dumps({"schema": "another/1"}))
    with pytest.raises(SystemExit, match="no record of facegpt: its schema is 'another/1'"):
        example("07_blender_import").main(head, head.with_name("head.blend"))
    bpy.ops.import_scene.gltf.assert_not_called()


@pytest.mark.slow
@pytest.mark.skipif(
    BLENDER is None and find_spec("bpy") is None, reason="neither Blender nor bpy is installed"
)
def test_blender_renders_a_head(head: Path, tmp_path: Path, project: Path) -> None:
    file = project / "examples" / "07_blender_import.py"
    begin = [sys.executable, file] if BLENDER is None else [BLENDER, "-b", "--python", file]
    blend = tmp_path / "out" / "head.blend"
    subprocess.run([*begin, "--", head, blend], check=True, timeout=900)
    assert blend.stat().st_size > 10_000
    with Image.open(blend.with_suffix(".png")) as rendered:
        pixels = np.asarray(rendered.convert("RGB"), dtype=float)
    background = pixels[5, 5]
    assert 0.02 < (np.abs(pixels - background).max(axis=2) > 12).mean() < 0.9
