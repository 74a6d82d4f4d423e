"""Body penetration: how much of a body's surface lies in itself, after MBench's `Body_Penetration`.

100 times the number of pairs of triangles that meet over the number of faces of the body at hand, of
which a triangle counts at most 8 pairs with triangles of a higher number.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array, eye_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.metrics.mbench_value import MetricValue
from humanmotion.metrics.triangle_tree import TriangleTree, triangles_meet
from humanmotion.motion import Motion

Mode = Literal["corrected", "released"]
MOST_PAIRS = 8
"""Pairs that a triangle counts for."""
STRIDE = 10
"""Every so many frames one is looked at: two a second of a motion at 20 fps."""
NOBODY = "no frame shows the person"
RINGS = 3
"""Edges that two triangles must be apart on the surface for their meeting to count."""


class BodyPenetration:
    """The metric of one body; `corrected` or `released`.

    Both leave out triangles that share a vertex. `corrected` also leaves out pairs whose vertices
    are within RINGS edges of each other, which are the creases of a bent joint and no part in another;
    pairs that meet while the body stands in its rest pose; and all pairs of two separate pieces of the
    mesh that meet then, such as the eyes and their sockets.
    `released` counts them all, as the published code does; on another mesh than SMPL's its numbers are
    no MBench numbers either.
    """

    def __init__(self, body: BodyModel, *, mode: Mode = "corrected") -> None:
        """Raises UsageError for another mode, or a body without faces."""
        if mode not in ("corrected", "released"):
            raise UsageError(f'mode {mode!r} given; give "corrected" or "released"')
        if not len(body.faces):
            raise UsageError("body penetration needs a mesh; this body has no faces")
        self.body = body
        self.mode = mode
        self.tree = TriangleTree.build(body.faces, body.template)

    def __call__(self, motion: Motion, *, stride: int = STRIDE) -> MetricValue:
        """Mean over every `stride`-th frame, in pairs per 100 faces; lower is better."""
        frames = looked_at(motion, stride=stride)
        if not len(frames):
            return MetricValue(None, NOBODY)
        values = [self.of_mesh(self.body.pose(motion[i : i + 1]).vertices[0]) for i in frames]
        return MetricValue(sum(values) / len(values), None)

    def of_mesh(self, vertices: Tensor) -> float:
        """Of posed vertices `(V, 3)`: pairs per 100 faces. Raises UsageError for another mesh's."""
        return self.of_pairs(self.meeting_pairs(vertices))

    def of_pairs(self, pairs: Tensor) -> float:
        """Of pairs of faces `(P, 2)` that meet and count, the lower first."""
        counts = torch.bincount(pairs[:, 0], minlength=len(self.body.faces)).clamp(max=MOST_PAIRS)
        return 100 * int(counts.sum()) / len(self.body.faces)

    def meeting_pairs(self, vertices: Tensor) -> Tensor:
        """Pairs of faces `(P, 2)`, the lower first, that meet and count."""
        pairs, counted = self.crossings(vertices)
        return pairs[counted]

    def crossings(self, vertices: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs of faces `(P, 2)` that share no vertex and meet, and which of them count `(P)` bool."""
        pairs = self._meeting(vertices)
        if self.mode == "released":
            return pairs, torch.ones_like(pairs[:, 0], dtype=torch.bool)
        return pairs, ~self._creases(pairs)

    def _meeting(self, vertices: Tensor) -> Tensor:
        if vertices.shape != self.body.template.shape or not bool(vertices.isfinite().all()):
            raise UsageError(
                f"vertices {tuple(vertices.shape)} given; give finite "
                f"{tuple(self.body.template.shape)} of the body at hand"
            )
        pairs = self.tree.near_pairs(vertices)
        one, two = (self.body.faces.index_select(0, pairs[:, i]) for i in (0, 1))
        pairs = pairs[~(one[:, :, None] == two[:, None]).flatten(1).any(1)]
        corners = vertices[self.body.faces]
        return pairs[triangles_meet(corners[pairs[:, 0]], corners[pairs[:, 1]])]

    def _creases(self, pairs: Tensor) -> Tensor:
        """Which pairs `(P, 2)` are near each other on the surface, or meet at rest."""
        one, two = self.body.faces[pairs[:, 0]], self.body.faces[pairs[:, 1]]
        vertices = len(self.body.template)
        keys = one[:, :, None] * vertices + two[:, None]
        # The list is long and in order, the keys are few.
        place = torch.searchsorted(self._near, keys).clamp(max=len(self._near) - 1)
        near = (self._near[place] == keys).flatten(1).any(1)
        pieces = self._pieces[one[:, 0]] * vertices + self._pieces[two[:, 0]]
        rest = torch.isin(self._key(pairs), self._key(self._at_rest))
        return near | rest | torch.isin(pieces, self._touching_pieces)

    @cached_property
    def _near(self) -> Tensor:
        """Keys of pairs of vertices at most RINGS edges from each other, in order."""
        vertices = len(self.body.template)
        first, second = near_on_surface(self.body.faces, vertices, rings=RINGS).unbind(1)
        return (first * vertices + second).sort().values

    @cached_property
    def _at_rest(self) -> Tensor:
        return self._meeting(self.body.template)

    @cached_property
    def _pieces(self) -> Tensor:
        """Number of the piece of the mesh that each vertex belongs to `(V)`."""
        step = _edges(self.body.faces, len(self.body.template))
        found = connected_components(step, directed=False)[1]
        return torch.from_numpy(found).long().to(self.body.faces.device)

    @cached_property
    def _touching_pieces(self) -> Tensor:
        """Keys of pairs of different pieces that meet at rest, both ways."""
        ends = self._pieces[self.body.faces[self._at_rest, 0]]
        one, two = ends[ends[:, 0] != ends[:, 1]].unbind(1)
        vertices = len(self.body.template)
        return torch.cat((one * vertices + two, two * vertices + one)).unique()

    def _key(self, pairs: Tensor) -> Tensor:
        return pairs[:, 0] * len(self.body.faces) + pairs[:, 1]


def looked_at(motion: Motion, *, stride: int) -> list[int]:
    """Every `stride`-th frame that shows the person; raises UsageError for a stride below 1."""
    if stride < 1:
        raise UsageError(f"stride {stride} given; give 1 or more")
    frames = torch.arange(0, len(motion), stride)
    # Nobody is there where no joint is sure at all.
    found: list[int] = frames[motion.confidence[frames].any(1).cpu()].tolist()
    return found


def near_on_surface(faces: Tensor, vertices: int, *, rings: int) -> Tensor:
    """Ordered pairs `(P, 2)` of vertices at most `rings` edges of the mesh from each other."""
    step = _edges(faces, vertices) + eye_array(vertices, dtype=np.int32)
    step = reached = (step > 0).astype(np.int32)
    for _ in range(rings - 1):
        reached = ((reached @ step) > 0).astype(np.int32)
    return torch.from_numpy(np.stack(reached.nonzero(), -1)).long().to(faces.device)


def _edges(faces: Tensor, vertices: int) -> csr_array:
    """Which vertices an edge joins, `(vertices, vertices)`, both ways."""
    ends = torch.cat((faces[:, (0, 1)], faces[:, (1, 2)], faces[:, (2, 0)])).cpu().numpy()
    one = csr_array((np.ones(len(ends), np.int32), ends.T), (vertices, vertices))
    return ((one + one.T) > 0).astype(np.int32)
