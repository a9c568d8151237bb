"""How fast nano is on this machine: loading, photo to theta, text to theta; and its memory.

    python benchmarks/bench_nano.py [WEIGHTS]

Wall time with the threads that torch takes by itself, the fastest of some runs. A photo is timed
end to end: detection, alignment, prefill, errors, measurements, record. The first call of each kind
is not counted: it compiles kernels and measures the population that percentiles refer to.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import resource
import subprocess
import sys
import time
from collections.abc import Callable

import skimage.data

from facegpt.perception.images import load_image
from facegpt.pipeline import FaceGPT

TEXT = "an elderly man with a long thin face and a hooked nose, grinning"
BATCH, REPEATS, STARTS = 8, 5, 3


def fastest_seconds(work: Callable[[], object]) -> float:
    """The fastest of some runs, after one that is not counted."""
    work()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def loading_seconds(weights: str) -> float:
    """From a started Python to a loaded model, imports included, in a process of its own."""
    program = (
        "import sys, time; start = time.perf_counter(); from facegpt import FaceGPT; "
        "FaceGPT.from_pretrained(sys.argv[1]); print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", program, weights]
    result = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return float(result.stdout)


def peak_gigabytes() -> float:
    """Most memory that this process has held so far; Linux counts in kB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)


def main() -> int:
    """Measure, print, and fail when a bar is missed."""
    weights = sys.argv[1] if len(sys.argv) > 1 else "nano"
    facegpt = FaceGPT.from_pretrained(weights)  # the first start also unpacks the language model
    load = min(loading_seconds(weights) for _ in range(STARTS))
    photo = load_image(skimage.data.astronaut())
    alone = fastest_seconds(lambda: facegpt.reconstruct_photos([photo]))
    batch = fastest_seconds(lambda: facegpt.reconstruct_photos([photo] * BATCH))
    text = fastest_seconds(lambda: facegpt.imagine(TEXT))
    refined = fastest_seconds(lambda: facegpt.refining_reader.reconstruct_photos([photo]))
    rows = [
        ("load, with imports", load, "s", 8.0, load <= 8.0),
        ("photo -> theta, one", alone, "s", 0.5, alone <= 0.5),
        (f"photos of a batch of {BATCH}", BATCH / batch, "/s", 4.0, BATCH / batch >= 4.0),
        ("text -> theta", text, "s", 0.4, text <= 0.4),
        ("--refine adds", refined - alone, "s", 1.0, refined - alone <= 1.0),
        ("peak memory", peak_gigabytes(), "GB", 2.0, peak_gigabytes() <= 2.0),
    ]
    for name, value, unit, bar, is_met in rows:
        print(
            f"{name:<24}{value:7.2f} {unit:<3} bar {bar:.1f} {'' if is_met else 'MISSED'}".rstrip()
        )
    return int(not all(row[-1] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
