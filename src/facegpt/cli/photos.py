"""Commands that read photos: `reconstruct` and `fit` make heads, `describe` makes words."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from facegpt.cli.loading import LoadingFlags, load_facegpt

if TYPE_CHECKING:
    from facegpt.fitting.photos import PhotoOutcome, PhotoReconstructor, PhotoTask

Format = Literal["glb", "obj", "ply", "overlay", "json"]
ALL_FORMATS: tuple[Format, ...] = ("glb", "obj", "ply", "overlay", "json")

Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]


def reconstruct(
    images: tyro.conf.Positional[tuple[Path, ...]],
    output: Output = Path("faces"),
    refine: bool = False,
    format: tuple[Format, ...] = ALL_FORMATS,
    *,
    loading: LoadingFlags,
) -> int:
    """Let the language model turn every face in photos into a textured, rigged 3D head.

    Writes OUTPUT/<photo>/ for the largest face of a photo and OUTPUT/<photo>-2/ for the next one.
    Finished photos are skipped, so an interrupted run can simply be repeated.

    Args:
        images: Photos, or folders of photos.
        output: Folder of the results.
        refine: Fit each prediction to its photo afterwards: closer, up to a second more per face.
        format: Which files to write.
        loading: Which model answers.
    """
    from facegpt.fitting.photos import plan_tasks

    if not images:
        raise ValueError("no photo given; try: facegpt reconstruct photo.jpg --output faces")
    tasks = plan_tasks(images, output)
    facegpt = load_facegpt(loading)
    return _run(facegpt.refining_reader if refine else facegpt.reader, tasks, format)


def fit(
    images: tyro.conf.Positional[tuple[Path, ...]],
    output: Output = Path("faces"),
    format: tuple[Format, ...] = ALL_FORMATS,
    model: str = "default",
    steps: int = 120,
) -> int:
    """Turn every face in photos into a textured, rigged 3D head by optimisation alone.

    Slower and closer than `reconstruct`; needs no language model. Writes OUTPUT/<photo>/ for the
    largest face of a photo and OUTPUT/<photo>-2/ for the next one. Finished photos are skipped, so
    an interrupted run can simply be repeated.

    Args:
        images: Photos, or folders of photos.
        output: Folder of the results.
        format: Which files to write.
        model: Morphable model: default, default-procedural, bfm2017, bfm2009, flame or ict.
        steps: Gradient steps of the last stage; fewer is faster and coarser.
    """
    from facegpt.fitting import AnalysisBySynthesis, FitSettings
    from facegpt.fitting.photos import plan_tasks
    from facegpt.morphable.registry import load_morphable_model

    if not images:
        raise ValueError("no photo given; try: facegpt fit photo.jpg --output faces")
    tasks = plan_tasks(images, output)
    method = AnalysisBySynthesis(load_morphable_model(model), FitSettings(steps=steps))
    return _run(method, tasks, format)


def describe(
    image: tyro.conf.Positional[Path],
    ask: tuple[str, ...] = (),
    *,
    loading: LoadingFlags,
) -> int:
    """Say in words how the largest face of a photo looks.

    Args:
        image: The photo.
        ask: Questions to be answered instead of the usual ones, each in quotes.
        loading: Which model answers.
    """
    from facegpt.pipeline import NoFaceError

    facegpt = load_facegpt(loading)
    try:
        print(facegpt.describe(image, ask) if ask else facegpt.describe(image))
    except NoFaceError as error:
        print(f"facegpt: {error}", file=sys.stderr)
        return 2
    return 0


def _run(method: "PhotoReconstructor", tasks: Sequence["PhotoTask"], formats: Sequence[str]) -> int:
    from tqdm import tqdm

    from facegpt.fitting.photos import fit_photos

    outcomes = []
    with tqdm(total=len(tasks), unit="photo", disable=len(tasks) < 2 or None) as progress:
        for outcome in fit_photos(method, tasks, formats):
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
