"""Smooth corrections on the control mesh: spread offsets of a few vertices over their
neighbourhood.

Knows the graph of the control vertices, nothing about faces.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl

from face_model.makehuman import Array, Indices, MakeHuman


@dataclass(frozen=True)
class ControlGraph:
    """Neighbourhoods of the control vertices.

    Attributes:
        adjacency: (control, control) 0/1 over the edges of the quads.
        mirror: (control,) mirror map.
        row: MakeHuman vertex number -> control number, -1 where there is none.
    """

    adjacency: sp.csr_matrix
    mirror: Indices
    row: Indices

    def rings(self, start: Indices, most: int) -> Indices:
        """(control,) number of edges to the nearest of `start`, at most `most`."""
        level = np.full(self.adjacency.shape[0], most)
        level[start] = 0
        front = np.asarray(start)
        for ring in range(1, most):
            near = np.unique(self.adjacency[front].indices)
            front = near[level[near] > ring]
            level[front] = ring
            if len(front) == 0:
                break
        return level

    def spread(self, handles: Indices, offsets: Array, reach: int, still: Indices) -> Array:
        """Offsets of all controls: given at the handles, zero `reach` rings away and at `still`,
        smooth between.

        Minimises the square of the Laplacian, so that no crease appears at either end.
        """
        level = self.rings(handles, reach + 1)
        level[still] = reach + 1
        level[handles] = 0
        free = np.flatnonzero((level > 0) & (level <= reach))
        degree = np.maximum(np.asarray(self.adjacency.sum(1)).ravel(), 1)
        laplacian = sp.identity(len(degree)) - sp.diags(1 / degree) @ self.adjacency
        energy = (laplacian.T @ laplacian).tocsr()
        result = np.zeros((len(degree), 3))
        result[handles] = offsets
        known = -(energy[free][:, handles] @ offsets)
        result[free] = spl.spsolve(energy[free][:, free].tocsc(), known)
        return result

    def smoothed(self, offsets: Array, weight: Array, rounds: int) -> Array:
        """Offsets averaged with their neighbours, `rounds` times, where `weight` (control,) is not
        0."""
        degree = np.maximum(np.asarray(self.adjacency.sum(1)).ravel(), 1)
        average = sp.diags(1 / degree) @ self.adjacency
        share = weight[:, None]
        for _ in range(rounds):
            offsets = (1 - 0.6 * share) * offsets + 0.6 * share * (average @ offsets)
        return offsets


def control_graph(data: MakeHuman, controls: Indices) -> ControlGraph:
    """The graph over the quads whose corners are all controls."""
    row = np.full(len(data.vertices_mm), -1)
    row[controls] = np.arange(len(controls))
    quads = row[data.quads[np.isin(data.quads, controls).all(1)]]
    pairs = np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2)
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    shape = (len(controls), len(controls))
    adjacency = sp.csr_matrix((np.ones(len(pairs)), pairs.T), shape)
    adjacency.data[:] = 1
    return ControlGraph(adjacency, row[data.mirror[controls]], row)
