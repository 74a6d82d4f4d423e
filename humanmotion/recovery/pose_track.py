"""PoseTrack: one person's fitted body over the frames of a video, in camera space."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanmotion.checks import check_tensor, check_times
from humanmotion.errors import MotionError
from humanmotion.motion import JOINTS

ROTATION_TOLERANCE = 1e-3
BLOCK = 512
"""Frames checked at once."""


@dataclass(frozen=True)
class PoseTrack:
    """One person over `T` frames in the camera's axes; checks itself (raises MotionError).

    Camera axes are OpenCV's: x right, y down, z forward, metres. The root rotation takes the
    upright rest pose to camera axes, and `pelvis = transl + J0(betas)`. Frames in which the person
    was not seen have confidence 0 and plausible (never NaN) values.
    """

    rotations: Tensor
    """Local rotations `(T, 55, 3, 3)`; the first is the root's in camera axes."""
    transl: Tensor
    """Metres in camera space `(T, 3)`."""
    betas: Tensor
    """Shape `(10)`, one for the whole video."""
    expression: Tensor
    """`(T, 10)`."""
    confidence: Tensor
    """How far each joint was observed, in [0, 1], `(T, 55)`."""
    times: Tensor
    """Seconds `(T)`, rising."""
    up: Tensor | None = None
    """Where up is in camera axes, unit vectors `(T, 3)`, if something besides the pose tells."""

    def __post_init__(self) -> None:
        frames = len(self.times)
        check_times(self.times, frames)
        shapes = {"rotations": (frames, JOINTS, 3, 3), "transl": (frames, 3), "betas": (10,)}
        shapes |= {"expression": (frames, 10), "confidence": (frames, JOINTS)}
        for name, shape in shapes.items():
            check_tensor(name, getattr(self, name), shape)
        if self.up is not None:
            check_tensor("up", self.up, (frames, 3))
        if frames and not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise MotionError("confidence must lie in [0, 1]")
        gap = torch.cat([_gap(part) for part in self.rotations.split(BLOCK)])
        if frames and (gap > ROTATION_TOLERANCE).any():
            raise MotionError(f"rotations holds no rotation at frame {int(gap.argmax())}")

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, frames: slice | Tensor) -> PoseTrack:
        """The track at some frames (a slice, or rising int64 indices); times are kept."""
        names = ("rotations", "transl", "expression", "confidence", "times")
        up = None if self.up is None else self.up[frames]
        return replace(self, up=up, **{name: getattr(self, name)[frames] for name in names})

    def at_rest(self) -> PoseTrack:
        """The same person in the rest pose throughout, which takes no room over a long video."""
        rest = torch.eye(3, dtype=self.rotations.dtype, device=self.rotations.device)
        return replace(self, rotations=rest.expand_as(self.rotations))

    @property
    def fps(self) -> float:
        """Frames a second; 30 of a single one."""
        return float(1 / self.times.diff().median()) if len(self) > 1 else 30.0

    @property
    def seen(self) -> Tensor:
        """Frames in which the person was found at all, `(T)` bool."""
        return (self.confidence > 0).any(-1)


def _gap(rotations: Tensor) -> Tensor:
    """How far `(T, 55, 3, 3)` are from rotations at most, `(T)`."""
    eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations @ rotations.mT - eye).abs().amax((-1, -2, -3))
