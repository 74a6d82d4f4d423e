"""Which way is up in the picture of one shot: from standing bodies, the ground they walk, and habit.

Four witnesses, each with its uncertainty, joined in one small least-squares problem over the
camera's pitch and roll: whoever stands or walks balances, their centre of mass above the foot that
carries them; the places where feet stand lie in one level plane; a lifter that has seen many shots
says where up usually is in such a one; and cameras are mostly held nearly
level, looking slightly down (as in the cameras that WHAM draws for training). With a known vertical
only yaw is left to the alignment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.recovery.pose_guess import UNSURE
from humanmotion.rotations import between_vectors

DEGREE = math.pi / 180
PRIOR_PITCH, PRIOR_PITCH_SIGMA = 5 * DEGREE, 15 * DEGREE
"""Cameras look this far down, give or take."""
PRIOR_ROLL_SIGMA = 5 * DEGREE
BODY_PITCH_SIGMA = 6 * DEGREE
"""How far a whole shot's fitted bodies may lean along the view although they balance."""
BODY_ROLL_SIGMA = 2.5 * DEGREE
BODY_SPREAD = 3.5 * DEGREE
"""How far a walking body is from balance in one frame."""
TOLD_PITCH_SIGMA, TOLD_ROLL_SIGMA = 4.5 * DEGREE, 4 * DEGREE
"""How far a lifter may be off over a whole shot; on val, cameras held askew among them, its root mean
square is 4.9 and 4.8 degrees, its median 2.5 and 1.9."""
TOLD_SPREAD = 4 * DEGREE
"""And in one frame."""
OUTLIER = 22 * DEGREE
"""Geman-McClure scale: a body this far from the vertical counts a quarter; it may lie or sit."""
ROLL_TAIL = 2.0
"""Rolled cameras exist: beyond this many sigmas the prior on roll grows only with a logarithm."""
GROUND_SIGMA = 0.05
"""Height error of a standing sole in metres, about the same over ten frames."""
CORRELATED_SECONDS = 0.33
"""Errors of frames within this time are one error."""
LARGEST_ROLL = 40 * DEGREE
"""Nobody films with more: somebody lying is likelier."""
ROUNDS = 6
CARRYING_HEIGHT = 0.1
"""Of two feet the lower one carries most: this much lower, in metres, e times as much."""
SEGMENT_MASS = (
    (0, 0.14), (3, 0.14), (9, 0.22), (15, 0.08), (1, 0.05), (2, 0.05), (4, 0.075), (5, 0.075),
    (7, 0.04), (8, 0.04), (16, 0.02), (17, 0.02), (18, 0.02), (19, 0.02), (20, 0.015), (21, 0.015),
)  # fmt: skip
"""Shares of the body's mass lumped at joints (after Winter, Biomechanics, table 4.1)."""


@dataclass(frozen=True)
class Gravity:
    """Up in the axes of a shot's first camera, and how sure it is."""

    up: Tensor
    """Unit vector `(3)`."""
    pitch_sigma_rad: float
    """Uncertainty along the view."""
    roll_sigma_rad: float
    """Uncertainty across the view, in the picture."""
    cost: float
    """Half the squared disagreement of the witnesses in sigmas: high when they contradict."""


@dataclass(frozen=True)
class Witness:
    """What one person says about the vertical of a shot, in the axes of its first camera."""

    joints: Tensor
    """`(n, 55, 3)`; the camera's own place counts as fixed."""
    soles: Tensor
    """Points on the sole under each foot joint `(n, 2, 3)`."""
    weight: Tensor
    """In [0, 1] `(n)`; 0 where the person was not seen."""
    fps: float
    up: Tensor | None
    """Where a lifter says up is `(n, 3)`, if there is one."""
    ground: bool
    """Whether places in different frames can be compared: the camera's centre does not move."""


def shot_gravity(witnesses: Sequence[Witness]) -> Gravity:
    """Up of one shot from the people in it; with nobody in it, the prior alone.

    Solved from a level camera and from bodies taken as upright; the cheaper answer is returned.
    """
    starts = [torch.tensor((PRIOR_PITCH, 0.0), dtype=torch.float64)]
    bodies = [w for w in witnesses if float(w.weight.sum()) > 0]
    if bodies:
        starts.append(_angles_of(torch.cat([_long_axis(w) for w in bodies]).mean(0)))
    return min((_solve(witnesses, start) for start in starts), key=lambda g: g.cost)


def known_gravity(up: Tensor, witnesses: Sequence[Witness]) -> Gravity:
    """Up of one shot that is known from elsewhere, `(3)`, and how much the people in it disagree."""
    says = _says(witnesses, _angles_of(up))
    return Gravity(torch.nn.functional.normalize(up, dim=0), 0.0, 0.0, sum(s.cost for s in says))


def _solve(witnesses: Sequence[Witness], angles: Tensor) -> Gravity:
    for _ in range(ROUNDS):
        says = _says(witnesses, angles)
        normal = torch.stack([s.normal for s in says]).sum(0)
        angles = angles + torch.linalg.solve(normal, torch.stack([s.right for s in says]).sum(0))
    sigma = torch.linalg.inv(normal).diagonal().sqrt()
    return Gravity(_up(angles).float(), float(sigma[0]), float(sigma[1]), sum(s.cost for s in says))


def _says(witnesses: Sequence[Witness], angles: Tensor) -> list[_Say]:
    asked = (_balance, _ground, _told)
    return [_prior(angles), *(ask(w, angles) for w in witnesses for ask in asked)]


def gravity_view(up: Tensor) -> Tensor:
    """Rotation `(3, 3)` from camera axes to the gravity-view frame: z up, y ahead, x = y cross z.

    A camera that looks straight up or down takes the top edge of its picture as ahead.
    """
    ahead = torch.tensor((0.0, 0.0, 1.0), dtype=up.dtype)
    if float((ahead @ up).abs()) > 0.999:
        ahead = torch.tensor((0.0, -1.0, 0.0), dtype=up.dtype)
    y = torch.nn.functional.normalize(ahead - (ahead @ up) * up, dim=0)
    return torch.stack((torch.linalg.cross(y, up), y, up))


def untilt(joints: Tensor, weight: Tensor, *, fps: float) -> Tensor:
    """Rotation `(3, 3)` that takes out most of a shot's common lean along the view.

    `joints` `(n, 55, 3)` in the gravity-view frame (the view is y), `weight` `(n)`. Depth is what a
    single picture shows worst, so upright people who all lean the same way along it do not lean.
    """
    lean, share = _common_lean(joints, weight, fps)
    keep = BODY_PITCH_SIGMA**2 / (BODY_PITCH_SIGMA**2 + (2.5 * DEGREE) ** 2)
    turn = -keep * share * lean
    up = torch.tensor((0.0, 0.0, 1.0), dtype=joints.dtype)
    return between_vectors(up, torch.stack((up[0], turn.tan(), up[2])))


def _common_lean(joints: Tensor, weight: Tensor, fps: float) -> tuple[Tensor, Tensor]:
    """Mean angle forward along y (radians) of standing people, and how much of it to believe."""
    up = torch.tensor((0.0, 0.0, 1.0), dtype=joints.dtype)
    body, standing = _balanced(joints, up)
    w = weight * standing * (body[:, 2] > 0.8)
    total = w.sum()
    angle = torch.atan2(body[:, 1], body[:, 2])
    mean = (w * angle).sum() / total.clamp(min=1e-6)
    return mean, total / (total + CORRELATED_SECONDS * fps)


def _up(angles: Tensor) -> Tensor:
    """Up in camera axes `(3)` of a camera pitched down and rolled by `angles` `(2)`."""
    pitch, roll = angles
    return torch.stack((roll.sin() * pitch.cos(), -roll.cos() * pitch.cos(), -pitch.sin()))


def _slopes(angles: Tensor) -> Tensor:
    """Derivative of `_up` by pitch and roll `(2, 3)`."""
    pitch, roll = angles
    by_pitch = torch.stack((-roll.sin() * pitch.sin(), roll.cos() * pitch.sin(), -pitch.cos()))
    by_roll = torch.stack((roll.cos() * pitch.cos(), roll.sin() * pitch.cos(), pitch * 0))
    return torch.stack((by_pitch, by_roll))


def _angles_of(up: Tensor) -> Tensor:
    """Pitch and roll `(2)` of a camera that sees this direction `(3)` as up."""
    up = torch.nn.functional.normalize(up.double(), dim=0)
    return torch.stack((torch.asin(-up[2].clamp(-0.999, 0.999)), torch.atan2(up[0], -up[1])))


def _long_axis(witness: Witness) -> Tensor:
    """Weighted vectors `(n, 3)` from the middle of the ankles to the neck."""
    return (witness.joints[:, 12] - witness.joints[:, [7, 8]].mean(1)) * witness.weight[:, None]


def _balanced(joints: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors `(n, 3)` from the carrying foot to the centre of mass, and `(n)` in [0, 1].

    The second is how straight the carrying leg is: a bent one belongs to somebody who sits or jumps.
    """
    mass = joints.new_tensor([m for _, m in SEGMENT_MASS])
    centre = (joints[:, [j for j, _ in SEGMENT_MASS]] * mass[:, None]).sum(1) / mass.sum()
    feet = (joints[:, [7, 8]] + joints[:, [10, 11]]) / 2
    share = torch.softmax(-(feet @ up) / CARRYING_HEIGHT, dim=-1)
    support = (share[..., None] * feet).sum(1)
    hips, knees, ankles = joints[:, [1, 2]], joints[:, [4, 5]], joints[:, [7, 8]]
    bones = (hips - knees).norm(dim=-1) + (knees - ankles).norm(dim=-1)
    reach = (share * (hips - ankles).norm(dim=-1) / bones.clamp(min=1e-6)).sum(-1)
    axis = torch.nn.functional.normalize(centre - support, dim=-1)
    return axis, ((reach - 0.75) / 0.1).clamp(0, 1)


@dataclass(frozen=True)
class _Say:
    """One witness's normal equations in pitch and roll, and half its squared residual."""

    normal: Tensor
    right: Tensor
    cost: float


_NOTHING = _Say(torch.zeros(2, 2).double(), torch.zeros(2).double(), 0.0)


def _prior(angles: Tensor) -> _Say:
    """Cameras held nearly level, with room for the few that are not, but not on their side."""
    off = angles - torch.tensor((PRIOR_PITCH, 0.0), dtype=torch.float64)
    trust = torch.tensor((PRIOR_PITCH_SIGMA, PRIOR_ROLL_SIGMA), dtype=torch.float64) ** -2
    tail = float((off[1] / (ROLL_TAIL * PRIOR_ROLL_SIGMA)) ** 2)
    trust = trust / torch.tensor((1.0, 1 + tail), dtype=torch.float64)
    beyond = off[1] - off[1].clamp(-LARGEST_ROLL, LARGEST_ROLL)
    wall = torch.tensor((0.0, float(beyond != 0) / PRIOR_ROLL_SIGMA**2), dtype=torch.float64)
    cost = 0.5 * float(trust[0] * off[0] ** 2) + 0.5 * ROLL_TAIL**2 * math.log1p(tail)
    cost += 0.5 * float(beyond / PRIOR_ROLL_SIGMA) ** 2
    return _Say(torch.diag(trust + wall), -trust * off - wall * beyond, cost)


def _balance(witness: Witness, angles: Tensor) -> _Say:
    """Normal equations of balanced bodies: one observation of pitch and one of roll."""
    axis, standing = _balanced(witness.joints.double(), _up(angles))
    slopes = _slopes(angles)
    residual = axis @ (slopes / slopes.norm(dim=-1, keepdim=True)).T
    # Upside down looks like upright in the tangent plane: count it as a quarter turn at least.
    size = residual.norm(dim=-1).clamp(max=1.0).asin()
    size = torch.where(axis @ _up(angles) <= 0, math.pi - size, size)
    seen = witness.weight.double() * standing
    if float(seen.sum()) < 1e-3:
        return _NOTHING
    share = seen / seen.sum()
    limits = torch.tensor((BODY_PITCH_SIGMA, BODY_ROLL_SIGMA), dtype=torch.float64)
    trust = 1 / (limits**2 + BODY_SPREAD**2 * CORRELATED_SECONDS * witness.fps / seen.sum())
    robust = 1 / (1 + (size / OUTLIER) ** 2)
    pull = share * robust**2
    cost = 0.5 * float((share * robust * (residual**2 @ trust)).sum())
    return _Say(torch.diag(trust * pull.sum()), trust * (pull[:, None] * residual).sum(0), cost)


def _told(witness: Witness, angles: Tensor) -> _Say:
    """Normal equations of what a lifter says: one observation of pitch and one of roll."""
    seen = witness.weight.double()
    seen = torch.where(seen > UNSURE, seen, torch.zeros_like(seen))
    if witness.up is None or float(seen.sum()) < 1e-3:
        return _NOTHING
    said = torch.nn.functional.normalize((witness.up.double() * seen[:, None]).sum(0), dim=0)
    slopes = _slopes(angles)
    residual = said @ (slopes / slopes.norm(dim=-1, keepdim=True)).T
    size = torch.atan2(residual.norm(), said @ _up(angles))
    limits = torch.tensor((TOLD_PITCH_SIGMA, TOLD_ROLL_SIGMA), dtype=torch.float64)
    spread = TOLD_SPREAD**2 * CORRELATED_SECONDS * witness.fps / seen.sum()
    trust = 1 / (limits**2 + spread)
    robust = 1 / (1 + float(size / OUTLIER) ** 2)
    cost = 0.5 * robust * float(residual**2 @ trust)
    return _Say(torch.diag(trust * robust**2), trust * robust**2 * residual, cost)


def _ground(witness: Witness, angles: Tensor) -> _Say:
    """Normal equations of standing soles in one level plane of unknown height."""
    if not witness.ground or len(witness.joints) < 3:
        return _NOTHING
    up, slopes = _up(angles), _slopes(angles)
    points, w = _standing_points(witness, up)
    if float(w.sum()) < CORRELATED_SECONDS * witness.fps:
        return _NOTHING
    for _ in range(3):
        height = points @ up
        level = (w * height).sum() / w.sum()
        robust = w / (1 + ((height - level) / (3 * GROUND_SIGMA)) ** 2) ** 2
        w = 0.5 * (w + robust)
    middle = (w[:, None] * points).sum(0) / w.sum()
    rows = (points - middle) @ slopes.T
    # Depth errors grow with distance and tilt the plane most where the ground is seen from afar.
    distance = points.norm(dim=-1)
    information = (
        w / (GROUND_SIGMA**2 + (0.01 * distance) ** 2) / (CORRELATED_SECONDS * witness.fps)
    )
    error = (points - middle) @ up
    normal = rows.T @ (information[:, None] * rows)
    return _Say(
        normal, -rows.T @ (information * error), 0.5 * float((information * error**2).sum())
    )


def _standing_points(witness: Witness, up: Tensor) -> tuple[Tensor, Tensor]:
    """The lower sole of every frame `(n, 3)` and its weight `(n)`, by the present guess of up."""
    soles = witness.soles.double()
    pelvis = witness.joints[:, 0].double()
    drop = (pelvis[:, None] - soles) @ up
    lower = drop.argmax(-1)
    points = soles[torch.arange(len(soles)), lower]
    # Someone sitting or in the air does not stand below the pelvis by a leg's length.
    usual = drop.amax(-1).median()
    w = witness.weight.double() / (1 + ((drop.amax(-1) - usual) / 0.1) ** 2)
    return points, w
