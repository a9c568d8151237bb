"""ONNX files read without the onnx package: nodes, attributes and weights of a graph.

Only what feed-forward networks need is read (protobuf wire format; fields by their number in
`onnx.proto3`). Nothing in the file is executed; weights kept in other files are refused.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAX_FILE_BYTES = 1 << 30
_TYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}

Attribute = float | int | str | np.ndarray | list[int] | list[float]
_Fields = dict[int, list]


class OnnxFileError(ValueError):
    """The file is no ONNX network that can be read."""


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One operation; tensors are named."""

    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """Nodes in the order in which they run."""

    nodes: tuple[OnnxNode, ...]
    weights: dict[str, np.ndarray]
    input_name: str
    output_name: str


def read_onnx(path: Path) -> OnnxGraph:
    """Read a network with one input that is no weight; of several outputs the first.

    Raises:
        FileNotFoundError: There is no such file.
        OnnxFileError: It is too large, damaged, no ONNX file, or keeps weights elsewhere.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise OnnxFileError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MB")
    try:
        return _graph(_fields(path.read_bytes()))
    except OnnxFileError as error:
        raise OnnxFileError(f"{path} cannot be used: {error}") from error
    except (IndexError, ValueError, TypeError, OverflowError, struct.error) as error:
        raise OnnxFileError(f"{path} is damaged or no ONNX file: {error}") from error


def _graph(model: _Fields) -> OnnxGraph:
    if not model[7]:
        raise OnnxFileError("it holds no graph")
    graph = _fields(_message(model[7][0]))
    weights = dict(_tensor(_fields(_message(message))) for message in graph[5])
    nodes = tuple(_node(_fields(_message(message))) for message in graph[1])
    inputs = [_text(_fields(_message(message)), 1) for message in graph[11]]
    inputs = [name for name in inputs if name not in weights]
    outputs = [_text(_fields(_message(message)), 1) for message in graph[12]]
    if len(inputs) != 1 or not outputs or not nodes:
        raise OnnxFileError(f"expected one input and an output, found {inputs} and {outputs}")
    return OnnxGraph(nodes, weights, inputs[0], outputs[0])


def _node(node: _Fields) -> OnnxNode:
    names = [tuple(_message(value).decode() for value in node[k]) for k in (1, 2)]
    attributes = dict(_attribute(_fields(_message(message))) for message in node[5])
    return OnnxNode(_text(node, 4), names[0], names[1], attributes)


def _attribute(attribute: _Fields) -> tuple[str, Attribute]:
    name = _text(attribute, 1)
    if attribute[5]:
        return name, _tensor(_fields(_message(attribute[5][0])))[1]
    if attribute[8]:
        return name, [_signed(v) for v in _integers(attribute[8])]
    if attribute[7]:
        data = b"".join(_message(v) for v in attribute[7])
        return name, np.frombuffer(data, "<f4").tolist()
    if attribute[2]:
        return name, float(np.frombuffer(_message(attribute[2][0]), "<f4")[0])
    if attribute[4]:
        return name, _text(attribute, 4)
    return name, _signed(attribute[3][0]) if attribute[3] else 0


def _tensor(tensor: _Fields) -> tuple[str, np.ndarray]:
    shape = [_signed(v) for v in _integers(tensor[1])]
    name, code = _text(tensor, 8), tensor[2][0] if tensor[2] else 1
    if tensor[13] or code not in _TYPES:
        where = "lies in another file" if tensor[13] else f"has the unknown type {code}"
        raise OnnxFileError(f"the weight {name!r} {where}")
    if tensor[9]:
        values = np.frombuffer(_message(tensor[9][0]), _TYPES[code])
    elif tensor[4]:
        values = np.frombuffer(b"".join(_message(v) for v in tensor[4]), "<f4")
    else:
        numbers = _integers(tensor[7] or tensor[5])
        values = np.array([_signed(v) for v in numbers], _TYPES[code])
    if min(shape, default=0) < 0 or np.prod(shape, dtype=np.int64) != values.size:
        raise OnnxFileError(f"the weight {name!r} has {values.size} values for shape {shape}")
    return name, values.reshape(shape)


def _fields(data: bytes) -> _Fields:
    """Field number -> its values: integers, or bytes (of 4, 8 or any length)."""
    fields: _Fields = defaultdict(list)
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind in (1, 2, 5):
            length, at = (8 if kind == 1 else 4, at) if kind != 2 else _varint(data, at)
            if at + length > len(data):
                raise OnnxFileError(f"a field of {length} bytes reaches beyond its end")
            value, at = data[at : at + length], at + length
        else:
            raise OnnxFileError(f"no protobuf field at byte {at}")
        fields[key >> 3].append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise OnnxFileError(f"an integer without end at byte {at}")


def _integers(values: list) -> Iterator[int]:
    """Repeated integers, packed or not."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield number


def _signed(value: object) -> int:
    if not isinstance(value, int):
        raise OnnxFileError("bytes where an integer belongs")
    return value - (1 << 64) if value >= 1 << 63 else value


def _message(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise OnnxFileError("an integer where bytes belong")
    return value


def _text(fields: _Fields, number: int) -> str:
    return _message(fields[number][0]).decode() if fields[number] else ""
