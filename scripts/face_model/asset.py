"""The file of the default model: named arrays in one npz, read by `facegpt.morphable.default`.

Shapes are kept on the control vertices with the stencil that makes the fine mesh; colours per fine
vertex.
"""

import os
import zipfile
from pathlib import Path

import numpy as np

from face_model.expression import ARKIT, Expression
from face_model.makehuman import Array, Indices
from face_model.procedural_albedo import procedural_albedo
from face_model.surface import Surface
from face_model.topology import PARTS, HeadMesh

Blocks = dict[str, np.ndarray]
FORMAT = 1
COLOUR_KEYS = ("mean", "basis", "scale")
"""`<prefix>_mean` uint16 (V, 3) = round(65535 sRGB); offsets per sd = `<prefix>_basis` int8 (80, V,
3) times `<prefix>_scale` float32 (80,). The prefix is `procedural` or `albedo` (from photos)."""


def shape_blocks(
    mesh: HeadMesh,
    mean_mm: Array,
    basis_mm: Array,
    expression: Expression,
    landmarks68: Indices,
    uv: Array,
    uv_triangles: Indices,
) -> Blocks:
    """Everything but colours."""
    return {
        "format": np.array(FORMAT, np.int32),
        "control_mean_mm": mean_mm.astype(np.float32),
        "control_identity_mm": basis_mm.astype(np.float16),
        "control_arkit_mm": expression.arkit.astype(np.float16),
        "control_further_mm": expression.further.astype(np.float16),
        "expression_from_shapes": expression.whitening.astype(np.float32),
        "stencil_values": mesh.stencil.data.astype(np.float32),
        "stencil_columns": mesh.stencil.indices.astype(np.uint16),
        "stencil_starts": mesh.stencil.indptr.astype(np.int32),
        "triangles": mesh.triangles.astype(np.uint16),
        "uv": uv.astype(np.float32),
        "uv_triangles": uv_triangles.astype(np.uint16),
        "part": mesh.part.astype(np.uint8),
        "part_names": np.array(PARTS),
        "mirror": mesh.mirror.astype(np.uint16),
        "landmarks68": landmarks68.astype(np.uint16),
        "arkit_names": np.array(ARKIT),
    }


def surface_of(blocks: Blocks, stencil) -> Surface:
    """The mean head for the painters of colours."""
    return Surface(
        stencil @ blocks["control_mean_mm"].astype(float),
        blocks["triangles"].astype(np.int64),
        blocks["part"].astype(np.int64),
        tuple(str(name) for name in blocks["part_names"]),
        blocks["landmarks68"].astype(np.int64),
        blocks["mirror"].astype(np.int64),
    )


def stencil_of(blocks: Blocks):
    """The sparse matrix of the fine vertices over the control vertices."""
    import scipy.sparse as sp

    shape = (len(blocks["stencil_starts"]) - 1, len(blocks["control_mean_mm"]))
    parts = (
        blocks["stencil_values"],
        blocks["stencil_columns"].astype(np.int32),
        blocks["stencil_starts"],
    )
    return sp.csr_matrix(parts, shape)


def colour_blocks(old: Path, blocks: Blocks) -> Blocks:
    """Procedural colours, and the photo colours of an old file if its topology is the same.

    Until `build_albedo.py` has run, the procedural colours stand in for those from photos.
    """
    painted = procedural_albedo(surface_of(blocks, stencil_of(blocks)))
    colours = quantised("procedural", painted.mean, painted.basis)
    colours |= quantised("albedo", painted.mean, painted.basis)
    if old.exists():
        with np.load(old, allow_pickle=False) as file:
            same = np.array_equal(file["triangles"], blocks["triangles"])
            if same and "albedo_mean" in file:
                colours |= {f"albedo_{key}": file[f"albedo_{key}"] for key in COLOUR_KEYS}
    return colours


def quantised(prefix: str, mean: Array, basis: Array) -> Blocks:
    """A colour block: sRGB mean (vertex, 3) and offsets per sd (80, vertex, 3), rounded to
    integers."""
    scale = np.abs(basis).max((1, 2)) / 127
    scale[scale == 0] = 1
    return {
        f"{prefix}_mean": (np.clip(mean, 0, 1) * 65535).round().astype(np.uint16),
        f"{prefix}_basis": (basis / scale[:, None, None]).round().astype(np.int8),
        f"{prefix}_scale": scale.astype(np.float32),
    }


def write(path: Path, blocks: Blocks) -> int:
    """Write the npz, the same bytes for the same arrays, there in full or not at all; its size in
    bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name in sorted(blocks):
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with file.open(entry, "w") as stream:
                np.lib.format.write_array(stream, blocks[name], allow_pickle=False)
    os.replace(part, path)
    return path.stat().st_size
