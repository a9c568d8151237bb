"""dlib's serialised face-recognition network, read without dlib.

Integers are a size byte (bit 7: negative) and that many little-endian bytes; a float is mantissa
and exponent as integers; a tensor is version 2, four sizes and raw little-endian float32. Layers
lie from input to output, each behind its own name. Nothing in the file is executed.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

_LAYER_NAMES = ("input_rgb_image_sized", "con_4", "affine_", "fc_2", "max_pool_2", "avg_pool_2",
                "relu_110", "add_prev_111")  # fmt: skip
_MAX_FILE_BYTES = 64 * 1024 * 1024
_BOOKKEEPING_BYTES = 400


class NetworkFileError(ValueError):
    """The file is not the dlib network that is expected."""


@dataclass(frozen=True)
class Convolution:
    """A convolution with dlib's affine layer folded in."""

    weight: np.ndarray
    bias: np.ndarray
    stride: int
    padding: int


@dataclass(frozen=True)
class FaceNetwork:
    """The 29 convolutions and the last linear layer of `dlib_face_recognition_resnet_model_v1`."""

    mean_rgb: tuple[float, float, float]
    convolutions: tuple[Convolution, ...]
    projection: np.ndarray


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def integer(self) -> int:
        head = self.data[self.at]
        count = head & 0x0F
        if head & 0x70 or count > 8:
            raise NetworkFileError(f"no dlib integer at byte {self.at}")
        value = int.from_bytes(self.data[self.at + 1 : self.at + 1 + count], "little")
        self.at += 1 + count
        return -value if head & 0x80 else value

    def real(self) -> float:
        mantissa, exponent = self.integer(), self.integer()
        return float(mantissa) * 2.0**exponent

    def tensor(self) -> np.ndarray:
        if self.integer() != 2:
            raise NetworkFileError(f"unknown tensor version before byte {self.at}")
        shape = [self.integer() for _ in range(4)]
        count = int(np.prod(shape, dtype=np.int64))
        if min(shape) < 0 or count * 4 > len(self.data) - self.at:
            raise NetworkFileError(f"tensor of shape {shape} at byte {self.at} exceeds the file")
        values = np.frombuffer(self.data, "<f4", count, self.at)
        self.at += 4 * count
        return values.reshape(shape)

    def next_layer(self) -> str | None:
        """Move behind the name of the next layer; None at the end."""
        window = self.data[self.at : self.at + _BOOKKEEPING_BYTES]
        found = []
        for name in _LAYER_NAMES:
            token = bytes([1, len(name)]) + name.encode()
            position = window.find(token)
            if position >= 0:
                found.append((position, name, len(token)))
        if not found:
            return None
        position, name, length = min(found)
        self.at += position + length
        return name


def read_face_network(path: Path) -> FaceNetwork:
    """Read dlib's 29-layer face-recognition network.

    Raises:
        NetworkFileError: The file is too large, damaged, or another network.
    """
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise NetworkFileError(f"{path} is larger than {_MAX_FILE_BYTES >> 20} MB")
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return _parse(_Reader(path.read_bytes()))
    except NetworkFileError as error:
        raise NetworkFileError(f"{path} is damaged or another network: {error}") from error
    except (IndexError, ValueError, OverflowError) as error:
        raise NetworkFileError(f"{path} is not dlib's face-recognition network: {error}") from error


def _parse(reader: _Reader) -> FaceNetwork:
    if reader.integer() != 1:
        raise NetworkFileError("unknown header")
    mean_rgb: tuple[float, float, float] | None = None
    kernels: list[Convolution] = []
    convolutions: list[Convolution] = []
    projection: np.ndarray | None = None
    while (name := reader.next_layer()) is not None:
        if name == "input_rgb_image_sized":
            mean_rgb = (reader.real(), reader.real(), reader.real())
        elif name == "con_4":
            kernels.append(_kernel(reader))
        elif name == "affine_":
            gain, shift = np.split(reader.tensor().ravel(), 2)
            if len(kernels) != len(convolutions) + 1:
                raise NetworkFileError("an affine layer does not follow its convolution")
            kernel = kernels[-1]
            weight, bias = kernel.weight * gain[:, None, None, None], kernel.bias * gain + shift
            convolutions.append(replace(kernel, weight=weight, bias=bias))
        elif name == "fc_2":
            outputs, inputs = reader.integer(), reader.integer()
            projection = reader.tensor().reshape(inputs, outputs)
    if mean_rgb is None or projection is None or len(convolutions) != 29:
        raise NetworkFileError(f"expected 29 convolutions, found {len(convolutions)}")
    if projection.shape[1] != 128:
        raise NetworkFileError(f"expected 128 outputs, found {projection.shape[1]}")
    numbers = [projection, *(a for c in convolutions for a in (c.weight, c.bias))]
    if not all(np.isfinite(array).all() for array in numbers):
        raise NetworkFileError("a weight is not finite")
    return FaceNetwork(mean_rgb, tuple(convolutions), projection)


def _kernel(reader: _Reader) -> Convolution:
    values = reader.tensor().ravel()
    filters, height, width, stride, _, padding, _ = (reader.integer() for _ in range(7))
    if min(filters, height, width, stride) < 1 or padding < 0:
        raise NetworkFileError(f"impossible convolution before byte {reader.at}")
    inputs = (values.size - filters) // (filters * height * width)
    weight = values[:-filters].reshape(filters, inputs, height, width)
    return Convolution(weight, values[-filters:], stride, padding)
