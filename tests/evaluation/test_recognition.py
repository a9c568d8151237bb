"""Recognition sees shape, expression and skin, and neither pose nor light; cosines as by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from facegpt.evaluation.errors import MeasureError
from facegpt.evaluation.recognition import (
    identity_agreement,
    identity_agreement_by_faces,
    identity_descriptors,
    recognition,
)
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters
from facegpt.perception.identity import DlibIdentity
from facegpt.rendering.renderer import Renderer

SIZE = 48


class Mosaic:
    """An identity encoder that a test can understand: the picture in 8 x 8 pieces."""

    licences = ()

    def encode(self, images: Tensor, landmarks68_px: Tensor) -> Tensor:
        assert landmarks68_px.shape == (len(images), 68, 2)
        return torch.nn.functional.avg_pool2d(images, SIZE // 8).flatten(1)


@pytest.fixture(scope="module")
def renderer(tiny_face_model: MorphableModel) -> Renderer:
    return Renderer(tiny_face_model.restricted_to(), SIZE, rasterizer="torch")


def faces(seed: int, count: int = 3) -> FaceParameters:
    generator = torch.Generator().manual_seed(seed)
    return FaceParameters.from_vector(0.5 * torch.randn(count, 257, generator=generator))


@given(seed=st.integers(0, 10_000), count=st.integers(1, 9), centred=st.booleans())
def test_agreement_equals_its_twin(seed: int, count: int, centred: bool) -> None:
    draw = np.random.default_rng(seed)
    first, second = draw.normal(size=(2, count, 5))
    first[0] = 0.0
    centre = draw.normal(size=5) if centred else None
    fast, slow = (
        f(first, second, centre=centre) for f in (identity_agreement, identity_agreement_by_faces)
    )
    np.testing.assert_allclose(fast.cosine, slow.cosine)
    np.testing.assert_allclose(fast.distance, slow.distance)


def test_agreement_of_known_descriptors() -> None:
    first = np.array([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    second = np.array([[0.0, 1.0], [-1.0, 0.0], [5.0, 0.0]])
    found = identity_agreement(first, second)
    np.testing.assert_allclose(found.cosine, [0.0, -1.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(found.distance, [2**0.5, 2.0, 3.0])


def test_a_centre_uncovers_what_a_common_direction_hides() -> None:
    first, second = np.array([[101.0, 100.0]]), np.array([[100.0, 101.0]])
    plain = identity_agreement(first, second)
    centred = identity_agreement(first, second, centre=np.array([100.0, 100.0]))
    assert plain.cosine[0] > 0.9999
    assert centred.cosine[0] == pytest.approx(0.0)
    assert centred.distance[0] == plain.distance[0]


def test_pose_and_light_are_the_same_for_all(renderer: Renderer) -> None:
    theta = faces(0)
    other = faces(1)
    restaged = theta.replace(camera=other.camera, illumination=other.illumination)
    found = recognition(renderer, restaged, theta, Mosaic())
    np.testing.assert_allclose(found.cosine, 1.0, atol=1e-6)
    np.testing.assert_allclose(found.distance, 0.0, atol=1e-6)


@pytest.mark.parametrize("block", ["shape", "expression", "albedo"])
def test_shape_expression_and_skin_count(renderer: Renderer, block: str) -> None:
    theta = faces(0)
    changed = theta.replace(**{block: 3 * getattr(faces(1), block)})
    found = recognition(renderer, changed, theta, Mosaic())
    assert (found.distance > 1e-3).all()
    assert (found.cosine < 1).all()


def test_descriptors_do_not_depend_on_the_batch(renderer: Renderer) -> None:
    theta = faces(2, count=18)
    together = identity_descriptors(renderer, theta, Mosaic())
    alone = np.concatenate([identity_descriptors(renderer, face, Mosaic()) for face in theta])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_network_of_dlib_knows_a_rendered_face_again(renderer: Renderer) -> None:
    theta = FaceParameters.cat([faces(0, 1), faces(0, 1)])
    changed = theta[1].replace(shape=3 * faces(1, 1).shape, albedo=3 * faces(1, 1).albedo)
    found = recognition(renderer, FaceParameters.cat([theta[0], changed]), theta, DlibIdentity())
    assert found.distance[0] < 1e-4 < found.distance[1]
    assert found.cosine[0] > 1 - 1e-6 > found.cosine[1]


def test_bad_input_is_named(renderer: Renderer) -> None:
    with pytest.raises(MeasureError, match="predicted and true faces: 3 stand against 2"):
        recognition(renderer, faces(0), faces(1, count=2), Mosaic())
    with pytest.raises(MeasureError, match="faces to describe: there is nothing"):
        identity_descriptors(renderer, faces(0, count=0), Mosaic())
    good, broken = np.ones((2, 3)), np.array([[1.0, 1, 1], [np.nan, 1, 1]])
    with pytest.raises(MeasureError, match="descriptors of true faces: item 1 is not finite"):
        identity_agreement(good, broken)
