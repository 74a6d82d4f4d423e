"""Whether a window of a stream is one that its prompt makes: if not, draw again.

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

LAST = 20
"""Frames in a row that are odd or not."""
BLUR = 0.03
"""Metres that half of the joints may be off whatever the text makes."""


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


def _heights(features: Tensor) -> Tensor:
    """Of all joints `(T, 22)`."""
    return features[:, POSITIONS].unflatten(-1, (JOINTS, 3))[..., 2]
