"""Learn the albedo statistics of the default head from photos and write them into its file.

    python scripts/build_albedo.py --images DIR --landmarks landmarks.npz --index index.csv

Every photo is fitted by its landmarks, sampled at the visible skin and freed of its light; robust
principal components with missing data follow, in sRGB, together with all mirror images. Only mean
and components are written. Takes about ten minutes and 4 GB for 3,400 photos on one core.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from face_model.asset import quantised, write
from face_model.photo_assembly import IrisStatistics, iris_statistics, whole_head
from face_model.photo_learning import LearningSettings, LearntAlbedo, learn
from face_model.photo_reading import AlignedPhoto, entries, iris_srgb, people_weights, read_photos
from face_model.photo_samples import PhotoSamples, sample_photos
from face_model.photo_statistics import Population
from face_model.surface import Surface, beyond_hairline_mm, regions
from facegpt.fitting.landmarks import fit_landmarks
from facegpt.morphable.default import ASSET_PATH, load_default
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters

_BATCH = 64
_PIXELS_PER_MM2 = (0.04, 0.20)
_TRUST = (0.40, 0.65)
_FROM_HAIRLINE_MM = (1.0, 16.0)
"""Below the first number nothing is believed of a vertex, above the second all."""
_START = time.monotonic()


def main() -> None:
    """Parse, learn, write."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--landmarks", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--limit", type=int, help="only this many photos, for a trial")
    parser.add_argument("--output", type=Path, default=ASSET_PATH)
    parser.add_argument("--rounds", type=int, default=LearningSettings.rounds)
    parser.add_argument("--flatness", type=float, default=LearningSettings.flatness)
    options = parser.parse_args()
    model = load_default()
    chosen = entries(options.images, options.landmarks, options.index, options.split)
    chosen = chosen[: options.limit]
    photos = list(read_photos(chosen))
    _report(f"{len(photos)} photos read")
    samples = _sample(model, photos)
    surface = surface_of_model(model)
    population = Population.of(samples, people_weights(chosen, photos), model.mirror.numpy())
    plain = _plain_skin(surface)[samples.skin] * population.metric
    settings = LearningSettings(rounds=options.rounds, flatness=options.flatness)
    learnt = learn(samples, population, plain.astype(np.float32), settings, _report)
    iris = _iris(photos, learnt, population)
    coverage = _coverage(surface, samples, population, learnt)
    head = whole_head(surface, samples.skin, learnt.albedo, coverage, iris)
    with np.load(options.output, allow_pickle=False) as file:
        blocks = {key: file[key] for key in file.files}
    blocks |= quantised("albedo", head.mean, head.basis)
    size = write(options.output, blocks)
    _report(f"wrote {options.output} ({size / 1e6:.1f} MB)")


def surface_of_model(model: MorphableModel) -> Surface:
    """The mean head of a model, for the painters of colours."""
    return Surface(
        model.mean_mm.double().numpy(),
        model.triangles.numpy(),
        model.part.numpy(),
        model.part_names,
        model.landmarks68.numpy(),
        model.mirror.numpy(),
    )


def _sample(model: MorphableModel, photos: list[AlignedPhoto]) -> PhotoSamples:
    points = torch.from_numpy(np.stack([photo.landmarks68_px for photo in photos]))
    theta = FaceParameters.cat([fit_landmarks(model, part) for part in points.split(_BATCH)])
    _report("faces fitted by their landmarks")
    skin = np.flatnonzero(model.part_mask(("face",)).numpy())
    inputs = (
        (photo.crop.astype(np.float32) / 255, photo.usable, theta[i])
        for i, photo in enumerate(photos)
    )
    samples = sample_photos(model, skin, inputs)
    _report(f"sampled at {len(skin)} vertices")
    return samples


def _plain_skin(surface: Surface) -> np.ndarray:
    mask = regions(surface)
    covered = np.stack([mask[name] for name in ("lips", "brows", "lids", "nostrils")])
    return (1 - np.clip(3 * covered.max(0), 0, 1)) * surface.within("face")


def _coverage(
    surface: Surface, samples: PhotoSamples, population: Population, learnt: LearntAlbedo
) -> np.ndarray:
    """(skin,) in [0, 1]: how far the photos are believed at each vertex."""
    trusted = np.zeros_like(population.metric)
    for row, trust, weight in zip(
        samples.pixels, learnt.explanation.trust, population.people, strict=True
    ):
        trusted += (row * trust).astype(np.float32) * weight
    trusted = (trusted + trusted[population.mirror]) / 2 / len(samples)
    density = population.metric / np.maximum(surface.vertex_areas_mm2()[samples.skin], 1e-6)
    scores = ((density, _PIXELS_PER_MM2), (trusted / population.metric, _TRUST))
    hairless = -beyond_hairline_mm(surface)[samples.skin]
    scores += ((hairless, _FROM_HAIRLINE_MM),)
    ramps = [np.clip((score - low) / (high - low), 0, 1) for score, (low, high) in scores]
    return np.prod(ramps, axis=0)


def _iris(
    photos: list[AlignedPhoto], learnt: LearntAlbedo, population: Population
) -> IrisStatistics:
    ambient = learnt.explanation.light[:, 0] + 0.5 * learnt.explanation.light[:, 2]
    colours = np.stack([iris_srgb(photo) for photo in photos]) / ambient
    symmetric = learnt.explanation.gamma * (learnt.signs > 0)
    return iris_statistics(colours, symmetric, population.people)


def _report(line: str) -> None:
    print(f"[{time.monotonic() - _START:5.0f} s] {line}", flush=True)


if __name__ == "__main__":
    main()
