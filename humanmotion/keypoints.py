"""Keypoints seen in a picture, the joint sets they are named by, and the maps between sets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.checks import check_tensor, check_times
from humanmotion.errors import MotionError, UsageError
from humanmotion.joint_sets import JOINT_SETS


@dataclass(frozen=True)
class Keypoints:
    """2D keypoints of one person over `T` frames; checks itself when built (raises MotionError).

    A keypoint that was not seen has confidence 0 and finite (usually zero) coordinates.
    """

    xy: Tensor
    """Pixels of the upright image `(T, J, 2)`."""
    confidence: Tensor
    """In [0, 1], `(T, J)`."""
    times: Tensor
    """Seconds `(T)`, rising."""
    joint_set: str
    """Name in JOINT_SETS; fixes `J` and the order."""
    width: int
    """Image width in pixels."""
    height: int
    """Image height in pixels."""
    xyz: Tensor | None = None
    """Root-relative 3D in metres, camera axes, `(T, J, 3)`, where the detector gives it."""

    def __post_init__(self) -> None:
        if self.joint_set not in JOINT_SETS:
            raise MotionError(
                f"joint set {self.joint_set!r} is unknown; known are {', '.join(JOINT_SETS)}"
            )
        frames, joints = len(self.times), len(JOINT_SETS[self.joint_set])
        check_times(self.times, frames)
        check_tensor("xy", self.xy, (frames, joints, 2))
        check_tensor("confidence", self.confidence, (frames, joints))
        if self.xyz is not None:
            check_tensor("xyz", self.xyz, (frames, joints, 3))
        if frames and not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise MotionError("confidence must lie in [0, 1]")

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, frames: slice | Tensor) -> Keypoints:
        """The keypoints at some frames (a slice, or rising int64 indices); times are kept."""
        return replace(
            self,
            xy=self.xy[frames],
            confidence=self.confidence[frames],
            times=self.times[frames],
            xyz=None if self.xyz is None else self.xyz[frames],
        )

    @property
    def seen(self) -> Tensor:
        """Frames in which the person was found at all, `(T)` bool."""
        return (self.confidence > 0).any(-1)

    def boxes(self, min_confidence: float = 0.3) -> Tensor:
        """Box around the confident keypoints `(T, 4)`: x0, y0, x1, y1; zeros where none is."""
        good = (self.confidence > min_confidence)[..., None]
        low = torch.where(good, self.xy, torch.inf).amin(1)
        high = torch.where(good, self.xy, -torch.inf).amax(1)
        box = torch.cat((low, high), -1)
        return torch.where(torch.isfinite(box), box, torch.zeros_like(box))

    def to_set(self, joint_set: str) -> Keypoints:
        """The same person in another joint set; joints that this set lacks get confidence 0."""
        if joint_set == self.joint_set:
            return self
        index = joint_map(self.joint_set, joint_set).to(self.xy.device)
        have = index >= 0
        source = index.clamp(min=0)
        xyz = None if self.xyz is None else self.xyz[:, source] * have[:, None]
        return replace(
            self,
            xy=self.xy[:, source] * have[:, None],
            confidence=self.confidence[:, source] * have,
            joint_set=joint_set,
            xyz=xyz,
        )


def joint_map(source: str, target: str) -> Tensor:
    """For each joint of `target` its index in `source`, or -1; `(J_target)` int64, by name."""
    for name in (source, target):
        if name not in JOINT_SETS:
            raise UsageError(f"joint set {name!r} is unknown; known are {', '.join(JOINT_SETS)}")
    place = {name: i for i, name in enumerate(JOINT_SETS[source])}
    return torch.tensor([place.get(name, -1) for name in JOINT_SETS[target]])
