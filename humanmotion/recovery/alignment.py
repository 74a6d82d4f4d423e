"""Joining two shots at a cut: the body is the only thing both cameras see, and gravity is known.

What is left is one turn about the vertical. It is read off the 3D body: root-relative joints and their
velocities, fitted over several frames on each side and carried to the middle of the cut, plus the
direction in which the root moves. Least squares over a turn about one axis is a sum of complex
numbers, so every joint's say, the residual and the uncertainty come in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

WINDOW_FRAMES = 7
"""Frames on each side of a cut that the fit looks at."""
DECAY_FRAMES = 4.0
TRUNK = (0, 1, 2, 3, 6, 9, 12, 13, 14, 16, 17)
TRUNK_SIGMA, LIMB_SIGMA = 0.05, 0.09
"""Expected position error of root-relative joints, metres."""
JOINT_SPEED_SIGMA = 0.9
"""Expected error of root-relative joint velocities, m/s."""
CORRELATION = 4.0
"""Joints of one fit err together: that many say as much as one."""
HEADING_BIAS = math.radians(5.0)
"""How far a fit's heading may be off on each side, whatever its residual."""
NOBODY = -1


@dataclass(frozen=True)
class CutAlignment:
    """How the shot after a cut was joined to the one before."""

    frame: int
    """First frame of the later shot."""
    yaw_rad: float
    """Turn about the vertical from the later shot's gravity-view frame to the earlier one's."""
    sigma_rad: float
    """Its standard deviation; pi when nobody was seen on both sides."""
    flipped: bool
    """Whether front and back had to be exchanged on one side and not on the other."""
    flip_doubt: float
    """Probability that this choice between flipped and not is the wrong one."""
    translation: tuple[float, float, float]
    """Place of the later shot's first camera in the world minus that of the last one before, metres."""
    residual_m: float
    """Root mean square distance of the joints after alignment, metres."""
    people: int
    """How many people were seen on both sides."""


@dataclass(frozen=True)
class Side:
    """One person next to a cut, in a gravity-view frame (z up), carried to the middle of the cut."""

    joints: Tensor
    """About the pelvis `(22, 3)`, metres."""
    joint_velocity: Tensor
    """About the pelvis `(22, 3)`, m/s."""
    confidence: Tensor
    """`(22)` in [0, 1]; all 0 when the person is not there."""
    velocity: Tensor
    """Of the pelvis, horizontal `(2)`, m/s."""
    velocity_information: Tensor
    """Inverse covariance of it `(2, 2)`."""


@dataclass(frozen=True)
class Turn:
    """The turn that takes one side onto the other, and how well it does."""

    yaw_rad: float
    sigma_rad: float
    """Infinite without a common person."""
    cost: float
    """Half the squared residual in sigmas, correlated joints counted once."""
    residual_m: float


def read_side(
    joints: Tensor,
    times: Tensor,
    *,
    confidence: Tensor,
    at: float,
    velocity: Tensor,
    velocity_information: Tensor,
) -> Side:
    """One side of a cut from the `n` frames next to it, joints `(n, 22, 3)`, confidence `(n, 22)`.

    A straight line per joint, nearer frames counting more, is evaluated at time `at` (seconds).
    Frames further than half a second from `at` are left out: the person was not seen at the cut.
    """
    relative = (joints - joints[:, :1]).double()
    lag = times.double() - at
    step = float(times.diff().median()) if len(times) > 1 else 1 / 30
    w = (-lag.abs() / (DECAY_FRAMES * step)).exp()[:, None] * confidence.double()
    w = w * (lag.abs() < 0.5)[:, None]
    total = w.sum(0)
    safe = total.clamp(min=1e-9)
    mean_lag = (w * lag[:, None]).sum(0) / safe
    mean = (w[..., None] * relative).sum(0) / safe[:, None]
    off = lag[:, None] - mean_lag
    spread = (w * off**2).sum(0)
    # A little ridge: two frames must not decide a velocity.
    slope = (w[..., None] * off[..., None] * (relative - mean)).sum(0)
    slope = slope / (spread + 0.3 * total * step**2).clamp(min=1e-9)[:, None]
    return Side(
        joints=mean - mean_lag[:, None] * slope,
        joint_velocity=slope,
        confidence=(total / total.amax().clamp(min=1e-9)) * confidence.double().amax(0),
        velocity=velocity.double(),
        velocity_information=velocity_information.double(),
    )


def align_sides(before: Sequence[Side], after: Sequence[Side]) -> Turn:
    """The turn about z that takes `after` onto `before`, over all people (same order on both).

    Robust (Geman-McClure) over joints, started from the trunks. Returns an infinite sigma when no
    joint is seen on both sides.
    """
    pairs = [_pair(b, a) for b, a in zip(before, after, strict=True)]
    a, b, weight = (torch.cat([p[i] for p in pairs]) for i in range(3))
    is_place = torch.cat([p[3] for p in pairs])
    if float(weight.sum()) <= 0:
        return Turn(0.0, math.inf, 0.0, 0.0)
    robust = torch.ones_like(weight)
    yaw = torch.zeros((), dtype=torch.float64)
    for _ in range(5):
        yaw = _best_turn(a, b, weight * robust)
        error = ((_turned(a, yaw) - b) ** 2).sum(-1)
        robust = 1 / (1 + weight * error / 9.0) ** 2
    scaled = weight * error
    # Geman-McClure: never more than 9 a joint, so one bad limb does not outvote the rest.
    cost = 0.5 * (scaled / (1 + scaled / 9.0)).sum() / CORRELATION
    counted = weight * robust
    used = counted * is_place
    residual = ((used * error).sum() / used.sum().clamp(min=1e-9)).sqrt()
    return Turn(float(yaw), _sigma(a, b, counted), float(cost), float(residual))


def _pair(before: Side, after: Side) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Vectors after and before `(N, 3)`, their weights in 1 / error^2, and which are places."""
    seen = before.confidence * after.confidence
    trunk = torch.zeros(22, dtype=torch.bool)
    trunk[list(TRUNK)] = True
    sigma = torch.where(trunk, TRUNK_SIGMA, LIMB_SIGMA).double()
    place = seen / (2 * sigma**2)
    speed = seen / (2 * JOINT_SPEED_SIGMA**2)
    together = float(seen.amax() > 0)
    root = _common_information(before, after) * together * CORRELATION
    a = torch.cat((after.joints, after.joint_velocity, _flat(after.velocity)))
    b = torch.cat((before.joints, before.joint_velocity, _flat(before.velocity)))
    weight = torch.cat((place, speed, root[None]))
    is_place = torch.zeros(45, dtype=torch.float64)
    is_place[:22] = 1.0
    return a, b, weight, is_place


def _common_information(before: Side, after: Side) -> Tensor:
    """One number for how well the difference of both root velocities is known, in (s/m)^2.

    The worse direction of each side counts: which one it is in the other's frame is what we seek.
    """
    worst = [torch.linalg.eigvalsh(s.velocity_information)[0] for s in (before, after)]
    return worst[0] * worst[1] / (worst[0] + worst[1]).clamp(min=1e-12)


def _flat(velocity: Tensor) -> Tensor:
    return torch.cat((velocity, velocity.new_zeros(1)))[None]


def _best_turn(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    along = (weight * (a[:, :2] * b[:, :2]).sum(-1)).sum()
    across = (weight * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])).sum()
    return torch.atan2(across, along)


def _turned(a: Tensor, yaw: Tensor) -> Tensor:
    c, s = yaw.cos(), yaw.sin()
    return torch.stack((c * a[:, 0] - s * a[:, 1], s * a[:, 0] + c * a[:, 1], a[:, 2]), -1)


def _sigma(a: Tensor, b: Tensor, weight: Tensor) -> float:
    """From the curvature of the cost, correlated joints counted once, and the bias of both sides."""
    information = (weight * a[:, :2].norm(dim=-1) * b[:, :2].norm(dim=-1)).sum() / CORRELATION
    return math.sqrt(1 / max(float(information), 1e-9) + 2 * HEADING_BIAS**2)


def mixture_sigma(turn: Turn, *, doubt: float) -> float:
    """Standard deviation of the yaw when with probability `doubt` it could be anything; at most pi."""
    if not math.isfinite(turn.sigma_rad):
        return math.pi
    return min(math.sqrt(turn.sigma_rad**2 + doubt * math.pi**2 / 3), math.pi)
