"""Joint positions over time: what TRC and CSV hold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.checks import check_tensor, check_times
from humanmotion.motion import Motion


@dataclass(frozen=True)
class JointTrack:
    """Positions of named joints; checks itself when built (raises MotionError)."""

    names: tuple[str, ...]
    """Joint or marker names, `J` of them."""
    times: Tensor
    """Seconds `(T)`, rising."""
    positions: Tensor
    """Metres in our z-up world, `(T, J, 3)`."""

    def __post_init__(self) -> None:
        check_times(self.times, len(self.times))
        check_tensor("positions", self.positions, (len(self.times), len(self.names), 3))


def joint_track(motion: Motion, body: BodyModel) -> JointTrack:
    """Positions of the joints that the motion's source carries, on `body`."""
    present = motion.joints_present
    names = tuple(n for n, here in zip(body.joint_names, present.tolist(), strict=True) if here)
    return JointTrack(names, motion.times, body.joints_of(motion)[:, present])


def track_from_rows(names: tuple[str, ...], rows: list[list[float]]) -> JointTrack:
    """A track from rows of time, x, y, z, x, y, z, ... in metres, z up."""
    table = torch.tensor(rows, dtype=torch.float64).reshape(len(rows), 1 + 3 * len(names))
    return JointTrack(names, table[:, 0], table[:, 1:].reshape(len(rows), -1, 3).float())
