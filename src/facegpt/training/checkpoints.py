"""Folders of a run that are there in full or not at all.

A folder is written beside its place and renamed when everything is in it: a process that is killed
while it writes leaves the last good one as it was. Knows no trainer and not what is in a folder.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".unfinished"
"""Folder for what is being written; whatever is in it after a crash counts for nothing."""

_NAME = re.compile(r"checkpoint-(\d+)")


@contextmanager
def replaced_folder(place: Path) -> Iterator[Path]:
    """A folder to write into, which takes its place when the block ends without an error."""
    unfinished = place.parent / UNFINISHED / place.name
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    yield unfinished
    move_into_place(unfinished, place)


def move_into_place(finished: Path, place: Path) -> None:
    """Rename a finished folder; one that stood there before is gone only afterwards."""
    former = place.parent / f".former-{place.name}"
    shutil.rmtree(former, ignore_errors=True)
    if place.exists():
        os.replace(place, former)
    os.replace(finished, place)
    shutil.rmtree(former, ignore_errors=True)


def tidy(output: Path) -> None:
    """Put right what a crash has left: throw away unfinished folders, bring back former ones."""
    shutil.rmtree(output / UNFINISHED, ignore_errors=True)
    for former in output.glob(".former-*"):
        place = output / former.name.removeprefix(".former-")
        if place.exists():
            shutil.rmtree(former, ignore_errors=True)
        else:
            os.replace(former, place)


def checkpoints(output: Path) -> list[Path]:
    """Finished checkpoints of a run, oldest first."""
    found = [p for p in output.glob("checkpoint-*") if _NAME.fullmatch(p.name) and p.is_dir()]
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint was written after."""
    match = _NAME.fullmatch(checkpoint.name)
    assert match is not None, checkpoint
    return int(match[1])


def remove_old(output: Path, keep: int) -> None:
    """Leave the newest `keep` checkpoints."""
    for old in checkpoints(output)[:-keep]:
        # Renamed first: a half-deleted folder must not look like a checkpoint.
        doomed = output / UNFINISHED / old.name
        doomed.parent.mkdir(exist_ok=True)
        shutil.rmtree(doomed, ignore_errors=True)
        os.replace(old, doomed)
        shutil.rmtree(doomed, ignore_errors=True)
