"""ArcFace from ONNX files in the true wire format, written here field by field; torch as reference.

The reader and the operations were also compared once with files of the onnx package in ONNX
Runtime: equal within 4e-7.
"""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from synthetic_face import LANDMARKS_PX, painted_face
from torch.nn import functional

from facegpt.assets import ASSETS
from facegpt.perception.arcface import ArcFaceOnnx
from facegpt.perception.identity import IdentityEncoder
from facegpt.perception.onnx_format import OnnxFileError, read_onnx

RANDOM = np.random.default_rng(0)
WEIGHTS = {
    "kernel": RANDOM.normal(size=(6, 3, 3, 3)) * 0.2,
    "kernel_bias": RANDOM.normal(size=6) * 0.2,
    "scale": RANDOM.uniform(0.5, 1.5, 6),
    "shift": RANDOM.normal(size=6),
    "mean": RANDOM.normal(size=6),
    "variance": RANDOM.uniform(0.5, 1.5, 6),
    "slope": RANDOM.uniform(0.1, 0.4, (6, 1, 1)),
    "matrix": RANDOM.normal(size=(16, 6 * 7 * 7)) * 0.1,
}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | bytes | str | float) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: np.ndarray) -> bytes:
    dims = b"".join(field(1, n) for n in values.shape)
    raw = values.astype("<f4").tobytes()
    return dims + field(2, 1) + field(8, name) + field(9, raw)


def attribute(name: str, value: int | float | list[int]) -> bytes:
    if isinstance(value, list):
        return field(1, name) + field(8, b"".join(varint(v) for v in value)) + field(20, 7)
    kind = (3, 2) if isinstance(value, int) else (2, 1)
    return field(1, name) + field(kind[0], value) + field(20, kind[1])


def node(operation: str, inputs: str, output: str, **attributes: int | float | list[int]) -> bytes:
    named = b"".join(field(1, name) for name in inputs.split())
    stated = b"".join(field(5, attribute(k, v)) for k, v in attributes.items())
    return named + field(2, output) + field(4, operation) + stated


def network(
    before: list[bytes] | None = None,
    source: str = "face",
    extra: bytes = b"",
    weights: dict[str, np.ndarray] = WEIGHTS,
) -> bytes:
    nodes = [
        *(before or []),
        node("Conv", "face kernel kernel_bias", "a", strides=[4, 4], pads=[1, 1, 1, 1]),
        node("BatchNormalization", "a scale shift mean variance", "b", epsilon=1e-3),
        node("PRelu", "b slope", "c"),
        node("MaxPool", "c", "d", kernel_shape=[4, 4], strides=[4, 4]),
        node("Flatten", "d", "e", axis=1),
        node("Gemm", "e matrix", "f", transB=1, alpha=0.5),
    ]
    graph = b"".join(field(1, data) for data in nodes) + extra
    graph += b"".join(field(5, tensor(k, v)) for k, v in weights.items())
    graph += field(11, field(1, source)) + field(12, field(1, "f"))
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def expected(chips: torch.Tensor) -> torch.Tensor:
    w = {k: torch.from_numpy(v).float() for k, v in WEIGHTS.items()}
    x = functional.conv2d(chips * 2 - 1, w["kernel"], w["kernel_bias"], 4, 1)
    x = functional.batch_norm(x, w["mean"], w["variance"], w["scale"], w["shift"], eps=1e-3)
    x = functional.max_pool2d(functional.prelu(x, w["slope"].flatten()), 4)
    return functional.normalize(0.5 * x.flatten(1) @ w["matrix"].T)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "arcface.onnx"
    path.write_bytes(network())
    return path


def test_descriptors_are_those_of_the_network(file: Path) -> None:
    chips = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ArcFaceOnnx(file).describe_chips(chips), expected(chips))


def test_gradients_reach_the_picture(file: Path) -> None:
    images = torch.from_numpy(painted_face()).permute(2, 0, 1)[None].float() / 255
    images.requires_grad_()
    points = torch.from_numpy(LANDMARKS_PX)[None].float()
    descriptors = ArcFaceOnnx(file).encode(images, points)
    assert descriptors.norm(dim=1).item() == pytest.approx(1)
    descriptors[:, 0].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0


def test_networks_that_scale_pixels_themselves(tmp_path: Path) -> None:
    path = tmp_path / "arcface.onnx"
    before = [node("Sub", "raw middle", "centred"), node("Mul", "centred inverse", "face")]
    weights = {**WEIGHTS, "middle": np.array([127.5]), "inverse": np.array([1 / 127.5])}
    path.write_bytes(network(before=before, source="raw", weights=weights))
    chips = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    found = ArcFaceOnnx(path).describe_chips(chips)
    torch.testing.assert_close(found, expected(chips), atol=1e-5, rtol=1e-4)


def test_protocol_and_ledger(file: Path) -> None:
    assert isinstance(ArcFaceOnnx(file), IdentityEncoder)
    assert set(ArcFaceOnnx.licences) <= set(ASSETS)


def test_unknown_operations_are_named(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(network(extra=field(1, node("Einsum", "f", "g"))))
    with pytest.raises(OnnxFileError, match="Einsum"):
        ArcFaceOnnx(path)


def test_weights_elsewhere_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "external.onnx"
    outside = field(1, 3) + field(2, 1) + field(8, "far") + field(13, field(1, "location"))
    path.write_bytes(network(extra=field(5, outside)))
    with pytest.raises(OnnxFileError, match="another file"):
        ArcFaceOnnx(path)


def test_missing_file_and_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        ArcFaceOnnx(tmp_path / "missing.onnx")
    monkeypatch.setenv("FACEGPT_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="facegpt assets add arcface"):
        ArcFaceOnnx()
    for data in (b"", b"hello, this is no network", network()[:-300]):
        (tmp_path / "bad.onnx").write_bytes(data)
        with pytest.raises(OnnxFileError):
            read_onnx(tmp_path / "bad.onnx")


@given(places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=9))
def test_damaged_files_are_networks_or_errors(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[float, int]]
) -> None:
    data = bytearray(network())
    for place, value in places:
        data[int(place**3 * len(data))] = value
    path = tmp_path_factory.mktemp("damaged") / "network.onnx"
    path.write_bytes(data)
    try:
        encoder = ArcFaceOnnx(path)
        encoder.describe_chips(torch.zeros(1, 3, 112, 112))
    except OnnxFileError:
        pass
