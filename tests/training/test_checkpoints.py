"""Folders that are there in full or not at all."""

import os
from pathlib import Path

import pytest

from facegpt.training import checkpoints as module
from facegpt.training.checkpoints import UNFINISHED, checkpoints, remove_old, replaced_folder, tidy


def write(place: Path, text: str) -> None:
    with replaced_folder(place) as folder:
        (folder / "file").write_text(text)


def write_half(place: Path) -> None:
    with replaced_folder(place) as folder:
        (folder / "file").write_text("half")
        raise RuntimeError


def test_folder_takes_its_place(tmp_path: Path) -> None:
    write(tmp_path / "best", "first")
    write(tmp_path / "best", "second")
    assert (tmp_path / "best" / "file").read_text() == "second"
    assert [p.name for p in (tmp_path / "best").iterdir()] == ["file"]


def test_failure_while_writing_leaves_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "best", "first")
    with pytest.raises(RuntimeError):
        write_half(tmp_path / "best")
    assert (tmp_path / "best" / "file").read_text() == "first"
    tidy(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best"]


@pytest.mark.parametrize("renames_before_the_kill", [0, 1, 2])
def test_kill_between_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames_before_the_kill: int
) -> None:
    """Whatever was renamed when the process died, the next start finds a whole folder."""
    write(tmp_path / "best", "first")
    left = [renames_before_the_kill]

    def replace(source: Path, target: Path) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        os.rename(source, target)

    monkeypatch.setattr(module.os, "replace", replace)
    # The third thing that can be interrupted is the removal of the former folder.
    monkeypatch.setattr(module.shutil, "rmtree", _until_killed(left))
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "best", "second")
    monkeypatch.undo()
    tidy(tmp_path)
    text = (tmp_path / "best" / "file").read_text()
    assert text == ("second" if renames_before_the_kill == 2 else "first")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best"]


def _until_killed(left: list[int]):
    original = module.shutil.rmtree

    def rmtree(path: Path, ignore_errors: bool = False) -> None:
        if left[0] == 0 and path.name.startswith(".former") and path.exists():
            raise KeyboardInterrupt
        original(path, ignore_errors=ignore_errors)

    return rmtree


def test_checkpoints_are_sorted_by_step(tmp_path: Path) -> None:
    for name in ("checkpoint-10", "checkpoint-9", "checkpoint-x", "checkpoint-100"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-7").write_text("no folder")
    found = [p.name for p in checkpoints(tmp_path)]
    assert found == ["checkpoint-9", "checkpoint-10", "checkpoint-100"]


def test_old_ones_are_removed(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        (tmp_path / f"checkpoint-{step}").mkdir()
    remove_old(tmp_path, keep=2)
    assert [p.name for p in checkpoints(tmp_path)] == ["checkpoint-2", "checkpoint-3"]
    assert not list((tmp_path / UNFINISHED).iterdir())
