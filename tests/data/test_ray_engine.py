"""Builds on a small Ray cluster: the files of one process, whatever is killed on the way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from photo_folder import PhotoFolder, Writes

from facegpt.data.build import BuildProgress, BuildSettings, build_dataset
from facegpt.data.photo_rows import PhotoReader, Piece
from facegpt.data.ray_engine import RayBuildError, RayEngine, RaySettings
from facegpt.data.schema import DatasetError
from facegpt.data.shards import MANIFEST, read_manifest
from facegpt.data.sources import PhotoTask
from facegpt.perception.detection import DlibDetector

ray: Any = pytest.importorskip("ray", reason="Ray is an extra: pip install 'facegpt[ray]'")

# Ray warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ONE = RaySettings(workers=1)


@pytest.fixture(scope="module")
def cluster(project: Path) -> Iterator[None]:
    """Two processors and a small object store for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", python_path(project))
        _start()
        yield
        ray.shutdown()


def _start(attempts: int = 3) -> None:
    """A cluster; Ray gives up after 30 seconds, which a machine with much to do needs."""
    for attempt in range(attempts):
        try:
            ray.init(
                address="local",
                num_cpus=2,
                object_store_memory=80 << 20,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
            return
        except Exception:
            ray.shutdown()
            if attempt + 1 == attempts:
                raise


def python_path(project: Path) -> str:
    """For processes that use what is defined in tests."""
    return os.pathsep.join([str(project / "src"), str(project / "tests" / "data")])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Killed(BaseException):
    """What a signal would do."""


@pytest.mark.usefixtures("cluster")
def test_the_files_are_those_of_one_process_also_after_a_stop(
    make_photos: Callable[[Path, int], PhotoFolder], tmp_path: Path
) -> None:
    photos = make_photos(tmp_path, 6)
    (photos.images / "d.png").write_bytes(b"no picture")
    here, there = (
        BuildSettings(photos.images, tmp_path / name, landmarks=photos.landmarks, shard_photos=2)
        for name in ("here", "there")
    )
    whole = build_dataset(here, describer=Writes(silent_about="c.png"))

    def stop(progress: BuildProgress) -> None:
        if progress.photos_done == 4:
            raise Killed

    with pytest.raises(Killed):
        build_dataset(
            there, describer=Writes(silent_about="c.png"), engine=RayEngine(ONE), progress=stop
        )
    assert read_manifest(there.output).photos_done == 2
    again = build_dataset(there, describer=Writes(silent_about="c.png"), engine=RayEngine(ONE))
    assert (again.photos_kept, again.faces, again.problems) == (2, whole.faces, whole.problems)
    assert contents(there.output) == contents(here.output)


class Heavy(PhotoReader):
    """Says that it was asked, and brings half a megabyte."""

    def __init__(self, log: Path) -> None:
        super().__init__("largest", DlibDetector(), None, None)
        self.log = log

    def read(self, tasks: Sequence[PhotoTask]) -> Piece:
        with self.log.open("ab") as file:
            file.write(b".")
        return Piece([], [{"source": tasks[0].source, "problem": "x" * 500_000}], ((0, 1),))


@pytest.mark.usefixtures("cluster")
def test_workers_wait_for_whoever_reads_slowly(tmp_path: Path) -> None:
    count = 60
    batches = [[PhotoTask(f"{i}.png", tmp_path)] for i in range(count)]
    log = tmp_path / "log"
    pieces = RayEngine(RaySettings(workers=1, waiting_mb=2)).pieces(Heavy(log), batches)
    order = [next(pieces).problems[0]["source"]]
    now, quiet = 0, 0
    while quiet < 5:
        time.sleep(1.0)
        before, now = now, log.stat().st_size
        quiet = quiet + 1 if now == before else 0
    # Two megabytes wait, some more are on their way; without a bound all sixty would be done.
    assert now < count / 2
    order += [piece.problems[0]["source"] for piece in pieces]
    assert order == [f"{i}.png" for i in range(count)]
    assert log.stat().st_size == count


class Deadly(PhotoReader):
    """Takes its process along."""

    def read(self, tasks: Sequence[PhotoTask]) -> Piece:
        os._exit(3)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_photo_that_kills_its_worker_ends_the_build(tmp_path: Path) -> None:
    reader = Deadly("largest", DlibDetector(), None, None)
    batches = [[PhotoTask("a.png", tmp_path)]]
    with pytest.raises(RayBuildError, match="a worker of Ray failed"):
        list(RayEngine(ONE).pieces(reader, batches))


SCRIPT = """
import sys, time
from pathlib import Path
from photo_folder import Writes
from facegpt.data.build import BuildSettings, build_dataset
from facegpt.data.ray_engine import RayEngine, RaySettings

class Slow(Writes):
    def describe(self, items):
        time.sleep(0.5)
        return super().describe(items)

images, landmarks, output = map(Path, sys.argv[1:])
settings = BuildSettings(images, output, landmarks=landmarks, shard_photos=2)
build_dataset(settings, describer=Slow(), engine=RayEngine(RaySettings(workers=2)))
"""


@pytest.mark.slow
def test_kill_9_in_the_middle(
    make_photos: Callable[[Path, int], PhotoFolder], tmp_path: Path, project: Path
) -> None:
    photos = make_photos(tmp_path, 20)
    here, there = tmp_path / "here", tmp_path / "there"
    settings = BuildSettings(photos.images, here, landmarks=photos.landmarks, shard_photos=2)
    build_dataset(settings, describer=Writes())
    command = [sys.executable, "-c", SCRIPT, photos.images, photos.landmarks, there]
    environment = {**os.environ, "PYTHONPATH": python_path(project)}
    with subprocess.Popen(command, env=environment) as running:
        try:
            deadline = time.monotonic() + 900
            while not (there / MANIFEST).exists() or read_manifest(there).photos_done < 4:
                assert running.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            family = psutil.Process(running.pid).children(recursive=True)
        finally:
            running.send_signal(signal.SIGKILL)
    assert 4 <= read_manifest(there).photos_done < 20
    _, alive = psutil.wait_procs(family, timeout=120)
    assert alive == [], "the cluster outlived the build"
    subprocess.run(command, env=environment, check=True, timeout=900)
    assert contents(there) == contents(here)


def test_without_ray_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    reader = PhotoReader("largest", DlibDetector(), None, None)
    with pytest.raises(RayBuildError, match=r"pip install 'facegpt\[ray\]'"):
        list(RayEngine().pieces(reader, [[PhotoTask("a.png", tmp_path)]]))


def test_a_finished_build_starts_no_cluster() -> None:
    reader = PhotoReader("largest", DlibDetector(), None, None)
    assert list(RayEngine().pieces(reader, [])) == []


@pytest.mark.parametrize("settings", [{"workers": -1}, {"waiting_mb": 0}])
def test_impossible_ray_settings(settings: dict[str, int]) -> None:
    with pytest.raises(DatasetError, match="must be"):
        RaySettings(**settings)
