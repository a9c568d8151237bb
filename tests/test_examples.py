"""The examples stay short and are all run: here those that need nothing, in tests/examples the
others."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("[0-9]*.py"))
NEED_MORE = ("05_folder_to_table", "07_blender_import")
"""A folder of photos; Blender."""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_short(example: Path) -> None:
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 90


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_stand_in_the_manual_with_a_command(example: Path, project: Path) -> None:
    command = f"examples/{example.name}"
    assert command in (project / "docs" / "examples.md").read_text(encoding="utf-8")
    assert command in example.read_text(encoding="utf-8").split('"""')[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "example", [e for e in EXAMPLES if e.stem not in NEED_MORE], ids=lambda path: path.stem
)
def test_examples_run(example: Path, tmp_path: Path) -> None:
    runpy.run_path(str(example))["main"](tmp_path / "out")
    assert any((tmp_path / "out").iterdir())
