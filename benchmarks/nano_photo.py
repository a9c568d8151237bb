"""How well nano reads faces from photos in one prefill, beside floors and the fit, per group.

    python benchmarks/nano_photo.py DATA [--weights DIR] [--split val] [--refine] [--fits CACHE_DIR]
        [--method nano|vision|fit|mean] [--vision DIR] [--sheet out.png] [--json out.json]

DATA is a folder as `photo_samples.py` reads it, named color or wild after the bars that it is held
against. Errors are those of eq. 8 and 9: pixels of the aligned 224 crop, mean RGB L2 distance over
the skin that the face covers, and the L2 distance of dlib's identity descriptors. Floors are the
mean face (theta = 0) and the constant mean shape: the mean of the aligned points of the train
split. The ceiling is the fit, which is kept in CACHE_DIR (`fit_cache.py`; a second per photo).
Two minutes for 200 photos on two cores.
"""

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from fit_cache import cached_fits
from jaxtyping import Float
from photo_samples import Sample, mean_shape_px, read_samples, rows_by_group
from report import Bar, Line, Table, write_json
from sheets import write_overlay_sheet
from torch import Tensor

from facegpt.data.theta import TowerTheta
from facegpt.evaluation.metrics import bootstrap_interval
from facegpt.fitting import FaceBatch, fit_faces
from facegpt.fitting.synthesis import identity_distance, measure_fit
from facegpt.losses import landmark_errors_px
from facegpt.morphable.default import load_default
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.identity import DlibIdentity
from facegpt.pipeline.network import Conversation, Network
from facegpt.pipeline.photos import REFINEMENT
from facegpt.pipeline.requests import answer_turn, image_request, user_turn
from facegpt.rendering.renderer import Renderer

_BATCH = 16
ALL, INNER, COLOUR, IDENTITY = "68 points, px", "inner 51, px", "photometric", "identity L2"
_DIGITS = {ALL: 2, INNER: 2, COLOUR: 4, IDENTITY: 3}
_BARS = {
    ("color", False): {ALL: Bar(1.9), INNER: Bar(1.4), COLOUR: Bar(0.085)},
    ("color", True): {ALL: Bar(1.5), INNER: Bar(1.1), COLOUR: Bar(0.055)},
    ("wild", False): {INNER: Bar(2.2)},
}
"""(folder, refined) -> what issue 3 asks."""
_MOST_SECONDS = Bar(1.0)
"""That refinement may add per face."""

Errors = dict[str, Float[Tensor, "photo"]]
"""What is measured -> one number per photo."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    data: tyro.conf.Positional[Path]
    weights: Path | None = None
    """Weights of nano; the shipped ones when left out."""
    split: str = "val"
    method: Literal["nano", "vision", "fit", "mean"] = "nano"
    vision: Path | None = None
    """Vision tower of `facegpt train vision`, for `--method vision`."""
    refine: bool = False
    """Fit the prediction to the photo afterwards."""
    fits: Path | None = None
    """Folder of kept fits: the ceiling; without one there is none."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    limit: int = 0
    """Only the first photos; 0 = all."""
    every: int = 1
    """Only every n-th photo."""
    resamples: int = 10_000
    sheet: Path | None = None
    """Write photos and faces over them."""
    json: Path | None = None


@dataclass(frozen=True)
class Judge:
    """Compares faces with photos."""

    samples: list[Sample]

    @cached_property
    def renderer(self) -> Renderer:
        """Of the parts that a photo is compared with."""
        return Renderer(load_default().restricted_to())

    def batches(self, theta: FaceParameters) -> list[tuple[FaceBatch, FaceParameters]]:
        """Photos and their faces in parts of a size that fits into memory."""
        faces = [sample.face for sample in self.samples]
        starts = range(0, len(faces), _BATCH)
        return [(FaceBatch.of(faces[i : i + _BATCH]), theta[i : i + _BATCH]) for i in starts]

    def errors(self, theta: FaceParameters) -> Errors:
        """Everything that is measured."""
        encoder, parts = DlibIdentity(), []
        for batch, faces in self.batches(theta):
            with torch.no_grad():
                found = measure_fit(self.renderer, batch, faces)
            identity = identity_distance(self.renderer, batch, faces, encoder)
            numbers = [found.landmark_px, found.landmark_inner_px, found.photometric, identity]
            parts.append(torch.stack(numbers))
        return dict(zip(_DIGITS, torch.cat(parts, dim=1), strict=True))

    def errors_of_points(self, points_px: Float[np.ndarray, "68 2"]) -> Errors:
        """Landmark errors of the same points for everybody; colours are not predicted."""
        detected = torch.stack([sample.face.landmarks68_px for sample in self.samples])
        constant = torch.from_numpy(points_px).float().expand_as(detected)
        every, inner = landmark_errors_px(detected, constant)
        return {ALL: every, INNER: inner}

    def refined(self, theta: FaceParameters) -> tuple[FaceParameters, float]:
        """Predictions fitted to their photos as `--refine` does, and the seconds per face."""
        started = time.perf_counter()
        parts = [
            fit_faces(self.renderer, batch, REFINEMENT, start=faces).parameters
            for batch, faces in self.batches(theta)
        ]
        return FaceParameters.cat(parts), (time.perf_counter() - started) / len(theta)


def predict(options: Options, samples: list[Sample]) -> tuple[FaceParameters, float]:
    """Theta of every photo by the method, and the seconds per photo without loading."""
    faces = [sample.face for sample in samples]
    if options.method == "nano":
        network = Network.load(options.weights, dtype=getattr(torch, options.dtype))
        turns = [user_turn(image_request(), image=True), answer_turn()]
        asked = [Conversation(turns, [face.crop]) for face in faces]
        network.faces_of(asked[:1])
        started = time.perf_counter()
        theta = network.faces_of(asked)
    elif options.method == "vision":
        tower = TowerTheta(options.vision or Path())
        started = time.perf_counter()
        starts = range(0, len(faces), _BATCH)
        theta = FaceParameters.cat([tower.estimate(faces[i : i + _BATCH]) for i in starts])
    else:
        started = time.perf_counter()
        theta = fits_of(options, samples) if options.method == "fit" else _mean(samples)
    assert theta is not None
    return theta, (time.perf_counter() - started) / len(samples)


def fits_of(options: Options, samples: list[Sample]) -> FaceParameters | None:
    """The fits, kept or made now; None when there is no folder to keep them in."""
    if options.fits is None:
        return None
    faces = {sample.name: sample.face for sample in samples}
    found = cached_fits(list(faces), lambda part: [faces[name] for name in part], options.fits)
    return found.parameters


def _mean(samples: list[Sample]) -> FaceParameters:
    return FaceParameters.zeros(len(samples))


def tables(options: Options, judge: Judge, theta: FaceParameters) -> list[Table]:
    """One table over all photos and one per group."""
    measured = judge.errors(theta)
    floors = {
        "mean face": judge.errors(_mean(judge.samples)),
        "mean shape": judge.errors_of_points(mean_shape_px(options.data)),
    }
    fits = fits_of(options, judge.samples)
    ceiling = judge.errors(fits) if fits is not None else {}
    bars = _BARS.get((options.data.name, options.refine), {}) if options.method != "fit" else {}
    found = []
    groups = rows_by_group([sample.group for sample in judge.samples])
    for group, rows in reversed(groups.items()):
        lines = [
            _line(what, options, rows, errors, bars.get(what), floors, ceiling)
            for what, errors in measured.items()
        ]
        title = f"{options.data.name}, {options.split}, {options.method}"
        refined = " + refine" if options.refine else ""
        found.append(Table(f"{title}{refined}: {group}", lines))
    return found


def _line(
    what: str,
    options: Options,
    rows: list[int],
    errors: Tensor,
    bar: Bar | None,
    floors: dict[str, Errors],
    ceiling: Errors,
) -> Line:
    picked = errors[rows].double().numpy()
    interval = bootstrap_interval(
        lambda drawn: float(picked[drawn].mean()),
        np.arange(len(rows)),
        np.random.default_rng(0),
        resamples=options.resamples,
    )
    return Line(
        what,
        float(picked.mean()),
        len(rows),
        bar,
        interval,
        {name: float(e[what][rows].mean()) for name, e in floors.items() if what in e},
        float(ceiling[what][rows].mean()) if ceiling else None,
        _DIGITS[what],
    )


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options, description=__doc__)
    samples = read_samples(options.data, options.split, every=options.every, limit=options.limit)
    judge = Judge(samples)
    theta, seconds = predict(options, samples)
    timing = [Line("seconds per face, in batches of 16", seconds, len(samples))]
    if options.refine:
        theta, more = judge.refined(theta)
        timing.append(
            Line("seconds per face that refinement adds", more, len(samples), _MOST_SECONDS)
        )
    found = [*tables(options, judge, theta), Table("time on this machine", timing)]
    print(*found, sep="\n")
    if options.sheet:
        write_overlay_sheet(options.sheet, samples, theta)
    if options.json:
        names = [sample.name for sample in samples]
        write_json(options.json, options, found, {"names": names})


if __name__ == "__main__":
    main()
