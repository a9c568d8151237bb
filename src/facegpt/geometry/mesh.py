"""Triangle meshes: normals. Knows nothing about faces or files."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def vertex_normals(
    vertices: Float[Tensor, "batch vertex 3"], triangles: Int[Tensor, "triangle 3"]
) -> Float[Tensor, "batch vertex 3"]:
    """Unit normals, the area-weighted mean of the triangles around each vertex."""
    a, b, c = (vertices[:, triangles[:, k]] for k in range(3))
    area = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total = total.index_add(1, triangles[:, k], area)
    return total / (total.square().sum(dim=-1, keepdim=True) + 1e-20).sqrt()
