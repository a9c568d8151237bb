"""An ArcFace network that the user brings as an ONNX file, run by torch and so differentiable.

ONNX Runtime computes no gradients, which the perceptual loss needs; the few operations of such
networks are therefore mapped to torch. The weights of most public ArcFace networks are for research
only: we ship none and cannot know the licence of the file.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from facegpt.assets import find_asset
from facegpt.morphable.framing import five_points
from facegpt.perception.chips import sample_chips
from facegpt.perception.onnx_format import OnnxFileError, OnnxGraph, OnnxNode, read_onnx

_CHIP_SIZE = 112
_TEMPLATE_PX = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""The five points of insightface in a chip of 112 pixels."""
_FIRST_NODES = 8


class ArcFaceOnnx:
    """Descriptors of unit length by an ArcFace network in an ONNX file.

    It takes RGB of (batch, 3, 112, 112). Networks that scale pixels themselves (they begin with Sub
    and Mul, as insightface tells them apart) get 0 to 255, the others -1 to 1.
    """

    licences = ("arcface",)

    def __init__(self, path: Path | str | None = None) -> None:
        """Read the network.

        Args:
            path: The .onnx file; by default what `facegpt assets add arcface FILE` has stored.

        Raises:
            FileNotFoundError: There is no such file (`AssetMissingError` without a path).
            OnnxFileError: It cannot be read, or has operations that are not known here.
        """
        graph = read_onnx(Path(path) if path else find_asset("arcface"))
        self._network = _Network(graph)
        first = {node.operation for node in graph.nodes[:_FIRST_NODES]}
        self._scales_itself = {"Sub", "Mul"} <= first

    def encode(
        self,
        images: Float[Tensor, "batch 3 height width"],
        landmarks68_px: Float[Tensor, "batch 68 2"],
    ) -> Float[Tensor, "batch feature"]:
        """Descriptors; gradients flow into `images`, not into the points.

        Raises:
            ValueError: As `sample_chips`.
            OnnxFileError: The network does not fit chips of 112 pixels.
        """
        # Sampled at twice the size: crops have nearly twice the resolution of the chips.
        template_px = (torch.tensor(_TEMPLATE_PX) + 0.5) * 2 - 0.5
        chips = sample_chips(images, five_points(landmarks68_px), template_px, 2 * _CHIP_SIZE)
        return self.describe_chips(functional.avg_pool2d(chips, 2))

    def describe_chips(
        self, chips: Float[Tensor, "batch 3 112 112"]
    ) -> Float[Tensor, "batch feature"]:
        """Descriptors of chips, sRGB in [0, 1]."""
        pixels = chips * 255 if self._scales_itself else chips * 2 - 1
        return functional.normalize(self._network.to(chips.device)(pixels.float()).flatten(1))


class _Network(nn.Module):
    def __init__(self, graph: OnnxGraph) -> None:
        super().__init__()
        unknown = {node.operation for node in graph.nodes} - set(_OPERATIONS) - {"Constant"}
        if unknown:
            raise OnnxFileError(
                f"the network needs {sorted(unknown)}, which are not known here; known are "
                f"{sorted(_OPERATIONS)}"
            )
        self.graph = graph
        constants = {
            node.outputs[0]: node.attributes["value"]
            for node in graph.nodes
            if node.operation == "Constant" and "value" in node.attributes
        }
        self._names: dict[str, str] = {}
        for i, (name, values) in enumerate((graph.weights | constants).items()):
            tensor = torch.tensor(values)
            self._names[name] = f"weight_{i}"
            self.register_buffer(
                self._names[name], tensor.float() if tensor.is_floating_point() else tensor
            )

    def forward(self, pixels: Tensor) -> Tensor:
        known = {name: getattr(self, buffer) for name, buffer in self._names.items()}
        known[self.graph.input_name] = pixels
        for node in self.graph.nodes:
            if node.operation == "Constant":
                continue
            try:
                inputs = [known[name] for name in node.inputs if name]
                known[node.outputs[0]] = _OPERATIONS[node.operation](node, *inputs)
            except (KeyError, RuntimeError, TypeError, IndexError, ValueError) as error:
                raise OnnxFileError(
                    f"{node.operation} {node.outputs[0]!r} does not work on faces of shape "
                    f"{tuple(pixels.shape)}: {error}"
                ) from error
        return known[self.graph.output_name]


def _list(node: OnnxNode, name: str, default: list[int]) -> list[int]:
    value = node.attributes.get(name, default)
    return [int(v) for v in value] if isinstance(value, list) else default


def _number(node: OnnxNode, name: str, default: float | int) -> float:
    value = node.attributes.get(name, default)
    return float(value) if isinstance(value, (int, float)) else default


def _padded(node: OnnxNode, x: Tensor, value: float = 0.0) -> Tensor:
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise OnnxFileError(f"{node.operation} with automatic padding is not known here")
    top, left, bottom, right = _list(node, "pads", [0, 0, 0, 0])
    return functional.pad(x, (left, right, top, bottom), value=value)


def _convolution(node: OnnxNode, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    strides, dilations = _list(node, "strides", [1, 1]), _list(node, "dilations", [1, 1])
    groups = int(_number(node, "group", 1))
    return functional.conv2d(_padded(node, x), weight, bias, strides, 0, dilations, groups)


def _batch_norm(
    node: OnnxNode, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    epsilon = _number(node, "epsilon", 1e-5)
    return functional.batch_norm(x, mean, variance, scale, bias, eps=epsilon)


def _gemm(node: OnnxNode, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.T if _number(node, "transA", 0) else a
    b = b.T if _number(node, "transB", 0) else b
    product = _number(node, "alpha", 1.0) * (a @ b)
    return product if c is None else product + _number(node, "beta", 1.0) * c


def _max_pool(node: OnnxNode, x: Tensor) -> Tensor:
    kernel = _list(node, "kernel_shape", [1, 1])
    return functional.max_pool2d(
        _padded(node, x, -torch.inf), kernel, _list(node, "strides", [1, 1])
    )


def _average_pool(node: OnnxNode, x: Tensor) -> Tensor:
    kernel = _list(node, "kernel_shape", [1, 1])
    if any(_list(node, "pads", [0])):
        raise OnnxFileError("AveragePool with padding is not known here")
    return functional.avg_pool2d(x, kernel, _list(node, "strides", [1, 1]))


def _reshape(node: OnnxNode, x: Tensor, shape: Tensor) -> Tensor:
    wanted = [x.shape[i] if n == 0 else int(n) for i, n in enumerate(shape.tolist())]
    # Files exported for one face say 1 where every batch size is meant.
    return x.reshape([len(x), *wanted[1:]] if wanted and wanted[0] == 1 else wanted)


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda _, a, b: a + b,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Conv": _convolution,
    "Div": lambda _, a, b: a / b,
    "Dropout": lambda _, x, *rest: x,
    "Flatten": lambda node, x: x.flatten(int(_number(node, "axis", 1))),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: x.mean(dim=(2, 3), keepdim=True),
    "Identity": lambda _, x: x,
    "LeakyRelu": lambda node, x: functional.leaky_relu(x, _number(node, "alpha", 0.01)),
    "MatMul": lambda _, a, b: a @ b,
    "MaxPool": _max_pool,
    "Mul": lambda _, a, b: a * b,
    "PRelu": lambda _, x, slope: torch.where(x > 0, x, x * slope),
    "Relu": lambda _, x: functional.relu(x),
    "Reshape": _reshape,
    "Sigmoid": lambda _, x: x.sigmoid(),
    "Sub": lambda _, a, b: a - b,
    "Transpose": lambda node, x: x.permute(_list(node, "perm", [*range(x.ndim)][::-1])),
}
