"""Theta: blocks <-> vector, order of the paper, batches."""

import pytest
import torch
from hypothesis import given
from hypothesis.strategies import integers

from facegpt.morphable.parameters import BLOCK_SIZES, PARAMETER_COUNT, FaceParameters


def random_theta(batch: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, PARAMETER_COUNT, generator=torch.Generator().manual_seed(seed))


def test_the_blocks_are_those_of_the_paper() -> None:
    assert list(BLOCK_SIZES.items()) == [
        ("shape", 80),
        ("expression", 64),
        ("albedo", 80),
        ("illumination", 27),
        ("camera", 6),
    ]
    assert PARAMETER_COUNT == 257


@given(batch=integers(0, 5), seed=integers(0, 99))
def test_vector_round_trip(batch: int, seed: int) -> None:
    theta = random_theta(batch, seed)
    parameters = FaceParameters.from_vector(theta)
    assert len(parameters) == batch
    torch.testing.assert_close(parameters.to_vector(), theta, rtol=0, atol=0)


def test_every_number_lands_in_its_block() -> None:
    parameters = FaceParameters.from_vector(torch.arange(257.0)[None])
    first = {name: float(block[0, 0]) for name, block in parameters.blocks().items()}
    last = {name: float(block[0, -1]) for name, block in parameters.blocks().items()}
    assert first == {
        "shape": 0,
        "expression": 80,
        "albedo": 144,
        "illumination": 224,
        "camera": 251,
    }
    assert last == {
        "shape": 79,
        "expression": 143,
        "albedo": 223,
        "illumination": 250,
        "camera": 256,
    }


@pytest.mark.parametrize("size", [(2, 256), (1, 258), (2, 0)])
def test_a_wrong_length_is_refused_with_both_numbers(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"\(batch, 257\).*{size[1]}"):
        FaceParameters.from_vector(torch.zeros(size))


def test_zeros_is_the_mean_face_in_the_wanted_dtype() -> None:
    parameters = FaceParameters.zeros(3, dtype=torch.float64)
    assert parameters.to_vector().shape == (3, 257)
    assert parameters.to_vector().dtype == torch.float64
    assert not parameters.to_vector().any()


def test_iterating_and_joining_gives_the_batch_back() -> None:
    parameters = FaceParameters.from_vector(random_theta(4))
    again = FaceParameters.cat(list(parameters))
    torch.testing.assert_close(again.to_vector(), parameters.to_vector(), rtol=0, atol=0)


def test_indices_choose_faces_and_keep_the_batch_dimension() -> None:
    theta = random_theta(4)
    parameters = FaceParameters.from_vector(theta)
    torch.testing.assert_close(parameters[-1].to_vector(), theta[3:])
    torch.testing.assert_close(parameters[1:3].to_vector(), theta[1:3])
    torch.testing.assert_close(parameters[[2, 0]].to_vector(), theta[[2, 0]])
    chosen = torch.tensor([True, False, False, True])
    torch.testing.assert_close(parameters[chosen].to_vector(), theta[chosen])
    with pytest.raises(IndexError):
        parameters[4]


def test_replace_leaves_the_original_alone() -> None:
    parameters = FaceParameters.zeros(2)
    smiling = parameters.replace(expression=torch.ones(2, 64))
    assert not parameters.expression.any()
    assert smiling.expression.all()
    assert smiling.shape is parameters.shape
    with pytest.raises(TypeError, match="smile"):
        parameters.replace(smile=torch.ones(2, 64))


def test_a_detached_copy_shares_nothing() -> None:
    parameters = FaceParameters.from_vector(random_theta(2).requires_grad_())
    copy = parameters.detach()
    assert not copy.to_vector().requires_grad
    copy.shape.zero_()
    assert parameters.shape.any()


def test_gradients_reach_the_flat_vector() -> None:
    theta = random_theta(2).requires_grad_()
    FaceParameters.from_vector(theta).camera.sum().backward()
    assert theta.grad is not None
    assert theta.grad[:, 251:].eq(1).all()
    assert theta.grad[:, :251].eq(0).all()


def test_to_moves_every_block() -> None:
    moved = FaceParameters.zeros(1).to(torch.float64)
    assert {block.dtype for block in moved.blocks().values()} == {torch.float64}
