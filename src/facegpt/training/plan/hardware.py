"""What GPUs can do, as their makers state it, and what was measured of our own parts.

Peak rates are dense bfloat16 products with float32 sums. Nothing here was measured on a GPU.
"""

import difflib
from dataclasses import dataclass

from facegpt.training.plan.shapes import PlanError

GIGABYTE = 1e9


@dataclass(frozen=True)
class Accelerator:
    """One kind of processor."""

    name: str
    memory_gb: float
    """10^9 bytes."""
    peak_tflops: float
    """10^12 operations a second, a multiplication and an addition being two."""
    link_gb: float
    """10^9 bytes a second in one direction to its neighbours."""
    source: str


_TABLE = (
    Accelerator("a40", 48.0, 149.7, 31.5, "data sheet of the NVIDIA A40; PCIe 4.0 x16"),
    Accelerator(
        "a100-40", 40.0, 312.0, 300.0, "data sheet of the NVIDIA A100 SXM4 40 GB; NVLink 3"
    ),
    Accelerator(
        "a100-80", 80.0, 312.0, 300.0, "data sheet of the NVIDIA A100 SXM4 80 GB; NVLink 3"
    ),
    Accelerator("h100", 80.0, 989.4, 450.0, "data sheet of the NVIDIA H100 SXM5; NVLink 4"),
    Accelerator("l40s", 48.0, 362.0, 31.5, "data sheet of the NVIDIA L40S; PCIe 4.0 x16"),
    Accelerator(
        "4090", 24.0, 165.2, 31.5, "Ada architecture paper, GeForce RTX 4090; PCIe 4.0 x16"
    ),
    Accelerator(
        "cpu", 16.0, 0.12, 10.0, "two AVX2 cores, float32 products, benchmarks/bench_plan.py"
    ),
)
ACCELERATORS = {row.name: row for row in _TABLE}

UTILISATION = 0.35
"""Share of the peak rate that a training reaches; assumed. LoRA's thin products, padding and
attention keep it below what large dense products reach."""
LINK_UTILISATION = 0.7
"""The same of the links."""
RESERVE_GB = 1.5
"""What driver, kernels and the gaps of the allocator take on a GPU; assumed."""

FACE_SECONDS = 0.070
"""A face rendered and judged, forward and backward, identity network included: one CPU core
(benchmarks/bench_plan.py). No GPU was at hand, and theirs should be faster."""
FACE_BYTES = 12e6
"""What that holds at once, per face (same)."""
EXAMPLE_SECONDS = 0.012
"""An example made: JPEG decoded, changed, made 336 px large, without its words; one CPU core
(same)."""


def find_accelerator(name: str) -> Accelerator:
    """One of the table.

    Raises:
        PlanError: There is none of this name.
    """
    if name not in ACCELERATORS:
        [nearest] = difflib.get_close_matches(name, ACCELERATORS, n=1, cutoff=0)
        raise PlanError(
            f"no GPU {name!r} in the table; did you mean {nearest!r}? Known: "
            f"{sorted(ACCELERATORS)}. For another one give --peak-tflops, --gpu-memory and "
            "--link-gb beside the nearest name"
        )
    return ACCELERATORS[name]
