"""`facegpt export`: faces in the form that the benchmarks NoW and REALY read."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from facegpt.cli.loading import progress_bar

if TYPE_CHECKING:
    from facegpt.evaluation.answering import NamedReconstructor
    from facegpt.evaluation.exports import ExportOutcome
    from facegpt.evaluation.methods import MethodName
    from facegpt.morphable.parameters import FaceParameters

exports_app = tyro.extras.SubcommandApp()

Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]


@exports_app.command
def now(
    images: tyro.conf.Positional[Path],
    image_list: Path,
    output: Output,
    method: str = "nano",
    expression: bool = False,
    fill_in: bool = False,
    weights: Path | None = None,
    device: str = "cpu",
) -> int:
    """Write OUTPUT/<subject>/<challenge>/<image>.obj and .npy for compute_error.py of NoW.

    Meshes are in mm. What is there already is passed over, so a stopped export goes on when the
    command is repeated.

    Args:
        images: The folder final_release_version/iphone_pictures of the data set.
        image_list: Its imagepathsvalidation.txt or imagepathstest.txt.
        output: Folder of the predictions.
        method: Who reads the faces: nano (or --weights), nano+refine, fit, mean-face,
            vision=FOLDER, or NAME=FOLDER for trained weights.
        expression: Keep the expression of the photo. The scans of NoW are neutral.
        fill_in: Write the mean face where no face is found; otherwise such an image is missing,
            and NoW calls a result with missing ones insufficient for comparison.
        weights: Folder of trained weights; the shipped ones without it.
        device: Where the model computes: cpu, cuda ...
    """
    from facegpt.evaluation.exports import export_now, now_tasks

    tasks = now_tasks(image_list, images, output)
    name = _named(method, weights)
    chosen = _method(name, device)
    outcomes = export_now(
        chosen,
        tasks,
        output,
        expression=expression,
        fill_in=_mean_face(fill_in),
        weights=_place(name),
    )
    return _report(outcomes, len(tasks))


@exports_app.command
def realy(
    images: tyro.conf.Positional[Path],
    output: Output,
    realy_data: Path,
    method: str = "nano",
    expression: bool = True,
    fill_in: bool = False,
    weights: Path | None = None,
    device: str = "cpu",
) -> int:
    """Write OUTPUT/meshes/<image>.obj for main.py of REALY, and OUTPUT/data/facegpt.obj and .txt.

    The latter are the template and its 85 keypoints and belong into the folder data of REALY. What
    is there already is passed over, so a stopped export goes on when the command is repeated.

    Args:
        images: Folder of the images of REALY, without the depth maps.
        output: Folder of the results.
        realy_data: The folder data of a clone of czh-98/REALY; its HIFI3D.obj and HIFI3D.txt say
            where the keypoints are.
        method: Who reads the faces: nano (or --weights), nano+refine, fit, mean-face,
            vision=FOLDER, or NAME=FOLDER for trained weights.
        expression: Keep the expression of the photo, as the scans of REALY do.
        fill_in: Write the mean face where no face is found; otherwise such an image is missing.
        weights: Folder of trained weights; the shipped ones without it.
        device: Where the model computes: cpu, cuda ...
    """
    from facegpt.evaluation.exports import export_realy, realy_tasks, write_realy_template

    meshes = output / "meshes"
    tasks = realy_tasks(images, meshes)
    name = _named(method, weights)
    chosen = _method(name, device)
    for path in write_realy_template(chosen.model, realy_data, output / "data"):
        print(f"wrote {path}")
    outcomes = export_realy(
        chosen,
        tasks,
        meshes,
        expression=expression,
        fill_in=_mean_face(fill_in),
        weights=_place(name),
    )
    return _report(outcomes, len(tasks))


def _named(method: str, weights: Path | None) -> "MethodName":
    from facegpt.evaluation.methods import MethodError, parse_method

    if weights is None:
        return parse_method(method)
    if method not in ("nano", "nano+refine"):
        raise MethodError(f"--weights belong to nano and nano+refine, not to {method}")
    return parse_method(f"{method.replace('nano', 'facegpt')}={weights}")


def _method(name: "MethodName", device: str) -> "NamedReconstructor":
    from facegpt.evaluation.methods import Workshop, photo_method

    with progress_bar() as progress:
        return photo_method(name, Workshop(device=device, progress=progress))


def _place(name: "MethodName") -> str:
    return str(name.folder.resolve()) if name.folder else ""


def _mean_face(wanted: bool) -> "FaceParameters | None":
    from facegpt.morphable.parameters import FaceParameters

    return FaceParameters.zeros(1) if wanted else None


def _report(outcomes: Iterator["ExportOutcome"], count: int) -> int:
    """Say what became of the images.

    Returns:
        1 if an image is unreadable, 2 if there is no face in one and it was left out.
    """
    from collections import Counter

    from tqdm import tqdm

    counts: Counter[str] = Counter()
    with tqdm(total=count, unit="photo", file=sys.stderr, disable=None) as progress:
        for outcome in outcomes:
            counts[outcome.status] += 1
            progress.update()
            if outcome.problem:
                progress.write(outcome.problem, file=sys.stderr)
            elif outcome.status in ("no face", "filled in"):
                progress.write(f"{outcome.task.image}: {outcome.status}", file=sys.stderr)
    print(", ".join(f"{number} {status}" for status, number in sorted(counts.items())))
    if counts["unreadable"]:
        return 1
    return 2 if counts["no face"] else 0
