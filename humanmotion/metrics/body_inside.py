"""How much of a body's skin lies inside other parts of it: a metric of ours beside body penetration.

Triangles that cross tell where the skin goes into the body and not how much of it does: an arm wholly
inside the trunk crosses little. This one rises with all that is inside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.metrics.body_penetration import NOBODY, STRIDE, BodyPenetration, looked_at
from humanmotion.metrics.mbench_value import MetricValue
from humanmotion.metrics.winding import Surface, winding_numbers
from humanmotion.motion import Motion


class BodyInside:
    """Share of the skin's area that lies inside, in per cent; faces count by their centres.

    Where the skin crosses itself it is cut into patches. A patch counts when its winding number is
    above 1, as in two parts of the body at once, and a pair of triangles that cross at its rim counts
    for corrected `BodyPenetration`: so what is inside at rest and the creases of joints do not.
    Holes of the mesh that are small beside their distance do no harm.
    """

    def __init__(self, body: BodyModel) -> None:
        """Raises UsageError for a body without faces."""
        self.body = body
        self.penetration = BodyPenetration(body)
        self.surface = Surface(body.faces)

    def __call__(self, motion: Motion, *, stride: int = STRIDE) -> tuple[MetricValue, MetricValue]:
        """Means over every `stride`-th frame of body penetration and of this; lower is better."""
        frames = looked_at(motion, stride=stride)
        if not len(frames):
            none = MetricValue(None, NOBODY)
            return none, none
        values = [self.both_of_mesh(self.body.pose(motion[i : i + 1]).vertices[0]) for i in frames]
        means = torch.tensor(values, dtype=torch.float64).mean(0).tolist()
        return MetricValue(means[0], None), MetricValue(means[1], None)

    def both_of_mesh(self, vertices: Tensor) -> tuple[float, float]:
        """Body penetration and this of posed vertices `(V, 3)`; UsageError for another mesh's."""
        pairs, counted = self.penetration.crossings(vertices)
        inside = self._inside(vertices, pairs, counted)
        corners = vertices[self.body.faces]
        area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = area.double().norm(dim=-1)
        share = 100 * float(area[inside].sum() / area.sum())
        return self.penetration.of_pairs(pairs[counted]), share

    def of_mesh(self, vertices: Tensor) -> float:
        """Of posed vertices `(V, 3)`, in per cent; raises UsageError for another mesh's."""
        return self.both_of_mesh(vertices)[1]

    def inside(self, vertices: Tensor) -> Tensor:
        """Which faces' centres `(F)` lie inside and count."""
        return self._inside(vertices, *self.penetration.crossings(vertices))

    def _inside(self, vertices: Tensor, pairs: Tensor, counted: Tensor) -> Tensor:
        corners = vertices[self.body.faces]
        rim = self.surface.beside(self.surface.stopped_ways(corners, pairs[counted]))
        none = torch.zeros(len(corners), dtype=torch.bool, device=corners.device)
        if not len(rim):
            return none
        fans = self.surface.crossing_fans(vertices, pairs.flatten())
        stopped = self.surface.stopped_ways(corners, torch.cat((pairs, fans)))
        patch = self.surface.patches(stopped)
        # Any face of a patch speaks for it.
        speaker = patch.new_zeros(len(corners)).scatter(
            0, patch, torch.arange(len(patch), device=patch.device)
        )
        asked = patch[rim].unique()
        wound = winding_numbers(vertices, self.body.faces, speaker[asked])
        return torch.isin(patch, asked[wound > 1])
