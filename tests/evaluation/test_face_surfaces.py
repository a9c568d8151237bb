"""The protocol on faces: what counts, what does not, and what comes out for known clouds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facegpt.evaluation.errors import MeasureError
from facegpt.evaluation.face_surfaces import (
    compare_surfaces,
    curve_estimates,
    region_mm,
    surface_estimates,
)
from facegpt.evaluation.metrics import Bootstrap
from facegpt.evaluation.surfaces import NearestDistances, nearest_distances_by_pairs
from facegpt.morphable.model import FACE_PARTS, MorphableModel
from facegpt.morphable.parameters import FaceParameters

FEW = Bootstrap(resamples=100)


def faces(seed: int, count: int = 2) -> FaceParameters:
    generator = torch.Generator().manual_seed(seed)
    return FaceParameters.from_vector(0.5 * torch.randn(count, 257, generator=generator))


def test_surfaces_are_those_of_the_face_region(tiny_face_model: MorphableModel) -> None:
    found = compare_surfaces(tiny_face_model, faces(0), faces(1))
    region = tiny_face_model.restricted_to(FACE_PARTS)
    assert len(region.mean_mm) < len(tiny_face_model.mean_mm)
    clouds = [region_mm(region, faces(seed)) for seed in (0, 1)]
    for distances, *pair in zip(found.as_they_are, *clouds, strict=True):
        expected = nearest_distances_by_pairs(*pair)
        np.testing.assert_allclose(distances.of_predicted_mm, expected.of_predicted_mm)
        np.testing.assert_allclose(distances.of_truth_mm, expected.of_truth_mm)


def test_pose_light_and_colour_do_not_count(tiny_face_model: MorphableModel) -> None:
    theta = faces(0)
    other = faces(1).replace(shape=theta.shape, expression=theta.expression)
    found = compare_surfaces(tiny_face_model, other, theta)
    for distances in (*found.as_they_are, *found.registered):
        assert distances.chamfer_mm < 1e-9


def test_icp_takes_a_shift_away(tiny_face_model: MorphableModel) -> None:
    """An identity that only moves the head is an error as it stands and none after ICP."""
    basis = tiny_face_model.identity_mm.clone()
    basis[0] = torch.tensor([0.0, 1.0, 0.0])
    model = replace(tiny_face_model, identity_mm=basis)
    zero = FaceParameters.zeros(1)
    moved = zero.replace(shape=torch.eye(80)[:1])
    found = compare_surfaces(model, moved, zero)
    assert found.as_they_are[0].chamfer_mm > 1.0
    assert found.registered[0].chamfer_mm < 1e-4


def test_estimates_are_means_over_faces() -> None:
    near = NearestDistances(np.array([1.0, 3.0]), np.array([2.0]))
    far = NearestDistances(np.array([11.0, 13.0]), np.array([12.0]))
    found = surface_estimates([near, far], FEW)
    assert {name: estimate.value for name, estimate in found.items()} == {
        "chamfer_mm": 14.0,
        "chamfer_sum_mm": 21.0,
        "accuracy_mm": 7.0,
        "completeness_mm": 7.0,
        "complete_rate": 0.5,
    }
    assert (found["accuracy_mm"].interval.low, found["accuracy_mm"].interval.high) == (2.0, 12.0)
    curve = curve_estimates([near, far], FEW, thresholds_mm=(1.0, 2.5, 12.5, 100.0))
    np.testing.assert_allclose([e.value for e in curve], [0.0, 1 / 3, 5 / 6, 1.0])


def test_one_truth_is_needed_for_every_prediction(tiny_face_model: MorphableModel) -> None:
    with pytest.raises(MeasureError, match="predicted and true faces: 2 stand against 1"):
        compare_surfaces(tiny_face_model, faces(0), faces(1, count=1))
    theta = faces(0)
    broken = theta.replace(shape=theta.shape * float("nan"))
    with pytest.raises(MeasureError, match="predicted cloud: item 0 is not finite"):
        compare_surfaces(tiny_face_model, broken, theta)
