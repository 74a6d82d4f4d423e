"""What the baselines are trained on: the same clips as our prior, as whole numbers without gaps.

Their networks know no missing joints. Numbers that a source did not record are drawn once from a full
Gaussian given those that it did, which does them no harm that we can think of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.jobs.prior_data import PoseSet, distinct, read_poses
from humanmotion.prior.baselines import Gaussian
from humanmotion.prior.space import BODY

NUMBERS = 3 * BODY.stop


@dataclass(frozen=True)
class Bodies:
    """Raw rotation vectors of the 21 body joints, radians."""

    poses: Tensor
    """`(N, 63)`, each also mirrored; nothing is missing."""
    recorded: Tensor
    """Which numbers are real `(N, 63)`, as 0 and 1."""


def read_bodies(data: str | Path, *, split: str, gaussian: Gaussian | None = None) -> Bodies:
    """Distinct poses of a split; gaps are filled by `gaussian`, or by one fitted to them."""
    poses = read_poses(data, split=split)
    return bodies(poses[distinct(poses)], gaussian=gaussian)


def bodies(poses: PoseSet, *, gaussian: Gaussian | None = None) -> Bodies:
    """As `read_bodies`, of poses at hand."""
    raw, seen = raw_bodies(poses)
    fitted = Gaussian.fit(raw, seen) if gaussian is None else gaussian
    filled = fitted.filled(raw, seen, generator=torch.Generator().manual_seed(0))
    return Bodies(filled, seen)


def raw_bodies(poses: PoseSet) -> tuple[Tensor, Tensor]:
    """Raw body numbers `(2 N, 63)`, mirrored ones last, and which were recorded, as 0 and 1."""
    both = (poses, poses.mirrored())
    raw = torch.cat([p.rotvec[:, BODY].flatten(1) for p in both])
    seen = torch.cat([p.recorded[:, BODY].repeat_interleave(3, 1).float() for p in both])
    return raw, seen
