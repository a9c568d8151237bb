"""The language model for a command, with a progress bar while it is made ready."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from facegpt.model.number_types import Dtype, Quantise

if TYPE_CHECKING:
    from facegpt.model.base_llm import Progress
    from facegpt.pipeline import FaceGPT


@dataclass(frozen=True)
class Loading:
    """Which model answers, where and in which numbers."""

    weights: Path | None = None
    """Folder of trained weights; the shipped ones without it."""
    device: str = "cpu"
    """Where the model computes: cpu, cuda ..."""
    dtype: Dtype = "float32"
    """Of its numbers; bfloat16 halves the memory."""
    quantise: Quantise = "none"
    """Hold the linear maps of the language model in 8 or 4 bits; needs bitsandbytes."""
    base: str | None = None
    """For weights that are an adapter: folder or name of the model they were trained on, if it is
    not where they say."""


LoadingFlags = Annotated[Loading, tyro.conf.arg(name="")]


def load_facegpt(loading: Loading) -> "FaceGPT":
    """FaceGPT of a folder, the shipped one if none is named.

    Raises:
        NanoWeightsError, AssetMissingError, WeightsError: As `FaceGPT.from_pretrained`.
    """
    import torch

    from facegpt import FaceGPT

    with progress_bar() as progress:
        facegpt = FaceGPT.from_pretrained(
            loading.weights or "nano",
            device=loading.device,
            dtype=getattr(torch, loading.dtype),
            quantise=loading.quantise,
            base=loading.base,
            progress=progress,
        )
    # The process is ours: what is there now stays until it ends, so later searches pass it over.
    gc.freeze()
    return facegpt


@contextmanager
def progress_bar() -> Iterator["Progress"]:
    """A bar on the terminal that says what is being done; silent where nobody looks."""
    from tqdm import tqdm

    with tqdm(
        total=100,
        file=sys.stderr,
        disable=None,
        leave=False,
        bar_format="{desc} {bar} {percentage:3.0f}%",
    ) as bar:

        def show(what: str, fraction: float) -> None:
            bar.set_description_str(what, refresh=False)
            bar.update(100 * fraction - bar.n)

        yield show
