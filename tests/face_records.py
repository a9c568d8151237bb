"""A made-up `FaceReconstruction` for tests that need one."""

import torch

from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters
from facegpt.reconstruction import FaceReconstruction


def made_up_theta(seed: int = 0, *, scale: float = 0.5) -> FaceParameters:
    """A plain random face seen nearly from the front in nearly white light."""
    generator = torch.Generator().manual_seed(seed)
    blocks = {k: scale * torch.randn(1, n, generator=generator) for k, n in BLOCK_SIZES.items()}
    blocks["illumination"] *= 0.1
    blocks["camera"] *= 0.05
    return FaceParameters(**blocks)


def made_up_face(theta: FaceParameters | None = None, seed: int = 0) -> FaceReconstruction:
    """A face in a 300 x 260 image, its crop moved by (20, 10) and half as large again."""
    generator = torch.Generator().manual_seed(seed)
    crop_from_image = torch.tensor(
        [[1.5, 0.0, -30.0], [0.0, 1.5, -15.0], [0.0, 0.0, 1.0]], dtype=torch.float64
    )
    return FaceReconstruction(
        method="fit",
        morphable_model="tiny",
        parameters=theta or made_up_theta(seed),
        arkit={"jawOpen": 0.25, "mouthSmileLeft": 1 / 3},
        semantics={"smile": {"value": 2.5, "unit": "mm", "percentile": 71.25}},
        landmarks68_px=torch.rand(68, 2, generator=generator) * 200,
        box_px=torch.tensor([30.5, 20.0, 200.0, 210.0]),
        image_size=(300, 260),
        crop_from_image=crop_from_image,
        camera={"opencv": {"matrix": [[1.0, 0.0], [0.0, 1.0]], "note": "orthographic"}},
        errors={"photometric": 0.05, "landmark_px": 1.25, "landmark_nme": 0.014},
        licences=[{"name": "tiny-test-model", "licence": "CC0", "commercial_use": True}],
    )
