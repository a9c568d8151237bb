"""A FaceGPT of 100,000 random weights that can be told what to say, and photos of a tiny face."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from facegpt.model.modeling_facegpt import FaceGPTForConditionalGeneration
from facegpt.model.processing_facegpt import FaceGPTProcessor
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import BLOCK_SIZES, FaceParameters
from facegpt.perception.images import Photo
from facegpt.perception.landmarks import DetectedFace
from facegpt.pipeline import FaceGPT
from facegpt.pipeline.network import Network
from facegpt.rendering.renderer import Renderer
from facegpt.training.debug import tiny_backbone

CORNER_PX = (90.0, 40.0)
WIDTH, HEIGHT = 400, 300
_SCALES = {"shape": 0.3, "expression": 0.3, "albedo": 0.3, "illumination": 0.03, "camera": 0.03}


class Knows:
    """A detector that was told where the face is: in every photo that is not one grey."""

    licences = ("points-of-a-test",)

    def __init__(self, landmarks68_px: np.ndarray, faces: int = 1) -> None:
        self.landmarks68_px = landmarks68_px
        self.faces = faces
        self.asked = 0

    def detect(self, photo: Photo) -> list[DetectedFace]:
        self.asked += 1
        if photo.rgb.std() < 1:
            return []
        box = np.concatenate([self.landmarks68_px.min(axis=0), self.landmarks68_px.max(axis=0)])
        return [DetectedFace(box, 1.0, self.landmarks68_px)] * self.faces


def face_photo(model: MorphableModel) -> tuple[np.ndarray, np.ndarray]:
    """A turned, smiling face of the model in a corner of a grey photo, and its 68 points there."""
    theta = FaceParameters.zeros(1)
    theta.camera[:, 1] = 0.2
    theta.expression[:, :8] = 1.0
    rendering = Renderer(model)(theta)
    face = (rendering.image[0].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
    rgb = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    left, top = map(int, CORNER_PX)
    area = rgb[top : top + 224, left : left + 224]
    area[rendering.mask[0].numpy()] = face[rendering.mask[0].numpy()]
    return rgb, rendering.landmarks_px[0].numpy() + np.array(CORNER_PX, np.float32)


def nobody() -> np.ndarray:
    """A photo without a face."""
    return np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


def tiny_network(seed: int = 0, **config: Any) -> Network:
    """Its faces are near the mean face, or they could not be rendered."""
    backbone, backbone_processor = tiny_backbone(seed)
    processor = FaceGPTProcessor(backbone_processor)
    scale = [value for name, size in BLOCK_SIZES.items() for value in [_SCALES[name]] * size]
    config = {"theta_scale": scale, "theta_center": [0.0] * len(scale)} | config
    model = FaceGPTForConditionalGeneration.wrap(
        backbone,
        processor.face_token_id,
        torch.Generator().manual_seed(seed),
        head_hidden_sizes=[64],
        **config,
    )
    return Network(model.eval(), processor)


def tiny_facegpt(model: MorphableModel, *, faces: int = 1, **options: Any) -> FaceGPT:
    """A FaceGPT for photos of `face_photo`."""
    _, points = face_photo(model)
    return FaceGPT(tiny_network(), model=model, detector=Knows(points, faces), **options)


@contextmanager
def saying(network: Network, *answers: str) -> Iterator[None]:
    """While this lasts, rows of a batch answer with these texts, token by token."""
    tokenizer = network.processor.tokenizer
    scripts = [[*tokenizer(a).input_ids, tokenizer.eos_token_id] for a in answers]
    step = 0

    def dictate(module: Any, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        nonlocal step
        logits = torch.zeros_like(logits)
        for row, script in enumerate(scripts):
            token = script[step] if step < len(script) else tokenizer.eos_token_id
            logits[row, -1, token] = 100.0
        step += 1
        return logits

    handle = network.model.get_output_embeddings().register_forward_hook(dictate)
    try:
        yield
    finally:
        handle.remove()


def user(text: str, image: object | None = None) -> dict[str, Any]:
    """What the user says."""
    shown: Sequence[dict[str, Any]] = [{"type": "image", "image": image}]
    parts = [*(shown if image is not None else ()), {"type": "text", "text": text}]
    return {"role": "user", "content": parts}
