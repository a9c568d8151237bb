"""Files as DECA, Deep3DFaceRecon, FOCUS, Describe3D and MICA write them, around a tiny face.

Each writer follows the lines of the original that write; they are named in its docstring.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.io import savemat

from facegpt.baselines.external import mica
from facegpt.geometry.camera import rotation_from_angles
from facegpt.morphable.converters import DEEP3D_SIZES, Deep3DFrame, theta_to_deep3d
from facegpt.morphable.model import MorphableModel
from facegpt.morphable.parameters import FaceParameters


@dataclass(frozen=True)
class Mesh:
    """In mm, in the frame of the model."""

    vertices: np.ndarray
    triangles: np.ndarray
    landmarks68: np.ndarray
    """Vertex numbers."""

    @property
    def points(self) -> np.ndarray:
        return self.vertices[self.landmarks68]


def tiny_mesh(model: MorphableModel, size: tuple[int, int] | None = None) -> Mesh:
    """The mean of a model. With a size, of as many vertices and triangles: more points on its
    surface, and triangles without area for them."""
    vertices, triangles = model.mean_mm.double().numpy(), model.triangles.numpy()
    if size is not None:
        generator = np.random.default_rng(0)
        extra = size[0] - len(vertices)
        chosen = triangles[generator.integers(len(triangles), size=extra)]
        weights = generator.dirichlet(np.ones(3), size=extra)
        more = np.einsum("pk,pkx->px", weights, vertices[chosen])
        flat = np.resize(np.arange(len(vertices), size[0]), size[1] - len(triangles))
        vertices = np.concatenate([vertices, more])
        triangles = np.concatenate([triangles, np.repeat(flat[:, None], 3, axis=1)])
    return Mesh(vertices, triangles, model.landmarks68.numpy())


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))


def write_deca(
    folder: Path, name: str, model: MorphableModel, *, unit: float = 1e-3, on_cpu: bool = False
) -> Mesh:
    """`DECA.save_obj`, `util.write_obj` (with texture) and `util.dict_tensor2npy` for savemat."""
    mesh = tiny_mesh(model)
    vertices = (mesh.vertices * unit).astype(np.float32)
    lines = [f"mtllib {name}.mtl", ""]
    lines += [f"v {x} {y} {z}" for x, y, z in vertices]
    lines += ["vt 0.1 0.2", "vt 0.3 0.4", "vt 0.5 0.6", "usemtl FaceTexture"]
    lines += [f"f {a}/1 {b}/2 {c}/3" for a, b, c in mesh.triangles + 1]
    write_lines(folder / name / f"{name}.obj", [*lines, ""])
    write_lines(folder / name / f"{name}_detail.obj", ["v 0 0 0 9 9 9", "f 1 1 1", ""])
    world = (mesh.points * unit).astype(np.float32)
    seen = world[:, :2] / np.float32(unit) * (1, -1) / 112
    drawn = seen * 112 + 112 if on_cpu else seen
    savemat(
        folder / name / f"{name}.mat",
        {
            "verts": vertices,
            "trans_verts": vertices,
            "landmarks2d": drawn.astype(np.float32),
            "landmarks3d": np.ones((68, 4), np.float32),
            "landmarks3d_world": world,
            "rendered_images": np.zeros((3, 8, 8), np.float32),
        },
    )
    return mesh


def write_deep3d(
    folder: Path, name: str, model: MorphableModel, theta: FaceParameters
) -> tuple[Mesh, np.ndarray]:
    """`FaceReconModel.save_mesh` and `save_coeff`, after `ParametricFaceModel.compute_for_render`.

    Returns:
        The mesh as it lies before the camera, in dm, and the landmarks in its picture.
    """
    import trimesh

    frame = Deep3DFrame.of(model)
    given = theta_to_deep3d(theta, frame)
    mesh = tiny_mesh(model)
    blocks = dict(zip(DEEP3D_SIZES, given.split(list(DEEP3D_SIZES.values()), 1), strict=True))
    own = (mesh.vertices - frame.origin_mm.double().numpy()) / 100
    rotation = rotation_from_angles(blocks["angle"].double())[0].numpy()
    world = own @ rotation.T + blocks["trans"].double().numpy()
    depth = 10 - world[:, 2]
    seen = 1015 * world[:, :2] / depth[:, None] + 112
    landmarks = seen[mesh.landmarks68]
    landmarks[:, 1] = 224 - 1 - landmarks[:, 1]
    folder.mkdir(parents=True, exist_ok=True)
    colours = np.full((len(world), 3), 128, np.uint8)
    trimesh.Trimesh(
        vertices=world.astype(np.float32),
        faces=mesh.triangles,
        vertex_colors=colours,
        process=False,
    ).export(str(folder / f"{name}.obj"))
    table = {key: block.numpy().astype(np.float32) for key, block in blocks.items()}
    savemat(folder / f"{name}.mat", {**table, "lm68": landmarks[None].astype(np.float32)})
    return Mesh(world, mesh.triangles, mesh.landmarks68), landmarks


def write_focus(folder: Path, name: str, model: MorphableModel) -> Mesh:
    """`util.write_obj_with_colors` and `write_lm_txt` of Demo.py: whole mm, triangles reversed."""
    mesh = tiny_mesh(model)
    lines = [f"v {x} {y} {z} " for x, y, z in mesh.vertices.astype(np.float32)]
    lines += [f"f {c} {b} {a}" for a, b, c in mesh.triangles + 1]
    write_lines(folder / f"{name}.obj", [*lines, ""])
    seven = mesh.points[[36, 39, 42, 45, 33, 48, 54]].astype(int)
    write_lines(folder / f"{name}.txt", [*(f"{x} {y} {z}" for x, y, z in seven), ""])
    return mesh


def write_mica(folder: Path, name: str, model: MorphableModel) -> Mesh:
    """The end of MICA's demo.py."""
    import trimesh

    mesh = tiny_mesh(model, (mica.VERTICES, mica.TRIANGLES))
    (folder / name).mkdir(parents=True, exist_ok=True)
    surface = trimesh.Trimesh(
        vertices=mesh.vertices.astype(np.float32), faces=mesh.triangles, process=False
    )
    surface.export(str(folder / name / "mesh.ply"))
    np.save(folder / name / "identity", np.zeros(300, np.float32))
    np.save(folder / name / "kpt7", mesh.points[:7].astype(np.float32))
    np.save(folder / name / "kpt68", mesh.points[None].astype(np.float32))
    return mesh


def write_describe3d(folder: Path, name: str, model: MorphableModel, prompt: str = "") -> Mesh:
    """`mesh.export` of trimesh, as its stored result_concrete.obj looks; a tenth too large."""
    mesh = tiny_mesh(model)
    lines = ["# https://github.com/mikedh/trimesh", "mtllib material.mtl", "usemtl material_0"]
    lines += [f"v {x:.8f} {y:.8f} {z:.8f}" for x, y, z in mesh.vertices * 1.1]
    lines += ["vt 0.70330000 0.80830000"] * len(mesh.vertices)
    lines += [f"f {a}/{a} {b}/{b} {c}/{c}" for a, b, c in mesh.triangles + 1]
    file = "result_prompt.obj" if prompt else "result_concrete.obj"
    write_lines(folder / name / prompt / file, lines)
    return mesh


def turned_theta() -> FaceParameters:
    """A face that looks to the side, with numbers in every block."""
    generator = torch.Generator().manual_seed(5)
    return FaceParameters.from_vector(0.1 * torch.randn(1, 257, generator=generator))
