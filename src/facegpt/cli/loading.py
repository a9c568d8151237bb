"""The language model for a command, with a progress bar while it is made ready."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facegpt.model.base_llm import Progress
    from facegpt.pipeline import FaceGPT


def load_facegpt(weights: Path | None, device: str = "cpu") -> "FaceGPT":
    """FaceGPT of a folder, the shipped one if None.

    Raises:
        NanoWeightsError, AssetMissingError, WeightsError: As `FaceGPT.from_pretrained`.
    """
    from facegpt import FaceGPT

    with progress_bar() as progress:
        facegpt = FaceGPT.from_pretrained(weights or "nano", device=device, progress=progress)
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
