"""Wavefront OBJ with MTL and PNG: a textured surface in millimetres.

Reading takes positions, texture coordinates, colours behind the position (an extension scanners
use) and polygons, cut into fans. Groups, normals, curves and materials are passed over.
"""

from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facegpt.geometry.export import (
    MeshFileError,
    TexturedMesh,
    check_finite,
    check_triangles,
    read_bounded,
    write_atomically,
)
from facegpt.geometry.mesh import vertex_normals

_MATERIAL = "head"


def write_obj(path: Path, mesh: TexturedMesh, *, comments: tuple[str, ...] = ()) -> None:
    """Write `path` and, for a textured mesh, the MTL and PNG of the same stem beside it."""
    vertices, triangles = mesh.vertices_mm.detach(), mesh.triangles
    lines = [
        "# millimetres, y up, z forward",
        *(f"# {' '.join(text.split())}" for text in comments),
    ]
    textured = mesh.texture is not None and mesh.uv is not None
    if textured:
        lines += [f"mtllib {path.stem}.mtl"]
    lines += _rows("v %.5f %.5f %.5f", vertices)
    lines += _rows("vn %.4f %.4f %.4f", vertex_normals(vertices[None], triangles)[0])
    corners = [triangles + 1, triangles + 1]
    pattern = "%d//%d"
    if mesh.uv is not None and mesh.uv_triangles is not None:
        lines += _rows("vt %.6f %.6f", mesh.uv)
        corners.insert(1, mesh.uv_triangles + 1)
        pattern = "%d/%d/%d"
    if textured:
        lines += [f"usemtl {_MATERIAL}"]
    table = torch.stack(corners, dim=2).flatten(1)
    lines += _rows(f"f {pattern} {pattern} {pattern}", table)
    if textured:
        _write_material(path, mesh.texture)
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _rows(pattern: str, table: Tensor) -> list[str]:
    return [pattern % tuple(row) for row in table.tolist()]


def _write_material(path: Path, texture: np.ndarray | None) -> None:
    picture = BytesIO()
    Image.fromarray(np.asarray(texture)).save(picture, "PNG")
    write_atomically(path.with_suffix(".png"), picture.getvalue())
    lines = [f"newmtl {_MATERIAL}", "Kd 1 1 1", "Ks 0.04 0.04 0.04", "Ns 20", "illum 2"]
    lines += [f"map_Kd {path.stem}.png", ""]
    write_atomically(path.with_suffix(".mtl"), "\n".join(lines).encode())


def read_obj(path: Path) -> TexturedMesh:
    """Read the surface; coordinates are taken as mm, a texture is not looked for.

    Raises:
        FileNotFoundError: There is no such file.
        MeshFileError: A line cannot be read, or a polygon names vertices the file does not have.
    """
    rows: dict[str, list[list[float]]] = {"v": [], "vt": []}
    triangles: list[list[int]] = []
    uv_triangles: list[list[int]] = []
    text = read_bounded(path).decode("utf-8", "replace").replace("\\\n", " ")
    for number, line in enumerate(text.splitlines(), start=1):
        word, *rest = line.split(maxsplit=1) or [""]
        if word not in ("v", "vt", "f"):
            continue
        try:
            if word == "f":
                _polygon(rest[0].split(), rows, triangles, uv_triangles)
            else:
                rows[word].append([float(item) for item in rest[0].split()])
        except (ValueError, IndexError) as error:
            raise MeshFileError(f"{path}, line {number}: cannot read {line[:80]!r}") from error
    return _assemble(path, rows, triangles, uv_triangles)


def _polygon(
    words: list[str],
    rows: dict[str, list[list[float]]],
    triangles: list[list[int]],
    uv_triangles: list[list[int]],
) -> None:
    corners = [word.split("/") for word in words]
    if len(corners) < 3:
        raise ValueError("a polygon has three corners or more")
    _fan([_index(corner[0], len(rows["v"])) for corner in corners], triangles)
    if all(len(corner) > 1 and corner[1] for corner in corners):
        _fan([_index(corner[1], len(rows["vt"])) for corner in corners], uv_triangles)


def _index(word: str, count: int) -> int:
    """OBJ counts from 1, or backwards from the last one read with negative numbers."""
    number = int(word)
    return number - 1 if number > 0 else count + number


def _fan(polygon: list[int], triangles: list[list[int]]) -> None:
    triangles.extend([polygon[0], a, b] for a, b in pairwise(polygon[1:]))


def _assemble(
    path: Path,
    rows: dict[str, list[list[float]]],
    triangles: list[list[int]],
    uv_triangles: list[list[int]],
) -> TexturedMesh:
    if not rows["v"]:
        raise MeshFileError(f"{path} has no vertices")
    table = _table(path, rows["v"], 3, "vertex")
    corners = np.array(triangles, dtype=np.int64).reshape(-1, 3)
    check_triangles(path, corners, len(table), "vertices")
    colours = None
    if min(len(row) for row in rows["v"]) >= 6:
        colours = torch.from_numpy(_table(path, rows["v"], 6, "colour")[:, 3:])
    uv = uv_corners = None
    if uv_triangles and len(uv_triangles) == len(triangles):
        uv_array = _table(path, rows["vt"], 2, "texture coordinate")
        uv_index = np.array(uv_triangles, dtype=np.int64)
        check_triangles(path, uv_index, len(uv_array), "texture coordinates")
        uv, uv_corners = torch.from_numpy(uv_array), torch.from_numpy(uv_index)
    return TexturedMesh(
        vertices_mm=torch.from_numpy(table),
        triangles=torch.from_numpy(corners),
        uv=uv,
        uv_triangles=uv_corners,
        colours=colours,
    )


def _table(path: Path, rows: list[list[float]], columns: int, what: str) -> np.ndarray:
    short = next((i for i, row in enumerate(rows) if len(row) < columns), None)
    if short is not None:
        raise MeshFileError(f"{path}: {what} {short} has fewer than {columns} numbers")
    table = np.array([row[:columns] for row in rows], dtype=np.float32).reshape(-1, columns)
    check_finite(path, table, what)
    return table
