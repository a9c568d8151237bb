"""What every test stands on: shapes checked at run time, one thread and a tiny face."""

import os

# Set before torch and numba are imported: spinning or forking thread pools make tests slow and
# flaky on shared cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

from pathlib import Path

import hypothesis
import pytest
import torch
from jaxtyping import install_import_hook

PROJECT = Path(__file__).parent.parent
SOURCE = PROJECT / "src"


def checked_modules() -> list[str]:
    """Our modules by name, except two kinds that the hook breaks.

    It would wrap numba kernels, which then do not compile, and the config classes of transformers,
    which then refuse their own keywords. Leaves only: naming a package covers everything below it.
    """
    names = []
    for file in sorted((SOURCE / "facegpt").rglob("*.py")):
        if file.stem.endswith("kernels") or file.stem.startswith("configuration_"):
            continue
        if file.name != "__init__.py":
            names.append(".".join(file.relative_to(SOURCE).with_suffix("").parts))
    return names


install_import_hook(checked_modules(), "beartype.beartype")

from facegpt.morphable.model import MorphableModel
from tiny_face import build_tiny_face_model

torch.set_num_threads(1)

hypothesis.settings.register_profile("local", deadline=None, max_examples=25)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def project() -> Path:
    """The folder of the repository."""
    return PROJECT


@pytest.fixture(scope="session")
def tiny_face_model() -> MorphableModel:
    """A complete morphable model of some 250 vertices: symmetric, with open lids and lips, 52 ARKit
    shapes and a scalp."""
    return build_tiny_face_model(seed=0)
