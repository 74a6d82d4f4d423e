"""Joint positions over time: what TRC and CSV hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.checks import check_tensor, check_times
from humanmotion.errors import MotionError
from humanmotion.motion import Motion


@dataclass(frozen=True)
class JointTrack:
    """Positions of named joints; checks itself when built (raises MotionError)."""

    names: tuple[str, ...]
    """Joint or marker names, `J` of them."""
    times: Tensor
    """Seconds `(T)`, rising."""
    positions: Tensor
    """Metres in our z-up world, `(T, J, 3)`; zero where not seen."""
    seen: Tensor
    """`(T, J)` bool."""

    def __post_init__(self) -> None:
        shape = (len(self.times), len(self.names))
        check_times(self.times, len(self.times))
        check_tensor("positions", self.positions, (*shape, 3))
        check_tensor("seen", self.seen, shape)


def joint_track(motion: Motion, body: BodyModel) -> JointTrack:
    """Positions of the joints that the motion's source carries, on `body`."""
    present = motion.joints_present
    names = tuple(n for n, here in zip(body.joint_names, present.tolist(), strict=True) if here)
    seen = (motion.confidence.amax(-1, keepdim=True) > 0).expand(-1, len(names))
    return JointTrack(names, motion.times, body.joints_of(motion)[:, present], seen)


def track_from_rows(names: tuple[str, ...], rows: list[list[float]]) -> JointTrack:
    """A track from rows of time, x, y, z, x, y, z, ... in metres, z up.

    A joint was not seen where all three of its numbers are NaN; raises MotionError where only some
    are.
    """
    table = torch.tensor(rows, dtype=torch.float64).reshape(len(rows), 1 + 3 * len(names))
    positions = table[:, 1:].reshape(len(rows), -1, 3).float()
    gap = positions.isnan()
    seen = ~gap.all(-1)
    half = (seen & gap.any(-1)).nonzero()
    if len(half):
        frame, joint = half[0].tolist()
        raise MotionError(
            f"{names[joint]} has only some of its coordinates at frame {frame}; leave all three "
            "out (empty or nan) where it was not seen"
        )
    positions = torch.where(seen[..., None], positions, torch.zeros(()))
    return JointTrack(names, table[:, 0].contiguous(), positions, seen)


def cell_number(cell: str) -> float:
    """A number, NaN for an empty cell; raises ValueError for anything else."""
    return float(cell) if cell.strip() else math.nan
