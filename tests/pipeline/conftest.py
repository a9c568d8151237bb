"""A tiny FaceGPT, and the tiny language model of the model tests for its way from disk."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent.parent / "model"))

from facegpt.morphable.model import MorphableModel
from facegpt.pipeline import FaceGPT, Spread
from tiny_facegpt import face_photo, tiny_facegpt


@pytest.fixture(scope="session")
def spread() -> Spread:
    generator = torch.Generator().manual_seed(3)
    factor = 0.2 * torch.randn(5, 257, generator=generator)
    factor[:, 224:] = 0
    return Spread(factor)


@pytest.fixture(scope="session")
def facegpt(tiny_face_model: MorphableModel, spread: Spread) -> FaceGPT:
    return tiny_facegpt(tiny_face_model, spread=spread)


@pytest.fixture(scope="session")
def photo(tiny_face_model: MorphableModel) -> np.ndarray:
    return face_photo(tiny_face_model)[0]
