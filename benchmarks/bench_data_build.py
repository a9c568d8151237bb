"""How `facegpt data build --engine ray` scales: photos a second with one worker and with two.

    python benchmarks/bench_data_build.py [--photos 112]

Renders faces as photos, builds them twice on a Ray cluster of this machine (known landmarks, fit,
measured words) and compares the time between the end of the first batches, when all workers are
at work, and that of the last. A worker computes with one thread. Both data sets must have the same
files. Needs two processors with nothing else to do.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

# Set before torch and numba are imported, here and in every worker.
os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import numpy as np
import torch
from PIL import Image

from facegpt.data.build import BuildProgress, BuildSettings, build_dataset
from facegpt.data.compose import draw_theta
from facegpt.data.ray_engine import RayEngine, RaySettings
from facegpt.data.theta import find_estimator
from facegpt.data.wording import MeasuredDescriber
from facegpt.morphable.registry import load_morphable_model
from facegpt.rendering.renderer import Renderer

BAR = 1.7
PHOTOS_PER_BATCH, FIRST_BATCHES = 4, 4


def render_photos(folder: Path, count: int) -> None:
    """Photos of composed people and an npz with their landmarks."""
    model = load_morphable_model()
    theta, _, _ = draw_theta(count, model, generator=torch.Generator().manual_seed(0))
    (folder / "photos").mkdir()
    renderer = Renderer(model.restricted_to())
    names, points = [], []
    for number in range(count):
        with torch.no_grad():
            rendering = renderer(theta[number : number + 1])
        pixels = (rendering.image[0].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
        names.append(f"{number:05d}.png")
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / "photos" / names[-1])
        points.append(rendering.landmarks_px[0].numpy())
    np.savez(folder / "points.npz", names=np.array(names), landmarks=np.stack(points))


def build(folder: Path, workers: int) -> tuple[float, float]:
    """Photos a second while all workers are at work, and seconds of the whole build."""
    model = load_morphable_model()
    reached: list[tuple[int, float]] = []

    def hear(progress: BuildProgress) -> None:
        reached.append((progress.photos_done, time.perf_counter()))

    started = time.perf_counter()
    build_dataset(
        BuildSettings(
            folder / "photos",
            folder / str(workers),
            landmarks=folder / "points.npz",
            shard_photos=PHOTOS_PER_BATCH,
        ),
        describer=MeasuredDescriber(model),
        estimator=find_estimator("fit", model),
        progress=hear,
        engine=RayEngine(RaySettings(workers=workers)),
    )
    first, last = reached[PHOTOS_PER_BATCH * FIRST_BATCHES - 1], reached[-1]
    return (last[0] - first[0]) / (last[1] - first[1]), time.perf_counter() - started


def same_files(folder: Path) -> bool:
    """Whether both builds wrote the same bytes."""
    one, two = ({p.name: p.read_bytes() for p in (folder / n).iterdir()} for n in "12")
    return one == two


def main() -> int:
    """Measure, print, and fail when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=112)
    count = parser.parse_args().photos
    if count < 2 * PHOTOS_PER_BATCH * FIRST_BATCHES:
        parser.error(f"--photos must be at least {2 * PHOTOS_PER_BATCH * FIRST_BATCHES}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        render_photos(folder, count)
        rates = {}
        for workers in (1, 2):
            rates[workers], seconds = build(folder, workers)
            print(f"{workers} worker(s): {rates[workers]:.2f} photos/s, {seconds:.0f} s in all")
        same = same_files(folder)
    ratio = rates[2] / rates[1]
    print(
        f"two workers: {ratio:.2f} times as fast (asked {BAR}): {ratio >= BAR}; same files: {same}"
    )
    return int(not (ratio >= BAR and same))


if __name__ == "__main__":
    sys.exit(main())
