"""What a window of motion must fulfil to be learnt from; every bound is stated here.

The bounds are ours (those of ViMoGen-228K are not published but for length, and for jitter of video),
as numbers of motion at 20 fps. What a camera saw is held to the published jitter, which real running
misses (0.05 to 0.14): motion capture has bounds of its own. Lengths of bones need none: every motion is
put onto one body.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from humanmotion.generation.features import FPS, JOINTS
from humanmotion.metrics.contact import FEET, sole_height
from humanmotion.metrics.mbench_joints import jitter_degree
from humanmotion.motion import Motion

NEAR_FLOOR = 0.02
"""A sole lower than this, in metres, should not slide (MBench)."""
SUNK = 0.005
"""A sole deeper than this, in metres, is under the floor (MBench)."""
STILL = 0.005
"""Joints slower than this on average, in m/s, stand still."""
SURE = 0.3
"""Confidence from which a joint was seen."""


@dataclass(frozen=True)
class Limits:
    """Bounds of what is kept."""

    least_frames: int = 16
    """Feature frames of a window; 0.8 s."""
    most_frames: int = 200
    """Longer runs are cut into even parts; 10 s."""
    coverage: float = 0.9
    """Least share of frames in which the person was there at all."""
    joints: int = 17
    """Joints of the 22 that must be seen ..."""
    joints_share: float = 0.8
    """... in this share of the frames."""
    jitter: float = 0.15
    """Most Jitter_Degree (MBench), metres per frame squared."""
    penetration: float = 0.05
    """Most mean depth of soles that are under the floor, metres."""
    sliding: float = 0.06
    """Most mean step of soles near the floor, metres per frame; the feet of real walks come down with
    0.02 to 0.035."""
    displacement: float = 0.5
    """Most that the pelvis moves from frame to frame, metres."""
    static: float = 0.8
    """Most share of frames that stand still."""

    def values(self) -> dict[str, float]:
        """All bounds by name, for reports."""
        return asdict(self)


MOCAP = Limits()
"""Bounds of motion capture and of what animators made."""
VIDEO = Limits(jitter=0.04, sliding=0.02)
"""Bounds of motion that was reconstructed from video."""


def measured(joints: Tensor, confidence: Tensor, *, sole: Tensor) -> dict[str, float]:
    """What the bounds are on, of joints `(T, 22, 3)` at 20 fps seen with `confidence` `(T, 22)`."""
    seen = confidence > SURE
    height = sole_height(joints, sole=sole)
    slide = (
        joints[1:, FEET, :2].diff(dim=0).norm(dim=-1) if len(joints) > 2 else height.new_zeros(0, 2)
    )
    near = height[1:-1] < NEAR_FLOOR
    sunk = -height[height < -SUNK]
    speed = joints.diff(dim=0).norm(dim=-1).mean(-1) * FPS
    return {
        "coverage": float(seen.any(-1).float().mean()),
        "joints_share": float((seen.sum(-1) >= Limits.joints).float().mean()),
        "jitter": jitter_degree(joints),
        "penetration": float(sunk.mean()) if len(sunk) else 0.0,
        "sliding": float((slide * near).sum() / near.sum().clamp(min=1)),
        "displacement": float(joints[:, 0].diff(dim=0).norm(dim=-1).max()),
        "static": float((speed < STILL).float().mean()),
    }


def faults(values: dict[str, float], limits: Limits) -> tuple[str, ...]:
    """Names of the bounds that measured values miss."""
    least = ("coverage", "joints_share")
    bounds = limits.values()
    return tuple(
        name
        for name, value in values.items()
        if (value < bounds[name] if name in least else value > bounds[name])
    )


def seen(motion: Motion) -> Tensor:
    """How surely the 22 joints were seen `(T, 22)`.

    Joints that a source does not carry are no fault of its tracking.
    """
    absent = ~motion.joints_present[:JOINTS]
    return torch.where(absent, 1.0, motion.confidence[:, :JOINTS])
