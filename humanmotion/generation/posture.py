"""Whether a window of a stream is one that its prompt makes, and joins on calmly: if not, draw again.

Each window goes on from the last second of the one before. What is a little odd there is odder in the
next: a dancer who once leans too far sits after half a minute, and lies after a minute. So windows are
to stay in postures that the text alone makes too, or come nearer to them; rejection is how (Robert and
Casella 2004, section 2.3), a few times and not for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.generation.features import JOINTS, POSITIONS
from humanmotion.metrics import acceleration

LAST = 20
"""Frames in a row that are odd or not."""
BLUR = 0.03
"""Metres that half of the joints may be off whatever the text makes."""
CALM = 1.5
"""Times the usual acceleration that it may be near a join."""
USUAL, AROUND = 0.95, 0.25
"""Quantile of accelerations that is usual, and how many seconds from a join are near."""


@dataclass(frozen=True)
class Postures:
    """Heights of joints as a Gaussian; how far from it a posture may be."""

    mean: Tensor
    """`(22)`, metres."""
    precision: Tensor
    """`(22, 22)`."""
    limit: float
    """Of the squared distance, see `oddness`."""

    @classmethod
    def of(cls, samples: Sequence[Tensor]) -> Postures:
        """Of the second half of features `(T, 276)` of motions on a floor, 2 LAST frames or more each.

        Who is to sit down sits in the second half; where the motion begins is no matter.
        """
        heights = [_heights(sample[len(sample) // 2 :]) for sample in samples]
        every = torch.cat(heights)
        mean = every.mean(0)
        spread = (every - mean).mT @ (every - mean) / len(every)
        blur = BLUR**2 * torch.eye(JOINTS).to(spread)
        found = cls(mean, torch.linalg.inv(spread + blur), 1.0)
        odd = torch.cat([found._odd(h) for h in heights])
        return replace(found, limit=max(float(odd.max()), JOINTS / 2))

    def oddness(self, features: Tensor) -> float:
        """How far features `(T, 276)` are at worst from what the text makes: 1 is the limit."""
        return float(self._odd(_heights(features)).max()) / self.limit

    def _odd(self, heights: Tensor) -> Tensor:
        """Means of distances of heights `(T, 22)` over LAST frames in a row, `(n)`; fewer are one."""
        found = self._distances(heights)
        return found.unfold(0, min(LAST, len(found)), LAST // 2).mean(-1)

    def _distances(self, heights: Tensor) -> Tensor:
        """Squared Mahalanobis distances `(T)` of heights `(T, 22)`."""
        off = heights - self.mean
        return ((off @ self.precision) * off).sum(-1)


def jerk_at(joints: Tensor, *, join: int, fps: float) -> float:
    """Acceleration about frame `join` of joints `(T, J, 3)` over what it may be: 1 is the limit."""
    size = acceleration(joints, fps=fps).norm(dim=-1).mean(-1)
    around = round(AROUND * fps)
    # A second difference lies at its middle frame.
    near = size[max(join - 1 - around, 0) : join + around]
    return float(near.amax() / (CALM * size.quantile(USUAL)).clamp(min=1e-9))


def _heights(features: Tensor) -> Tensor:
    """Of all joints `(T, 22)`."""
    return features[:, POSITIONS].unflatten(-1, (JOINTS, 3))[..., 2]
