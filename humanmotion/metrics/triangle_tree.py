"""Which triangles of a mesh meet: a tree of boxes, and the exact test of two triangles.

The tree's shape is fixed once, on the mesh at rest; posed meshes only refit its boxes. All pairs of a
level are taken at once, so that it runs at the speed of the tensor library.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TriangleTree:
    """A binary tree over the faces of a mesh, one face a leaf."""

    faces: Tensor
    """`(F, 3)` int64."""
    order: Tensor
    """Face of each leaf `(L)`, L a power of two; F where the leaf is empty."""

    @classmethod
    def build(cls, faces: Tensor, vertices: Tensor) -> TriangleTree:
        """The tree of a mesh with faces `(F, 3)` and resting vertices `(V, 3)`.

        Nodes are cut in half by number along the longest side of their centres' box.
        """
        count = len(faces)
        leaves = 1 << max(count - 1, 0).bit_length()
        centres = vertices.new_full((leaves, 3), torch.inf)
        centres[:count] = vertices[faces].mean(1)
        order = torch.arange(leaves, device=faces.device)
        size = leaves
        while size > 1:
            order = _sorted_along_longest(order.view(-1, size), centres).flatten()
            size //= 2
        return cls(faces, order.clamp(max=count))

    def near_pairs(self, vertices: Tensor) -> Tensor:
        """Pairs of faces `(P, 2)`, the lower first, whose boxes meet, of vertices `(V, 3)`."""
        first = second = self.order.new_zeros(0)
        for boxes in self._boxes(vertices)[1:]:
            # Two nodes have four pairs of children; one node has the pair of its own.
            left, right = (torch.arange(i, len(boxes), 2, device=boxes.device) for i in (0, 1))
            first, second = 2 * first, 2 * second
            a = torch.cat((first, first, first + 1, first + 1, left))
            b = torch.cat((second, second + 1, second, second + 1, right))
            swapped = torch.cat((boxes[:, 3:], boxes[:, :3]), 1)
            # Boxes are (low, -high): they meet where low - high' <= 0 both ways, along every axis.
            meet = (boxes.index_select(0, a) + swapped.index_select(0, b)).amax(1) <= 0
            first, second = a[meet], b[meet]
        return self.order[torch.stack((first, second), -1)].sort(-1).values

    def _boxes(self, vertices: Tensor) -> list[Tensor]:
        """Boxes `(N, 6)` of the nodes of each level, the root's first: low corner, minus the high."""
        corners = vertices[self.faces]
        # An empty leaf meets nothing.
        boxes = vertices.new_full((len(self.faces) + 1, 6), torch.inf)
        boxes[:-1] = torch.cat((corners.amin(1), -corners.amax(1)), -1)
        levels = [boxes[self.order]]
        while len(levels[-1]) > 1:
            levels.append(levels[-1].view(-1, 2, 6).amin(1))
        return levels[::-1]


def _sorted_along_longest(order: Tensor, centres: Tensor) -> Tensor:
    """The members `(N, size)` of each node, sorted; the empty ones, at infinity, come last."""
    places = centres[order]
    there = places.isfinite()
    high = torch.where(there, places, -torch.inf).amax(1)
    sides = high - torch.where(there, places, torch.inf).amin(1)
    axis = sides.argmax(-1)[:, None, None].expand(*order.shape, 1)
    return order.gather(1, places.gather(2, axis)[..., 0].argsort(dim=1, stable=True))


def triangles_meet(first: Tensor, second: Tensor) -> Tensor:
    """Whether triangles `(P, 3, 3)` and `(P, 3, 3)` have a point in common, `(P)` bool.

    Exact up to rounding: two convex shapes are apart just where they are along one of the directions
    of their normals, the products of their edges, or, in one plane, the normals of their edges in it.
    Gottschalk et al. 1996 (OBBTree), section 5. Touching counts as meeting.
    """
    a, b = first.double(), second.double()
    rows = torch.arange(len(a), device=a.device)
    for name in _DIRECTIONS:
        # Most pairs are told apart by the first planes; only the rest is looked at further.
        left = ~_apart(a, b, _direction(a, b, name))
        rows, a, b = rows[left], a[left], b[left]
    return torch.zeros(len(first), dtype=torch.bool, device=a.device).index_fill(0, rows, True)


_Name = str | tuple[int | str, int]
_DIRECTIONS: tuple[_Name, ...] = (
    "a",
    "b",
    *((i, j) for i in range(3) for j in range(3)),
    *((of, i) for of in "ab" for i in range(3)),
)


def _direction(a: Tensor, b: Tensor, name: _Name) -> Tensor:
    """The normal of one, the product of an edge of each, or in one's plane the normal of its edge."""
    if isinstance(name, str):
        return _normal(a if name == "a" else b)
    first, second = name
    if isinstance(first, int):
        return torch.linalg.cross(_edge(a, first), _edge(b, second))
    of = a if first == "a" else b
    return torch.linalg.cross(_normal(of), _edge(of, second))


def _normal(corners: Tensor) -> Tensor:
    return torch.linalg.cross(_edge(corners, 0), _edge(corners, 1))


def _edge(corners: Tensor, number: int) -> Tensor:
    return corners[:, (number + 1) % 3] - corners[:, number]


def _apart(a: Tensor, b: Tensor, direction: Tensor) -> Tensor:
    """Whether triangles `(P, 3, 3)` leave a gap along directions `(P, 3)`."""
    # About a corner of one of them: far from the origin the digits would go to the place.
    origin = a[:, :1]
    one, two = (((x - origin) @ direction[..., None])[..., 0] for x in (a, b))
    return (one.amax(1) < two.amin(1)) | (two.amax(1) < one.amin(1))
