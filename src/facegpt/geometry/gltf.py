"""Binary glTF 2.0 (GLB): a textured surface with named morph targets, in metres.

glTF wants metres, y up, faces looking along +z, v downwards: everything is turned into that here.
The layout follows the glTF 2.0 specification (sections 3.6, 3.7 and 4.4). Morph targets are sparse:
a blendshape moves a small part of a head. This module knows no blendshape by name.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from facegpt.geometry.export import MeshFileError, TexturedMesh, read_bounded, write_atomically

_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_METRES_PER_MM = 1e-3
_STILL_MM = 5e-3
"""A morph target does not list vertices that it moves less: nobody sees 5 micrometres."""
_STILL_NORMAL = 0.02
_JPEG_QUALITY = 92


@dataclass
class _Buffer:
    """The binary chunk while it grows, and the JSON that describes it."""

    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def view(self, content: bytes, target: int | None = None) -> int:
        """Append bytes at a multiple of four; returns the number of the new buffer view."""
        self.data.extend(b"\0" * (-len(self.data) % 4))
        entry = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)}
        if target is not None:
            entry["target"] = target
        self.data.extend(content)
        self.views.append(entry)
        return len(self.views) - 1

    def dense(self, values: np.ndarray, *, bounds: bool = False) -> int:
        """An accessor of float vectors with every row in the buffer."""
        values = np.ascontiguousarray(values, dtype="<f4")
        entry = _accessor(values, {"bufferView": self.view(values.tobytes(), _ARRAY_BUFFER)})
        return self._add(entry | (_bounds(values) if bounds else {}))

    def sparse(self, values: np.ndarray, moved: np.ndarray, *, bounds: bool = False) -> int:
        """An accessor of float vectors that lists only the rows that are not zero."""
        # An empty list is not allowed: row 0 with its zero stands for "nothing moves".
        rows = np.flatnonzero(moved) if moved.any() else np.array([0])
        listed = np.zeros_like(values, dtype="<f4")
        listed[rows] = np.where(moved[rows, None], values[rows], 0.0)
        kind, component = _index_type(len(values))
        sparse = {
            "count": len(rows),
            "indices": {
                "bufferView": self.view(rows.astype(kind).tobytes()),
                "componentType": component,
            },
            "values": {"bufferView": self.view(listed[rows].tobytes())},
        }
        return self._add(
            _accessor(listed, {"sparse": sparse}) | (_bounds(listed) if bounds else {})
        )

    def indices(self, triangles: np.ndarray, count: int) -> int:
        """An accessor of vertex numbers."""
        kind, component = _index_type(count)
        view = self.view(triangles.astype(kind).tobytes(), _ELEMENT_ARRAY_BUFFER)
        scalar = {"componentType": component, "count": triangles.size, "type": "SCALAR"}
        return self._add({"bufferView": view} | scalar)

    def _add(self, entry: dict[str, Any]) -> int:
        self.accessors.append(entry)
        return len(self.accessors) - 1


@dataclass(frozen=True)
class _Corners:
    """Every pair of vertex and texture coordinate once: glTF has one index for both."""

    vertices: np.ndarray
    texels: np.ndarray
    triangles: np.ndarray


def write_glb(
    path: Path,
    mesh: TexturedMesh,
    *,
    name: str = "head",
    copyright_notice: str = "",
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Write a GLB with normals, the texture as JPEG, and every morph with its name and weight.

    Args:
        copyright_notice: For `asset.copyright`, where viewers show it.
        extras: JSON values for `asset.extras`, such as the licence ledger.
    """
    buffer, corners = _Buffer(), _corners(mesh)
    primitive = {
        "attributes": _attributes(buffer, mesh, corners),
        "indices": buffer.indices(corners.triangles, len(corners.vertices)),
        "material": 0,
        "mode": 4,
    }
    entry: dict[str, Any] = {"name": name, "primitives": [primitive]}
    if mesh.morphs_mm:
        primitive["targets"] = _targets(buffer, mesh, corners)
        entry["weights"] = [float(mesh.morph_weights.get(key, 0.0)) for key in mesh.morphs_mm]
        entry["extras"] = {"targetNames": list(mesh.morphs_mm)}
    document = {
        "asset": _asset(copyright_notice, extras),
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [entry],
        **_material(buffer, mesh, name),
    }
    document["accessors"], document["bufferViews"] = buffer.accessors, buffer.views
    document["buffers"] = [{"byteLength": len(buffer.data)}]
    write_atomically(path, _pack(document, bytes(buffer.data)))


def _asset(copyright_notice: str, extras: Mapping[str, Any] | None) -> dict[str, Any]:
    asset: dict[str, Any] = {"version": "2.0", "generator": "facegpt"}
    if copyright_notice:
        asset["copyright"] = copyright_notice
    if extras:
        asset["extras"] = dict(extras)
    return asset


def corner_arrays(mesh: TexturedMesh, *values: np.ndarray) -> list[np.ndarray]:
    """What `write_glb` would write as POSITION (metres) and NORMAL, and values of the vertices
    (vertex, 3) in the same order: for programs that move the vertices of a GLB they have."""
    vertices = _corners(mesh).vertices
    position = mesh.vertices_mm.detach().numpy() * _METRES_PER_MM
    normal = _Normals(mesh)(mesh.vertices_mm)
    return [array[vertices].astype(np.float32) for array in (position, normal, *values)]


def read_glb_chunks(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON document and the binary chunk of a GLB.

    Raises:
        FileNotFoundError: There is no such file.
        MeshFileError: It is not a GLB of version 2, or cut short.
    """
    data = read_bounded(path)
    try:
        magic, version, length = struct.unpack_from("<4sII", data)
        size, kind = struct.unpack_from("<II", data, 12)
        document = json.loads(data[20 : 20 + size])
        second, second_kind = struct.unpack_from("<II", data, 20 + size)
    except (struct.error, ValueError, RecursionError) as error:
        raise MeshFileError(f"{path} is not a GLB, or cut short ({error})") from error
    binary = data[28 + size : 28 + size + second]
    if (magic, version, length) != (b"glTF", 2, len(data)) or len(binary) != second:
        raise MeshFileError(f"{path} is not a complete GLB of version 2")
    if (kind, second_kind) != (_JSON_CHUNK, _BINARY_CHUNK) or not isinstance(document, dict):
        raise MeshFileError(f"{path}: expected a JSON object and a binary chunk")
    return document, binary


def _corners(mesh: TexturedMesh) -> _Corners:
    triangles = mesh.triangles.numpy().astype(np.int64)
    if mesh.uv_triangles is None:
        every = np.arange(len(mesh.vertices_mm))
        return _Corners(every, every, triangles)
    texels = mesh.uv_triangles.numpy().astype(np.int64)
    span = int(texels.max(initial=0)) + 1
    pairs, inverse = np.unique(triangles * span + texels, return_inverse=True)
    return _Corners(pairs // span, pairs % span, inverse.reshape(triangles.shape))


def _attributes(buffer: _Buffer, mesh: TexturedMesh, corners: _Corners) -> dict[str, int]:
    position = mesh.vertices_mm.detach().numpy()[corners.vertices] * _METRES_PER_MM
    attributes = {
        "POSITION": buffer.dense(position, bounds=True),
        "NORMAL": buffer.dense(_Normals(mesh)(mesh.vertices_mm)[corners.vertices]),
    }
    if mesh.uv is not None:
        uv = mesh.uv.numpy()[corners.texels]
        attributes["TEXCOORD_0"] = buffer.dense(np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1))
    if mesh.colours is not None and mesh.texture is None:
        # Vertex colours are linear in glTF, unlike textures.
        colours = mesh.colours.detach().clamp(0, 1).numpy()[corners.vertices]
        attributes["COLOR_0"] = buffer.dense(_linear_from_srgb(colours))
    return attributes


def _targets(buffer: _Buffer, mesh: TexturedMesh, corners: _Corners) -> list[dict[str, int]]:
    normals = _Normals(mesh)
    base = normals(mesh.vertices_mm)
    targets = []
    for offset in mesh.morphs_mm.values():
        moves = offset.detach().numpy()[corners.vertices]
        turns = (normals(mesh.vertices_mm + offset) - base)[corners.vertices]
        moved = np.linalg.norm(moves, axis=1) > _STILL_MM
        turned = np.linalg.norm(turns, axis=1) > _STILL_NORMAL
        targets.append(
            {
                "POSITION": buffer.sparse(moves * _METRES_PER_MM, moved, bounds=True),
                "NORMAL": buffer.sparse(turns, turned),
            }
        )
    return targets


class _Normals:
    """Vertex normals of one mesh in many poses, as glTF allows them: always of length one."""

    def __init__(self, mesh: TexturedMesh) -> None:
        self._triangles = mesh.triangles.numpy()
        count, triangle_count = len(mesh.vertices_mm), len(self._triangles)
        triangle = np.repeat(np.arange(triangle_count), 3)
        ones = np.ones(3 * triangle_count)
        self._around = scipy.sparse.csr_array(
            (ones, (self._triangles.ravel(), triangle)), shape=(count, triangle_count)
        )

    def __call__(self, vertices_mm: Float[Tensor, "vertex 3"]) -> np.ndarray:
        a, b, c = vertices_mm.detach().double().numpy()[self._triangles].transpose(1, 0, 2)
        total = self._around @ np.cross(b - a, c - a)
        length = np.linalg.norm(total, axis=1, keepdims=True)
        # Where no triangle gives a direction any will do.
        return np.where(length > 1e-9, total / np.maximum(length, 1e-9), (0.0, 0.0, 1.0))


def _material(buffer: _Buffer, mesh: TexturedMesh, name: str) -> dict[str, Any]:
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.6}
    document: dict[str, Any] = {}
    if mesh.texture is not None and mesh.uv is not None:
        picture = BytesIO()
        Image.fromarray(mesh.texture).save(picture, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        image = {"bufferView": buffer.view(picture.getvalue()), "mimeType": "image/jpeg"}
        document["images"] = [image | {"name": f"{name} texture"}]
        document["samplers"] = [{"magFilter": 9729, "minFilter": 9987}]
        document["textures"] = [{"source": 0, "sampler": 0}]
        surface["baseColorTexture"] = {"index": 0}
    # One side, as photos are fitted: the back of the mouth bag must not show through a thin lip.
    material = {"name": name, "pbrMetallicRoughness": surface, "doubleSided": False}
    return {"materials": [material]} | document


def _pack(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    header = struct.pack("<4sII", b"glTF", 2, total)
    chunks = struct.pack("<II", len(text), _JSON_CHUNK) + text
    return header + chunks + struct.pack("<II", len(binary), _BINARY_CHUNK) + binary


def _accessor(values: np.ndarray, source: dict[str, Any]) -> dict[str, Any]:
    kind = f"VEC{values.shape[1]}"
    return source | {"componentType": _FLOAT, "count": len(values), "type": kind}


def _bounds(values: np.ndarray) -> dict[str, list[float]]:
    return {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}


def _index_type(count: int) -> tuple[str, int]:
    # 65535 itself would restart the primitive.
    return ("<u2", _UINT16) if count <= 65535 else ("<u4", _UINT32)


def _linear_from_srgb(colours: np.ndarray) -> np.ndarray:
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
