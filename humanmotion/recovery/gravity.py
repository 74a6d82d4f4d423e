"""Which way is up in the picture of one shot: from standing bodies, the ground they walk, and habit.

Three witnesses, each with its uncertainty, joined in one small least-squares problem over the
camera's pitch and roll: people who stand or walk upright point up; the places where feet stand lie
in one level plane; and cameras are held nearly level, looking slightly down (the distribution that
WHAM draws its cameras from). Recovery with a known vertical only leaves yaw to the alignment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanmotion.rotations import between_vectors

DEGREE = math.pi / 180
PRIOR_PITCH, PRIOR_PITCH_SIGMA = 5 * DEGREE, 15 * DEGREE
"""Cameras look this far down, give or take."""
PRIOR_ROLL_SIGMA = 4 * DEGREE
BODY_PITCH_SIGMA = 7 * DEGREE
"""How far a whole shot's fitted bodies may lean along the view although they stand straight."""
BODY_ROLL_SIGMA = 3 * DEGREE
BODY_SPREAD = 6 * DEGREE
"""Sway of an upright person, and the scale beyond which a frame counts as not upright."""
GROUND_SIGMA = 0.05
"""Height error of a standing sole in metres, about the same over ten frames."""
CORRELATED_FRAMES = 10.0
ROUNDS = 6


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
    ground: bool
    """Whether places in different frames can be compared: the camera's centre does not move."""


def shot_gravity(witnesses: Sequence[Witness]) -> Gravity:
    """Up of one shot from the people in it; with nobody in it, the prior alone."""
    start = torch.tensor((PRIOR_PITCH, 0.0), dtype=torch.float64)
    trust = torch.tensor((PRIOR_PITCH_SIGMA, PRIOR_ROLL_SIGMA), dtype=torch.float64) ** -2
    angles = start
    for _ in range(ROUNDS):
        says = [_Say(torch.diag(trust), trust * (start - angles), 0.0)]
        for witness in witnesses:
            says += [_standing(witness, angles), _ground(witness, angles)]
        normal = torch.stack([s.normal for s in says]).sum(0)
        step = torch.linalg.solve(normal, torch.stack([s.right for s in says]).sum(0))
        # A body lying down must not drag the start out of reach of the robust weights at once.
        angles = angles + step.clamp(-0.35, 0.35)
    sigma = torch.linalg.inv(normal).diagonal().sqrt()
    cost = sum(s.cost for s in says) + 0.5 * float((trust * (start - angles) ** 2).sum())
    return Gravity(_up(angles).float(), float(sigma[0]), float(sigma[1]), cost)


def gravity_view(up: Tensor) -> Tensor:
    """Rotation `(3, 3)` from camera axes to the gravity-view frame: z up, y ahead, x = y cross z.

    A camera that looks straight up or down takes the top edge of its picture as ahead.
    """
    ahead = torch.tensor((0.0, 0.0, 1.0), dtype=up.dtype)
    if float((ahead @ up).abs()) > 0.999:
        ahead = torch.tensor((0.0, -1.0, 0.0), dtype=up.dtype)
    y = torch.nn.functional.normalize(ahead - (ahead @ up) * up, dim=0)
    return torch.stack((torch.linalg.cross(y, up), y, up))


def untilt(joints: Tensor, weight: Tensor) -> Tensor:
    """Rotation `(3, 3)` that takes out most of a shot's common lean along the view.

    `joints` `(n, 55, 3)` in the gravity-view frame (the view is y), `weight` `(n)`. Depth is what a
    single picture shows worst, so upright people who all lean the same way along it do not lean.
    """
    lean, share = _common_lean(joints, weight)
    keep = BODY_PITCH_SIGMA**2 / (BODY_PITCH_SIGMA**2 + (4 * DEGREE) ** 2)
    turn = -keep * share * lean
    up = torch.tensor((0.0, 0.0, 1.0), dtype=joints.dtype)
    return between_vectors(up, torch.stack((up[0], turn.tan(), up[2])))


def _common_lean(joints: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean angle forward along y (radians) of upright people, and how much of it to believe."""
    body = _body_up(joints)
    w = weight * _upright(joints)
    w = w * (body[:, 2] > 0.8)
    total = w.sum()
    angle = torch.atan2(body[:, 1], body[:, 2])
    mean = (w * angle).sum() / total.clamp(min=1e-6)
    return mean, total / (total + CORRELATED_FRAMES)


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


def _body_up(joints: Tensor) -> Tensor:
    """Unit vectors `(n, 3)` from the middle of the ankles to the neck."""
    return torch.nn.functional.normalize(joints[:, 12] - joints[:, [7, 8]].mean(1), dim=-1)


def _upright(joints: Tensor) -> Tensor:
    """In [0, 1] `(n)`: legs straight and the trunk in line with them."""
    trunk = joints[:, 12] - joints[:, [1, 2]].mean(1)
    legs = joints[:, [1, 2]].mean(1) - joints[:, [7, 8]].mean(1)
    line = torch.nn.functional.cosine_similarity(trunk, legs, dim=-1)
    bones = (joints[:, [1, 2]] - joints[:, [4, 5]]).norm(dim=-1) + (
        joints[:, [4, 5]] - joints[:, [7, 8]]
    ).norm(dim=-1)
    reach = (joints[:, [1, 2]] - joints[:, [7, 8]]).norm(dim=-1) / bones.clamp(min=1e-6)
    straight = ((reach.amax(-1) - 0.85) / 0.1).clamp(0, 1)
    return straight * ((line - 0.75) / 0.2).clamp(0, 1)


@dataclass(frozen=True)
class _Say:
    """One witness's normal equations in pitch and roll, and half its squared residual."""

    normal: Tensor
    right: Tensor
    cost: float


_NOTHING = _Say(torch.zeros(2, 2).double(), torch.zeros(2).double(), 0.0)


def _standing(witness: Witness, angles: Tensor) -> _Say:
    """Normal equations of the upright bodies: one observation of pitch and one of roll."""
    body = _body_up(witness.joints).double()
    slopes = _slopes(angles)
    slopes = slopes / slopes.norm(dim=-1, keepdim=True)
    residual = body @ slopes.T
    behind = body @ _up(angles) <= 0
    size = torch.where(behind, torch.full_like(residual[:, 0], 2.0), residual.norm(dim=-1))
    w = witness.weight.double() * _upright(witness.joints).double()
    w = w / (1 + (size / (3 * BODY_SPREAD)) ** 2) ** 2
    total = w.sum()
    if float(total) < 1e-3:
        return _NOTHING
    mean = (w[:, None] * residual).sum(0) / total
    seconds = total / CORRELATED_FRAMES
    limits = torch.tensor((BODY_PITCH_SIGMA, BODY_ROLL_SIGMA), dtype=torch.float64)
    information = 1 / (limits**2 + BODY_SPREAD**2 / seconds)
    cost = 0.5 * float((information * mean**2).sum())
    return _Say(torch.diag(information), information * mean, cost)


def _ground(witness: Witness, angles: Tensor) -> _Say:
    """Normal equations of standing soles in one level plane of unknown height."""
    if not witness.ground or len(witness.joints) < 3:
        return _NOTHING
    up, slopes = _up(angles), _slopes(angles)
    points, w = _standing_points(witness, up)
    if float(w.sum()) < CORRELATED_FRAMES:
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
    information = w / (GROUND_SIGMA**2 + (0.01 * distance) ** 2) / CORRELATED_FRAMES
    error = (points - middle) @ up
    normal = rows.T @ (information[:, None] * rows)
    return _Say(normal, -rows.T @ (information * error), 0.5 * float((information * error**2).sum()))


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
