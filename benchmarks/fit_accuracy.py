"""How well `fit` explains photos: landmark and photometric errors, beside the mean face, per group.

    python benchmarks/fit_accuracy.py DATA [--split val] [--limit 0] [--sheet overlays.png]

DATA is a folder as `photo_samples.py` reads it. Errors are in pixels of the aligned 224 crop and,
for colours in [0, 1], as mean RGB L2 distance over the skin pixels that the face covers (grey
photos: the luminance in all three channels; the luminance difference itself is 1/sqrt(3) of that).
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from photo_samples import Sample, read_samples, rows_by_group
from PIL import Image

from facegpt.fitting import FaceBatch, FitResult, FitSettings, fit_faces
from facegpt.fitting.synthesis import identity_distance, measure_fit
from facegpt.morphable.parameters import FaceParameters
from facegpt.morphable.registry import load_morphable_model
from facegpt.perception.identity import DlibIdentity
from facegpt.rendering.renderer import Renderer


@dataclass(frozen=True)
class Measured:
    """Errors of all samples."""

    fit: FitResult
    identity: torch.Tensor
    """L2 distance of the identity descriptors of photo and rendering."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    data: tyro.conf.Positional[Path]
    split: str = "val"
    limit: int = 0
    """Only the first photos; 0 = all."""
    every: int = 1
    """Only every n-th photo."""
    batch: int = 8
    model: str = "default"
    sheet: Path | None = None
    """Write photos and fits side by side."""
    fit: Annotated[FitSettings, tyro.conf.arg(name="")] = field(default_factory=FitSettings)


def fit_all(options: Options, samples: list[Sample]) -> tuple[Measured, Measured, float]:
    """Fits and mean faces of all samples, and the seconds per photo of fitting alone."""
    renderer = Renderer(load_morphable_model(options.model).restricted_to())
    encoder = DlibIdentity()
    fits, means = [], []
    identity: dict[str, list[torch.Tensor]] = {"fit": [], "mean": []}
    warm = FaceBatch.of([s.face for s in samples[:1]])
    fit_faces(renderer, warm, FitSettings(steps=1), encoder=encoder)
    seconds = 0.0
    for first in range(0, len(samples), options.batch):
        batch = FaceBatch.of([s.face for s in samples[first : first + options.batch]])
        started = time.perf_counter()
        fits.append(fit_faces(renderer, batch, options.fit, encoder=encoder))
        seconds += time.perf_counter() - started
        means.append(measure_fit(renderer, batch, FaceParameters.zeros(len(batch))))
        for name, found in (("fit", fits[-1]), ("mean", means[-1])):
            identity[name].append(identity_distance(renderer, batch, found.parameters, encoder))
    return (
        Measured(_join(fits), torch.cat(identity["fit"])),
        Measured(_join(means), torch.cat(identity["mean"])),
        seconds / len(samples),
    )


def _join(parts: list[FitResult]) -> FitResult:
    return FitResult(
        FaceParameters.cat([p.parameters for p in parts]),
        torch.cat([p.photometric for p in parts]),
        torch.cat([p.landmark_px for p in parts]),
        torch.cat([p.landmark_inner_px for p in parts]),
    )


def print_table(title: str, samples: list[Sample], measured: Measured) -> None:
    """One row per group and one for all."""
    result = measured.fit
    groups = rows_by_group([sample.group for sample in samples])
    print(f"\n{title:<14} photos   68 points   inner 51   photometric   identity")
    for name, rows in groups.items():
        picked = torch.tensor(rows)
        print(
            f"{name:<14} {len(rows):6d} {result.landmark_px[picked].mean():8.2f} px"
            f" {result.landmark_inner_px[picked].mean():7.2f} px"
            f" {result.photometric[picked].mean():10.4f}"
            f" {measured.identity[picked].mean():12.3f}"
        )


def write_sheet(options: Options, samples: list[Sample], fit: FitResult, path: Path) -> None:
    """Photos above their fits, 12 in a row, the first 48."""
    renderer = Renderer(load_morphable_model(options.model).restricted_to())
    tiles = []
    for i, sample in enumerate(samples[:48]):
        shown = renderer(fit.parameters[i])
        face = torch.where(shown.mask[0], shown.image[0].clamp(0, 1), sample.face.crop)
        tiles.append(torch.cat([sample.face.crop, face], dim=1))
    rows = [torch.cat(tiles[k : k + 12], dim=2) for k in range(0, len(tiles) // 12 * 12 or 1, 12)]
    sheet = torch.cat(rows, dim=1).permute(1, 2, 0).mul(255).round().byte().numpy()
    Image.fromarray(sheet).save(path)


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options, description=__doc__)
    samples = read_samples(options.data, options.split, every=options.every, limit=options.limit)
    fit, mean, seconds = fit_all(options, samples)
    print_table("mean face", samples, mean)
    print_table("fit", samples, fit)
    theta = fit.fit.parameters
    largest = {k: float(getattr(theta, k).abs().max()) for k in ("shape", "expression", "albedo")}
    print("\nlargest coefficient, sd:", {k: round(v, 2) for k, v in largest.items()})
    print(f"fitting: {seconds:.2f} s per photo in batches of {options.batch}")
    if options.sheet:
        write_sheet(options, samples, fit.fit, options.sheet)


if __name__ == "__main__":
    main()
