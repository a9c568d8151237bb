"""No compiled kernel, which reads CPU memory, is called for tensors that are on another device."""

import pytest
import torch
from other_device import elsewhere, other_device

from facegpt.losses import LossWeights
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters
from facegpt.rendering import fast
from facegpt.rendering.renderer import Renderer
from facegpt.training.config import ObjectiveWeights
from facegpt.training.debug import rendered_faces
from facegpt.training.face_loss import FaceLoss
from facegpt.training.objective import FaceObjective, TargetBatch

pytestmark = pytest.mark.filterwarnings("ignore:User provided device_type")  # no GPU is needed
SIZE = 32


def theta(faces: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.05 * torch.randn(faces, sum(BLOCK_SIZES.values()), generator=generator)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Calls of compiled kernels."""
    calls: list[int] = []
    run = fast._each_image

    def counting(kernel, count):
        calls.append(count)
        run(kernel, count)

    monkeypatch.setattr(fast, "_each_image", counting)
    return calls


def test_the_device_that_is_not_there_refuses_what_a_gpu_refuses() -> None:
    with other_device() as device:
        there = torch.ones(2).to(device)
        assert (there + 1).device.type == "cuda"
        assert torch.zeros(2, device=device).device == there.new_zeros(2).device == device
        assert (there + 1).cpu().device.type == "cpu"
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        with pytest.raises(RuntimeError, match="two devices"):
            there + torch.ones(2)


def test_renderer_uses_kernels_on_the_cpu_alone(
    tiny_face_model: MorphableModel, counted: list[int]
) -> None:
    here = Renderer(tiny_face_model, SIZE)(FaceParameters.from_vector(theta(2)))
    assert counted  # or the rest would show nothing
    counted.clear()
    with other_device() as device:
        renderer = Renderer(tiny_face_model, SIZE).to(device)
        there = renderer(FaceParameters.from_vector(elsewhere(theta(2))))
        assert there.image.device == device
        image, ids = there.image.cpu(), there.triangle_ids.cpu()
    assert not counted
    assert torch.equal(ids, here.triangle_ids)
    torch.testing.assert_close(image, here.image, atol=1e-5, rtol=1e-5)


def test_the_loss_of_faces_stays_on_its_device(
    tiny_face_model: MorphableModel, counted: list[int]
) -> None:
    """Every term and its gradient, with what is measured of faces from words."""
    objective = FaceObjective(Renderer(tiny_face_model, SIZE), weights=LossWeights())
    faces = rendered_faces(objective.renderer, 2, generator=torch.Generator().manual_seed(1))
    known = torch.ones(2, theta(2).shape[1], dtype=torch.bool)
    parts = (
        *(faces.photo, faces.skin, faces.landmarks68_px, torch.tensor([False, True])),
        *(faces.theta.to_vector(), known),
    )
    weights = ObjectiveWeights(theta=1.0, measured=1.0)
    given = theta(2).requires_grad_()
    here = FaceLoss(objective, weights)(given, TargetBatch(*parts), ("image", "text"))
    here.sum().backward()
    assert given.grad is not None
    counted.clear()
    again = theta(2).requires_grad_()
    with other_device() as device:
        loss = FaceLoss(objective.to(device), weights)
        targets = TargetBatch(*(part.to(device) for part in parts))
        there = loss(again.to(device), targets, ("image", "text"))
        assert there.device == device
        there.sum().backward()
        values = there.detach().cpu()
    assert not counted
    torch.testing.assert_close(values, here.detach(), atol=1e-4, rtol=1e-4)
    assert again.grad is not None
    torch.testing.assert_close(again.grad, given.grad, atol=1e-3, rtol=1e-3)
