"""Where a closed surface passes through itself, and which parts of it lie inside.

Cut along its crossings, a surface falls into patches; the winding number is one over each, so one
point tells of all the faces of its patch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

_ROUNDING = 1e-9
"""Of a triangle's size. A way that only just misses it is stopped too, so that no patch leaks."""


def winding_numbers(vertices: Tensor, faces: Tensor, at: Tensor) -> Tensor:
    """Winding numbers `(N)` of a surface at the centres of its faces `at` `(N)`, in float64.

    A half where a closed surface is in the clear, one more for each part of it that the centre lies
    in. Solid angles of van Oosterom and Strackee 1983; a face has none from its own centre.
    """
    vertices, corners = vertices.double().mT.contiguous(), faces.mT.contiguous()
    centres = vertices[:, faces[at]].mean(-1)
    found = [_solid_angles(vertices - centres[:, i, None], corners) for i in range(len(at))]
    for angles, face in zip(found, at.tolist(), strict=True):
        angles[face] = 0.0
    return torch.stack([x.sum() for x in found] or [vertices.new_zeros(())])[: len(at)] / (
        4 * math.pi
    )


def _solid_angles(vertices: Tensor, corners: Tensor) -> Tensor:
    """Of triangles `(F)` from the origin; vertices `(3, V)`, corners `(3, F)` int64."""
    # A number at a time: `norm` and indices of rows are several times slower.
    numbers = (*vertices, (vertices * vertices).sum(0).sqrt())
    (ax, ay, az, a), (bx, by, bz, b), (cx, cy, cz, c) = (
        [x.index_select(0, i) for x in numbers] for i in corners
    )
    above = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    below = a * b * c + (ax * bx + ay * by + az * bz) * c
    below += (bx * cx + by * cy + bz * cz) * a + (cx * ax + cy * ay + cz * az) * b
    return 2 * torch.atan2(above, below)


@dataclass(frozen=True, eq=False)
class Surface:
    """How the faces of a mesh hang together.

    A way, number 3 face + edge, goes from a face's centre to the middle of one of its edges, of which
    edge i lies between the corners i and i + 1.
    """

    faces: Tensor
    """`(F, 3)` int64."""

    def stopped_ways(self, corners: Tensor, pairs: Tensor) -> Tensor:
        """Which ways `(3 F)` bool another face stops; corners `(F, 3, 3)`, faces that meet `(P, 2)`."""
        own, other = torch.cat((pairs, pairs.flip(1))).unbind(1)
        at = corners[own].double()
        centre = at.mean(1)
        middles = (at + at.roll(-1, 1)) / 2 - centre[:, None]
        stopped = _stopped(middles, corners[other].double() - centre[:, None])
        ways = 3 * own[:, None] + torch.arange(3, device=own.device)
        found = torch.zeros(3 * len(corners), dtype=torch.bool, device=own.device)
        return found.index_fill(0, ways[stopped], True)

    def patches(self, stopped: Tensor) -> Tensor:
        """Number of the patch that each face's centre lies in `(F)`; ways that are stopped `(3 F)`."""
        joins = self._joins[~stopped[self._joins].any(1)]
        ends = (joins // 3).mT.cpu().numpy()
        size = (len(self.faces), len(self.faces))
        graph = coo_array((np.ones(ends.shape[1], np.int8), (ends[0], ends[1])), size)
        found = connected_components(graph, directed=False)[1]
        return torch.from_numpy(found).long().to(stopped.device)

    def beside(self, stopped: Tensor) -> Tensor:
        """Faces `(N)` on either side of ways `(3 F)` that are stopped."""
        return (self._joins[stopped[self._joins].any(1)] // 3).flatten().unique()

    def crossing_fans(self, vertices: Tensor, near: Tensor) -> Tensor:
        """Pairs of faces `(P, 2)` with one vertex in common that cross beyond it.

        A surface's crossing ends at such a vertex, so looked at are faces that touch one of `near`
        `(N)`, which cross others.
        """
        touched = torch.zeros(len(vertices), dtype=torch.bool, device=vertices.device)
        touched[self.faces[near].flatten()] = True
        pairs, tip, ends = self._fans
        looked = touched[self.faces].any(1)[pairs].any(1)
        pairs, tip, ends = pairs[looked], tip[looked], ends[looked]
        away = (vertices[ends] - vertices[tip][:, None, None]).double()
        normals = torch.linalg.cross(away[:, :, 0], away[:, :, 1])
        height = (away.flip(1) * normals[:, :, None]).sum(-1).flip(1)
        # Each goes through the other's plane, and from the vertex on the same side of it.
        x, y = height.abs().unbind(-1)
        through = (away[:, :, 0] * y[..., None] + away[:, :, 1] * x[..., None]).prod(1).sum(-1)
        return pairs[(height.prod(-1) <= 0).all(1) & (through >= 0)]

    @cached_property
    def _joins(self) -> Tensor:
        """Pairs of ways `(E, 2)` that meet in the middle of an edge."""
        ends = torch.stack((self.faces, self.faces.roll(-1, 1)), -1).flatten(0, 1).sort(-1).values
        key, order = (ends[:, 0] * (int(ends.max()) + 1) + ends[:, 1]).sort(stable=True)
        return torch.stack((order[:-1], order[1:]), -1)[key[:-1] == key[1:]]

    @cached_property
    def _fans(self) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs of faces `(P, 2)` with one vertex in common, that vertex, their others `(P, 2, 2)`."""
        vertex, order = self.faces.flatten().sort(stable=True)
        found = []
        for step in range(1, int(torch.bincount(vertex).max()) if len(vertex) else 1):
            same = vertex[step:] == vertex[:-step]
            found.append(torch.stack((order[:-step][same], order[step:][same]), -1))
        corners = torch.cat(found)
        pairs, tip = corners // 3, self.faces.flatten()[corners[:, 0]]
        others = torch.stack([self.faces.roll(-i, 1).flatten()[corners] for i in (1, 2)], -1)
        one = ~(others[:, 0, :, None] == others[:, 1, None]).flatten(1).any(1)
        return pairs[one], tip[one], others[one]


def _stopped(to: Tensor, triangles: Tensor) -> Tensor:
    """Which ways from the origin to points `(P, 3, 3)` go through triangles `(P, 3, 3)`: `(P, 3)`."""
    a, b, c = (triangles[:, None, i] for i in range(3))
    size = (triangles - triangles.roll(-1, 1)).norm(dim=-1).amax(1)[:, None]
    normal = torch.linalg.cross(b - a, c - a)
    start, end = (normal * -a).sum(-1), (normal * (to - a)).sum(-1)
    least = _ROUNDING * size**3
    through = ((start <= least) & (end >= -least)) | ((start >= -least) & (end <= least))
    sides = torch.stack([(to * torch.linalg.cross(x, y)).sum(-1)
                         for x, y in ((a, b), (b, c), (c, a))], -1)  # fmt: skip
    least = least[..., None]
    return through & ((sides >= -least).all(-1) | (sides <= least).all(-1))
