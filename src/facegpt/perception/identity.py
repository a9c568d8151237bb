"""Who it is: descriptors of aligned faces, differentiable in the picture.

Chips are cut by the same differentiable sampling for photo and rendering, so a difference of
descriptors is a difference of faces. Distances are L2: dlib's network was trained for it.
"""

import functools
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from facegpt.perception.chips import sample_chips
from facegpt.perception.dlib_format import Convolution, read_face_network
from facegpt.perception.dlib_models import model_file

_CHIP_SIZE = 150
_CHIP_PADDING = 0.25
_CHIP_POINTS = [*range(27, 55), *range(60, 65)]
"""What dlib's own chips are aligned by: nose, eyes, and the upper half of the mouth."""

# The mean face of dlib (`face_landmark` mean shape), points 17 to 67, in units of the chip.
_MEAN_X = (
    0.000213256, 0.0752622, 0.18113, 0.29077, 0.393397, 0.586856, 0.689483, 0.799124, 0.904991,
    0.98004, 0.490127, 0.490127, 0.490127, 0.490127, 0.36688, 0.426036, 0.490127, 0.554217,
    0.613373, 0.121737, 0.187122, 0.265825, 0.334606, 0.260918, 0.182743, 0.645647, 0.714428,
    0.793132, 0.858516, 0.79751, 0.719335, 0.254149, 0.340985, 0.428858, 0.490127, 0.551395,
    0.639268, 0.726104, 0.642159, 0.556721, 0.490127, 0.423532, 0.338094, 0.290379, 0.428096,
    0.490127, 0.552157, 0.689874, 0.553364, 0.490127, 0.42689,
)  # fmt: skip
_MEAN_Y = (
    0.106454, 0.038915, 0.0187482, 0.0344891, 0.0773906, 0.0773906, 0.0344891, 0.0187482, 0.038915,
    0.106454, 0.203352, 0.307009, 0.409805, 0.515625, 0.587326, 0.609345, 0.628106, 0.609345,
    0.587326, 0.216423, 0.178758, 0.179852, 0.231733, 0.245099, 0.244077, 0.231733, 0.179852,
    0.178758, 0.216423, 0.244077, 0.245099, 0.780233, 0.745405, 0.727388, 0.742578, 0.727388,
    0.745405, 0.780233, 0.864805, 0.902192, 0.909281, 0.902192, 0.864805, 0.784792, 0.778746,
    0.785343, 0.778746, 0.784792, 0.824182, 0.831803, 0.824182,
)  # fmt: skip


@runtime_checkable
class IdentityEncoder(Protocol):
    """Describes faces so that the same person is near and others are far."""

    @property
    def licences(self) -> tuple[str, ...]:
        """Names of the assets behind it (see `facegpt.assets`)."""
        ...

    def encode(
        self,
        images: Float[Tensor, "batch 3 height width"],
        landmarks68_px: Float[Tensor, "batch 68 2"],
    ) -> Float[Tensor, "batch feature"]:
        """Descriptors of faces whose 68 points lie there; sRGB in [0, 1]."""
        ...


class DlibIdentity:
    """dlib's 29-layer ResNet in torch: 128 numbers, same person below an L2 distance of 0.6.

    It is frozen; gradients flow through it into the pictures.
    """

    licences = ("dlib-resnet",)

    def __init__(self, path: Path | None = None) -> None:
        """Read the network.

        Args:
            path: The .dat file; by default that of the asset `dlib-resnet`.

        Raises:
            AssetMissingError: The package is not installed.
            NetworkFileError: The file is damaged.
        """
        self._network = _network(path or model_file("dlib-resnet"))

    def encode(
        self,
        images: Float[Tensor, "batch 3 height width"],
        landmarks68_px: Float[Tensor, "batch 68 2"],
    ) -> Float[Tensor, "batch 128"]:
        """Descriptors; gradients flow into `images`, not into the points.

        Raises:
            ValueError: An image has a side of less than two pixels, or points are not finite or lie
                in one place.
        """
        return self.describe_chips(cut_chips(images, landmarks68_px))

    def describe_chips(self, chips: Float[Tensor, "batch 3 150 150"]) -> Float[Tensor, "batch 128"]:
        """Descriptors of chips as dlib cuts them, sRGB in [0, 1]."""
        return self._network.to(chips.device)(chips.float() * 255)


def cut_chips(
    images: Float[Tensor, "batch 3 height width"], landmarks68_px: Float[Tensor, "batch 68 2"]
) -> Float[Tensor, "batch 3 150 150"]:
    """The 150-pixel chips of dlib, sampled differentiably.

    Raises:
        ValueError: As `sample_chips`.
    """
    mean = np.stack([_MEAN_X, _MEAN_Y], axis=1)[[i - 17 for i in _CHIP_POINTS]]
    template_px = (mean + _CHIP_PADDING) / (2 * _CHIP_PADDING + 1) * _CHIP_SIZE
    points_px = landmarks68_px[:, _CHIP_POINTS]
    return sample_chips(images, points_px, torch.from_numpy(template_px), _CHIP_SIZE)


class _Block(nn.Module):
    def __init__(self, first: Convolution, second: Convolution) -> None:
        super().__init__()
        self.first, self.second = _convolution(first), _convolution(second)
        self.halves = first.stride == 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(functional.relu(self.first(x)))
        shortcut = functional.avg_pool2d(x, 2, 2) if self.halves else x
        return functional.relu(_add_padded(y, shortcut))


def _add_padded(a: Tensor, b: Tensor) -> Tensor:
    """dlib adds tensors of unequal size as if the smaller went on with zeros."""
    shape = [max(p, q) for p, q in zip(a.shape[1:], b.shape[1:], strict=True)]

    def grow(x: Tensor) -> Tensor:
        missing = [want - have for want, have in zip(shape, x.shape[1:], strict=True)]
        if not any(missing):
            return x
        return functional.pad(x, (0, missing[2], 0, missing[1], 0, missing[0]))

    return grow(a) + grow(b)


class _ResNet(nn.Module):
    projection: Tensor
    mean: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        network = read_face_network(path)
        first, *rest = network.convolutions
        self.stem = _convolution(first)
        pairs = zip(rest[::2], rest[1::2], strict=True)
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairs))
        self.register_buffer("projection", torch.from_numpy(network.projection.copy()))
        self.register_buffer("mean", torch.tensor(network.mean_rgb).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem((x - self.mean) / 256))
        x = self.blocks(functional.max_pool2d(x, 3, 2))
        return x.mean(dim=(2, 3)) @ self.projection


@functools.cache
def _network(path: Path) -> _ResNet:
    """One network per process and file, however many encoders there are."""
    # A tenth faster on CPUs; the numbers stay the same.
    return _ResNet(path).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _convolution(folded: Convolution) -> nn.Conv2d:
    outputs, inputs, height, _ = folded.weight.shape
    layer = nn.Conv2d(inputs, outputs, height, folded.stride, folded.padding)
    layer.weight.data = torch.from_numpy(folded.weight.copy())
    layer.bias.data = torch.from_numpy(folded.bias.copy())  # pyright: ignore
    return layer
