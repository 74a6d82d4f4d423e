"""How a person's root moves over the ground within one shot: as the camera sees it, as the feet say.

The camera's view of it is good across the view and bad along it, and is worth nothing when the camera
itself travels. The feet's account (the lower foot stands, so the root moves against it) has no such
directions, but believes that one foot always stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FEET = (10, 11)
LOWER_FOOT = 0.03
HALF_WINDOW_SECONDS = 0.2
"""A velocity is taken over this long to either side."""
FEET_SIGMA = 0.25
"""Error of a velocity read off the feet, m/s."""
ACROSS_SIGMA, DEPTH_SIGMA = 0.2, 0.15
"""Error of a velocity seen by the camera: m/s across the view, m/s per metre of distance along it."""


@dataclass(frozen=True)
class RootMotion:
    """Horizontal velocity in a gravity-view frame (y is the view direction), m/s."""

    seen: Tensor
    """By the camera `(n, 2)`; zeros when it travels."""
    stepped: Tensor
    """By the feet `(n, 2)`."""
    distance: Tensor
    """Of the person from the camera `(n)`, metres."""
    still: bool
    """Whether the camera keeps its place."""

    def at(self, frame: int) -> tuple[Tensor, Tensor]:
        """Velocity `(2)` and its inverse covariance `(2, 2)` at one frame, both accounts joined."""
        feet = torch.eye(2, dtype=torch.float64) / FEET_SIGMA**2
        along = max(float(self.distance[frame]), 1.0) * DEPTH_SIGMA
        sigma = torch.tensor((ACROSS_SIGMA, along), dtype=torch.float64)
        camera = torch.diag(sigma**-2) * float(self.still)
        both = feet + camera
        velocity = feet @ self.stepped[frame].double() + camera @ self.seen[frame].double()
        return torch.linalg.solve(both, velocity), both


def root_motion(joints: Tensor, *, sole: Tensor, fps: float, still: bool) -> RootMotion:
    """Read both accounts off joints `(n, 55, 3)` in the gravity-view frame of a shot.

    The camera sits at the origin (of the shot's first frame, when it does not move).
    """
    feet = joints[:, list(FEET)] - joints[:, :1]
    height = feet[..., 2] - sole
    stands = (height <= height.amin(-1, keepdim=True) + LOWER_FOOT).to(joints.dtype)
    both = torch.minimum(stands[1:], stands[:-1])
    # When the feet change in one frame neither stood in both: both get a say.
    both = torch.where(both.sum(-1, keepdim=True) > 0, both, torch.ones_like(both))
    step = -(both[..., None] * feet.diff(dim=0)[..., :2]).sum(1) / both.sum(-1, keepdim=True)
    start = step.new_zeros(1, 2)
    path = torch.cat((start, step.cumsum(0)))
    pelvis = joints[:, 0]
    return RootMotion(
        seen=_slope(pelvis[:, :2], fps) * float(still),
        stepped=_slope(path, fps),
        distance=pelvis.norm(dim=-1),
        still=still,
    )


def _slope(path: Tensor, fps: float) -> Tensor:
    """Least-squares velocity `(n, 2)` over a window around each frame, one-sided at the ends."""
    frames, half = len(path), max(1, round(HALF_WINDOW_SECONDS * fps))
    index = torch.arange(frames)
    # At an end the window keeps its length, so that the velocity there is no noisier.
    middle = index.clamp(min(half, (frames - 1) // 2), max(frames - 1 - half, frames // 2))
    window = middle[:, None] + torch.arange(-half, half + 1)
    inside = ((window >= 0) & (window < frames)).to(path.dtype)
    window = window.clamp(0, frames - 1)
    time = (window - index[:, None]).to(path.dtype) / fps
    mean_time = (inside * time).sum(-1, keepdim=True) / inside.sum(-1, keepdim=True)
    off = (time - mean_time) * inside
    spread = (off**2).sum(-1).clamp(min=1e-9)
    slope: Tensor = (off[..., None] * path[window]).sum(1) / spread[:, None]
    return slope
