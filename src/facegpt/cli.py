"""The `facegpt` command: parse, call, print.

Heavy imports sit inside the commands, so that `--help` answers at once and loads no torch. Exit
codes: 0 done; 1 something failed, the rest was finished; 2 no face, or a call that cannot be
understood; 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from facegpt.fitting.photos import PhotoOutcome

Format = Literal["glb", "obj", "ply", "overlay", "json"]
ALL_FORMATS: tuple[Format, ...] = ("glb", "obj", "ply", "overlay", "json")

app = tyro.extras.SubcommandApp()
assets_app = tyro.extras.SubcommandApp()


@app.command
def fit(
    images: tyro.conf.Positional[tuple[Path, ...]],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("faces"),
    format: tuple[Format, ...] = ALL_FORMATS,
    model: str = "default",
    steps: int = 120,
) -> int:
    """Turn every face in photos into a textured, rigged 3D head.

    Writes OUTPUT/<photo>/ for the largest face of a photo and OUTPUT/<photo>-2/ for the next one.
    Finished photos are skipped, so an interrupted run can simply be repeated.

    Args:
        images: Photos, or folders of photos.
        output: Folder of the results.
        format: Which files to write.
        model: Morphable model: default, default-procedural, bfm2017, bfm2009, flame or ict.
        steps: Gradient steps of the last stage; fewer is faster and coarser.
    """
    from tqdm import tqdm

    from facegpt.fitting import AnalysisBySynthesis, FitSettings
    from facegpt.fitting.photos import fit_photos, plan_tasks
    from facegpt.morphable.registry import load_morphable_model

    if not images:
        raise ValueError("no photo given; try: facegpt fit photo.jpg --output faces")
    tasks = plan_tasks(images, output)
    reconstructor = AnalysisBySynthesis(load_morphable_model(model), FitSettings(steps=steps))
    outcomes = []
    with tqdm(total=len(tasks), unit="photo", disable=len(tasks) < 2 or None) as progress:
        for outcome in fit_photos(reconstructor, tasks, format):
            outcomes.append(outcome)
            progress.update()
            stream = sys.stdout if outcome.directories else sys.stderr
            progress.write(_sentence(outcome), file=stream)
    if any(outcome.error for outcome in outcomes):
        return 1
    return 2 if any(outcome.has_no_face for outcome in outcomes) else 0


def _sentence(outcome: "PhotoOutcome") -> str:
    if outcome.error:
        return outcome.error
    if outcome.has_no_face:
        return (
            f"{outcome.path}: no face found, nothing written; a face should be at least 40 pixels "
            "wide, fairly upright and not in profile"
        )
    folders = ", ".join(str(directory) for directory in outcome.directories)
    return f"{outcome.path}: {'already done, in' if outcome.skipped else 'wrote'} {folders}"


@app.command
def render(
    face: tyro.conf.Positional[Path],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("face.png"),
    yaw: float | None = None,
    pitch: float | None = None,
    roll: float | None = None,
    light: str = "fitted",
    expression: tuple[str, ...] = (),
    size: int = 512,
    turntable: Path | None = None,
) -> int:
    """Render a fitted face again: another pose, light or expression.

    Args:
        face: A face.json that facegpt wrote.
        output: The picture (PNG).
        yaw: Degrees, positive turns the nose to the right of the picture. Without any angle the
            head keeps the pose it has in the photo.
        pitch: Degrees, positive looks down.
        roll: Degrees, positive turns counter-clockwise.
        light: fitted (as in the photo), or a named one: front, left, right, top, bottom, rim.
        expression: ARKit weights in [0, 1], such as jawOpen=0.5 mouthSmileLeft=1.
        size: Side of the picture in pixels, 16 to 4096.
        turntable: Also write an animated GIF of the turning head.
    """
    from facegpt.rendering.restage import Staging, render_record

    staging = Staging(
        angles_degrees=(yaw, pitch, roll),
        light=light,
        arkit=_parse_weights(expression),
        size=size,
    )
    for path in render_record(face, staging, output, turntable):
        print(path)
    return 0


def _parse_weights(pairs: Sequence[str]) -> dict[str, float]:
    weights = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"--expression takes NAME=WEIGHT such as jawOpen=0.5, got {pair!r}")
    return weights


@app.command
def doctor() -> int:
    """Every asset: present, missing or damaged, its licence, and how to get it."""
    from facegpt.doctor import doctor_report

    report, exit_code = doctor_report()
    print(report)
    return exit_code


@assets_app.command(name="add")
def add_asset(name: tyro.conf.Positional[str], path: tyro.conf.Positional[Path]) -> int:
    """Give facegpt a file that it may not ship, such as the Basel Face Model.

    Args:
        name: Name of the asset, as `facegpt doctor` lists it.
        path: The file or folder you downloaded; it is copied.
    """
    from facegpt.assets import add_asset as add

    print(f"{name} is now at {add(name, path)}")
    return 0


app.command(assets_app, name="assets", help="Files that facegpt may use but not ship.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    # Idle OpenMP threads of torch spin by default: on shared cores that costs a factor of five.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        from facegpt import __version__

        print(f"facegpt {__version__}")
        return
    try:
        code = app.cli(
            prog="facegpt",
            description="Talk about 3D human faces and make them.",
            args=given,
        )
    except (ValueError, OSError) as error:
        print(f"facegpt: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("facegpt: interrupted; finished photos are kept", file=sys.stderr)
        code = 130
    sys.exit(code)
