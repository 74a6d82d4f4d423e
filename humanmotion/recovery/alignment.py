"""Joining two shots at a cut: the body is the only thing both cameras see, and gravity is known.

What is left is one turn about the vertical. It is read off the 3D body on both sides: joints about the
pelvis and their velocities, fitted over a while on each side and carried to the middle of the cut, and
the direction in which the root moves. A picture shows a body well across the view and badly along it,
so every difference is weighed by the error ellipses of both views: what one camera guesses as depth,
the other often sees. The likelihood is evaluated over the whole circle, which gives the best turn, its
uncertainty, and the evidence by which flipped readings are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.rotations import rotation_about_z, wrap_angle

WINDOW_SECONDS = 0.3
"""Frames this near to a cut are looked at."""
DECAY_SECONDS = 0.1
"""And count less by this measure."""
RIDGE_SECONDS = 0.02
TRUNK = (0, 1, 2, 3, 6, 9, 12, 13, 14, 16, 17)
TRUNK_SIGMA = (0.05, 0.075, 0.05)
"""Error of trunk joints about the pelvis in metres: across the view, along it, vertical."""
LIMB_SIGMA = (0.08, 0.12, 0.08)
SPEED_FACTOR = 10.0
"""Error of a joint's velocity in m/s for one metre of error of its place."""
CORRELATION = 4.0
"""Joints of one fit err together: that many say as much as one."""
OUTLIER = 3.0
"""Geman-McClure scale in sigmas."""
HEADING_BIAS = math.radians(4.0)
"""How far a fit's heading may be off on each side, whatever its residual."""
STEPS = 180
"""Turns of 2 degrees that are tried."""


@dataclass(frozen=True)
class CutAlignment:
    """How the shot after a cut was joined to the one before."""

    frame: int
    """First frame of the later shot."""
    yaw_rad: float
    """Turn about the vertical from the later shot's gravity-view frame to the earlier one's."""
    sigma_rad: float
    """Its uncertainty (68 %) if `flipped` is right; pi when nobody was seen on both sides."""
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
    """Minus the log of the evidence for these two readings, all turns considered."""
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
    Frames further than WINDOW_SECONDS from `at` are left out: somebody seen only then is not there.
    """
    relative = (joints - joints[:, :1]).double()
    lag = times.double() - at
    step = float(times.diff().median()) if len(times) > 1 else 1 / 30
    w = (-lag.abs() / DECAY_SECONDS).exp()[:, None] * confidence.double()
    w = w * (lag.abs() < max(WINDOW_SECONDS, 2 * step))[:, None]
    total = w.sum(0)
    safe = total.clamp(min=1e-9)
    mean_lag = (w * lag[:, None]).sum(0) / safe
    mean = (w[..., None] * relative).sum(0) / safe[:, None]
    off = lag[:, None] - mean_lag
    spread = (w * off**2).sum(0)
    # A little ridge: two frames must not decide a velocity.
    slope = (w[..., None] * off[..., None] * (relative - mean)).sum(0)
    slope = slope / (spread + total * RIDGE_SECONDS**2).clamp(min=1e-9)[:, None]
    near = confidence.double() * (w > 0)
    return Side(
        joints=mean - mean_lag[:, None] * slope,
        joint_velocity=slope,
        confidence=(total > 1e-6) * near.amax(0),
        velocity=velocity.double(),
        velocity_information=velocity_information.double(),
    )


def align_sides(before: Sequence[Side], after: Sequence[Side]) -> Turn:
    """The turn about z that takes `after` onto `before`, over all people (same order on both).

    Returns an infinite sigma and cost 0 when nobody is seen on both sides.
    """
    yaw = torch.arange(STEPS, dtype=torch.float64) * (2 * math.pi / STEPS)
    pairs = [(b, a) for b, a in zip(before, after, strict=True) if _common(b, a)]
    if not pairs:
        return Turn(0.0, math.inf, 0.0, 0.0)
    cost = torch.stack([_pair_cost(b, a, yaw) for b, a in pairs]).sum(0)
    best = int(cost.argmin())
    low, middle, high = (float(cost[(best + k) % STEPS]) for k in (-1, 0, 1))
    bend = max(low - 2 * middle + high, 1e-9)
    peak = float(yaw[best]) + min(max(0.5 * (low - high) / bend, -0.5), 0.5) * 2 * math.pi / STEPS
    return Turn(
        yaw_rad=float(wrap_angle(torch.tensor(peak))),
        sigma_rad=math.hypot(_half_width(cost, yaw - peak), math.sqrt(2) * HEADING_BIAS),
        cost=-float(torch.logsumexp(-cost, 0)) + math.log(STEPS),
        residual_m=_residual(pairs, peak),
    )


def _half_width(cost: Tensor, away: Tensor) -> float:
    """Angle around the best turn that holds 68 % of the likelihood; `away` `(S)` from it, radians."""
    order = wrap_angle(away).abs().argsort()
    held = torch.softmax(-cost, 0)[order].cumsum(0)
    return float(wrap_angle(away).abs()[order[int((held < 0.68).sum().clamp(max=len(order) - 1))]])


def _common(before: Side, after: Side) -> bool:
    return bool((before.confidence * after.confidence).amax() > 0)


def _pair_cost(before: Side, after: Side, yaw: Tensor) -> Tensor:
    """Minus the log-likelihood `(S)` of one person's two sides at each turn `(S)`."""
    turn = rotation_about_z(yaw)
    seen = before.confidence * after.confidence
    variance = _variances()
    places = _ellipse_cost(before.joints, after.joints, turn=turn, variance=variance)
    speeds = _ellipse_cost(
        before.joint_velocity, after.joint_velocity, turn=turn, variance=variance * SPEED_FACTOR**2
    )
    return (places + speeds) @ seen / CORRELATION + _root_cost(before, after, turn)


def _variances() -> Tensor:
    """Squared errors `(22, 3)` of joints across the view, along it and vertically (x, y, z)."""
    sigma = torch.tensor([TRUNK_SIGMA if j in TRUNK else LIMB_SIGMA for j in range(22)])
    return sigma.double() ** 2


def _ellipse_cost(before: Tensor, after: Tensor, *, turn: Tensor, variance: Tensor) -> Tensor:
    """Robust squared distances `(S, J)`, halved, of vectors `(J, 3)` under both error ellipses."""
    error = before - after @ turn.mT
    both = (
        torch.diag_embed(variance) + turn[:, None] @ torch.diag_embed(variance) @ turn.mT[:, None]
    )
    square = (error * torch.linalg.solve(both, error[..., None])[..., 0]).sum(-1)
    # The ellipses' own size is left out on purpose: errors along the view are no noise but turns and
    # bends of the whole body, and counting it draws every answer towards parallel views.
    return 0.5 * square / (1 + square / OUTLIER**2)


def _root_cost(before: Side, after: Side, turn: Tensor) -> Tensor:
    """The same `(S)` for the two horizontal velocities of the root."""
    flat = turn[:, :2, :2]
    error = before.velocity - after.velocity @ flat.mT
    spread = [torch.linalg.inv(s.velocity_information) for s in (before, after)]
    both = spread[0] + flat @ spread[1] @ flat.mT
    square = (error * torch.linalg.solve(both, error[..., None])[..., 0]).sum(-1)
    return 0.5 * square / (1 + square / OUTLIER**2)


def _residual(pairs: Sequence[tuple[Side, Side]], yaw: float) -> float:
    """Root mean square distance in metres of the joints after the turn, weighted by confidence."""
    turn = rotation_about_z(torch.tensor(yaw, dtype=torch.float64))
    square = [((b.joints - a.joints @ turn.T) ** 2).sum(-1) for b, a in pairs]
    seen = torch.cat([b.confidence * a.confidence for b, a in pairs])
    return float(((torch.cat(square) * seen).sum() / seen.sum()).sqrt())
