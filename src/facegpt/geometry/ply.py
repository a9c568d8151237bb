"""PLY files: a surface with a colour per vertex, in millimetres.

Written as binary little-endian. Read in all three encodings, with polygons cut into fans; elements
and properties that are not needed are passed over. This module knows no texture.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from facegpt.geometry.export import (
    MeshFileError,
    TexturedMesh,
    check_finite,
    check_triangles,
    read_bounded,
    write_atomically,
)

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_MAX_HEADER_BYTES = 1 << 16


@dataclass
class _Element:
    name: str
    count: int
    scalars: list[tuple[str, str]] = field(default_factory=list)
    """(name, numpy type); a list has its item type here and its count type in `counts`."""
    counts: dict[str, str] = field(default_factory=dict)


def write_ply(path: Path, mesh: TexturedMesh, *, comments: tuple[str, ...] = ()) -> None:
    """Write vertices, colours (if there are any) and triangles."""
    count, columns = len(mesh.vertices_mm), [("xyz", "<f4", 3)]
    lines = ["ply", "format binary_little_endian 1.0", "comment millimetres, y up, z forward"]
    lines += [f"comment {re.sub(r'[^ -~]', ' ', text)}" for text in comments]
    lines += [f"element vertex {count}", *(f"property float {axis}" for axis in "xyz")]
    if mesh.colours is not None:
        lines += [f"property uchar {colour}" for colour in ("red", "green", "blue")]
        columns.append(("rgb", "u1", 3))
    lines += [f"element face {len(mesh.triangles)}", "property list uchar int vertex_indices"]
    vertices = np.zeros(count, np.dtype(columns))
    vertices["xyz"] = mesh.vertices_mm.detach().numpy()
    if mesh.colours is not None:
        vertices["rgb"] = (mesh.colours.detach().clamp(0, 1) * 255).round().byte().numpy()
    triangles = np.zeros(len(mesh.triangles), np.dtype([("n", "u1"), ("corners", "<i4", 3)]))
    triangles["n"], triangles["corners"] = 3, mesh.triangles.numpy()
    header = "\n".join([*lines, "end_header\n"]).encode("ascii")
    write_atomically(path, header + vertices.tobytes() + triangles.tobytes())


def read_ply(path: Path) -> TexturedMesh:
    """Read vertices, colours (if there are any) and triangles; coordinates are taken as mm.

    Raises:
        FileNotFoundError: There is no such file.
        MeshFileError: It is not PLY, cut short, or names vertices it does not have.
    """
    data = read_bounded(path)
    order, elements, start = _header(path, data)
    if order == "":
        tables = _read_text(path, data[start:], elements)
    else:
        tables = _read_binary(path, data, start, order, elements)
    if not {"x", "y", "z"} <= set(tables.get("vertex", {})):
        raise MeshFileError(f"{path} has no vertices with x, y and z")
    vertex = tables["vertex"]
    xyz = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float32)
    check_finite(path, xyz, "vertex")
    triangles = _fans(tables.get("face", {}))
    check_triangles(path, triangles, len(xyz), "vertices")
    return TexturedMesh(
        vertices_mm=torch.from_numpy(xyz),
        triangles=torch.from_numpy(triangles),
        colours=_colours(vertex),
    )


def _header(path: Path, data: bytes) -> tuple[str, list[_Element], int]:
    end = re.search(rb"(?:^|\n)end_header\r?\n", data[:_MAX_HEADER_BYTES])
    if not data.startswith(b"ply") or end is None:
        raise MeshFileError(f"{path} is not a PLY file: no header from 'ply' to 'end_header'")
    order, elements = None, []
    for line in data[: end.start()].decode("ascii", "replace").splitlines()[1:]:
        words = line.split()
        try:
            if words[:1] == ["format"]:
                order = _ORDERS[words[1]]
            elif words[:1] == ["element"]:
                elements.append(_Element(words[1], int(words[2])))
            elif words[:2] == ["property", "list"]:
                elements[-1].counts[words[4]] = _TYPES[words[2]]
                elements[-1].scalars.append((words[4], _TYPES[words[3]]))
            elif words[:1] == ["property"]:
                elements[-1].scalars.append((words[2], _TYPES[words[1]]))
        except (KeyError, IndexError, ValueError) as error:
            raise MeshFileError(f"{path}: cannot read the header line {line[:80]!r}") from error
    if order is None or any(not 0 <= e.count <= len(data) for e in elements):
        raise MeshFileError(f"{path}: no format line, or an element count larger than the file")
    return order, elements, end.end()


def _read_binary(
    path: Path, data: bytes, at: int, order: str, elements: list[_Element]
) -> dict[str, dict[str, np.ndarray]]:
    tables = {}
    for element in elements:
        try:
            row = _row_type(element, data, at, order)
            table = np.frombuffer(data, row, count=element.count, offset=at)
        except ValueError as error:
            raise MeshFileError(f"{path} ends inside the element {element.name}") from error
        for name in element.counts:
            lengths = table[f"#{name}"]
            if (lengths != row[name].shape[0]).any():
                raise MeshFileError(
                    f"{path}: lists of unequal length in binary PLY are not read; save it with "
                    "triangles only, or as ascii"
                )
        tables[element.name] = {name: table[name] for name, _ in element.scalars}
        at += row.itemsize * element.count
    return tables


def _row_type(element: _Element, data: bytes, at: int, order: str) -> np.dtype:
    """The layout of one row; lists are taken to be as long as in the first row."""
    fields, offset = [], at
    for name, kind in element.scalars:
        shape: tuple[int, ...] = ()
        if name in element.counts:
            count_type = np.dtype(order + element.counts[name])
            length = int(np.frombuffer(data, count_type, 1, offset)[0]) if element.count else 3
            if not 0 <= length <= len(data):
                raise ValueError("list length")
            fields.append((f"#{name}", count_type))
            offset, shape = offset + count_type.itemsize, (length,)
        fields.append((name, np.dtype(order + kind), shape))
        offset += np.dtype(kind).itemsize * int(np.prod(shape))
    return np.dtype(fields)


def _read_text(
    path: Path, data: bytes, elements: list[_Element]
) -> dict[str, dict[str, np.ndarray]]:
    lines = iter(data.decode("ascii", "replace").splitlines())
    tables = {}
    for element in elements:
        columns: dict[str, list] = {name: [] for name, _ in element.scalars}
        for row in range(element.count):
            try:
                _text_row(next(lines).split(), element, columns)
            except (StopIteration, ValueError, IndexError) as error:
                message = f"{path}: cannot read row {row} of the element {element.name}"
                raise MeshFileError(message) from error
        tables[element.name] = {k: _column(v) for k, v in columns.items()}
    return tables


def _text_row(words: list[str], element: _Element, columns: dict[str, list]) -> None:
    at = 0
    for name, kind in element.scalars:
        number = float if kind.startswith("f") else int
        if name in element.counts:
            length = int(words[at])
            items = words[at + 1 : at + 1 + length]
            if len(items) != length:
                raise ValueError("list is cut short")
            columns[name].append([number(word) for word in items])
            at += 1 + length
        else:
            columns[name].append(number(words[at]))
            at += 1


def _column(values: list) -> np.ndarray:
    if values and isinstance(values[0], list):
        rows = np.empty(len(values), dtype=object)
        rows[:] = values
        return rows
    return np.asarray(values)


def _fans(table: dict[str, np.ndarray]) -> np.ndarray:
    """Polygons as triangles around their first corner."""
    corners = next((table[k] for k in ("vertex_indices", "vertex_index") if k in table), None)
    if corners is None or len(corners) == 0:
        return np.zeros((0, 3), dtype=np.int64)
    if corners.dtype == object:
        fans = [(p[0], p[i], p[i + 1]) for p in corners for i in range(1, len(p) - 1)]
        return np.array(fans, dtype=np.int64).reshape(-1, 3)
    columns = range(1, corners.shape[1] - 1)
    fans = [corners[:, [0, i, i + 1]] for i in columns]
    stacked = np.stack(fans, axis=1) if fans else np.zeros((0, 3))
    return stacked.reshape(-1, 3).astype(np.int64)


def _colours(vertex: dict[str, np.ndarray]) -> torch.Tensor | None:
    if not {"red", "green", "blue"} <= set(vertex):
        return None
    rgb = np.stack([vertex[name] for name in ("red", "green", "blue")], axis=1)
    scale = 255.0 if rgb.dtype.kind in "iu" else 1.0
    return torch.from_numpy((rgb / scale).astype(np.float32))
