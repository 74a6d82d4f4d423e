"""What a joint optimisation over all shots counts: each term's share of one set of normal equations.

Unknowns of a frame are 22 turns and the pelvis's place in the world, as in `landmark_terms`, and the
camera's centre where the camera travels: 72. Shared ones are, per shot, a turn and a shift of its
camera and the logarithm of its focal length (7), and one shape (10).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.carried_points import (
    CarriedPoints,
    joint_points,
    landmark_points,
    positions_and_jacobian,
)
from humanmotion.recovery.banded import (
    Floats,
    second_difference,
    transposed_second_difference,
    turning_second_difference,
)
from humanmotion.recovery.initial_pose import SET
from humanmotion.recovery.landmark_terms import (
    ACCELERATION_SIGMA,
    ROOT_ACCELERATION_SIGMA,
    State,
    robust,
)
from humanmotion.recovery.plausible_pose import JOINT_ACCELERATION_SIGMA

BODY_JOINTS = tuple(range(22))
FEET = (10, 11)
FRAME, SHOT, SHAPE = 72, 7, 10
"""Unknowns of a frame, of a shot, of the body."""
BODY, PELVIS, CENTRE = slice(0, 69), slice(66, 69), slice(69, 72)
SEEN = 80
"""What a picture depends on: 69 numbers of a body in camera axes, the lens, the shape."""
CAMERA_ACCELERATION_SIGMA = 2.0
"""Of a travelling camera, m/s^2."""
STEP_SIGMA, HEIGHT_SIGMA = 0.01, 0.06
"""Metres that a standing foot may seem to move in a frame, and to be off its height; a foot that is off
stays so for a while, and every frame of it counts."""
VELOCITY_SIGMA = 0.15
"""m/s that a lifter's velocity is off in a frame (chosen on val, of 0.1, 0.15, 0.2, 0.4 and 0.8)."""
LASTING_SIGMA, LASTING_SECONDS = 0.1, 1.0
"""m/s that it is off on the average of so long: 0.04 to 0.08 on val. A gait that the lifter does not
know it misjudges by far more, and for as long as it lasts (chosen on val, of 0.1 and 0.2)."""


@dataclass(frozen=True)
class World:
    """A body and the cameras that film it, in one world; `T` frames."""

    rotations: Tensor
    """Local `(T, 55, 3, 3)`, the root's in the world."""
    pelvis: Tensor
    """`(T, 3)` metres."""
    R_w2c: Tensor
    """`(T, 3, 3)`."""
    centre: Tensor
    """Of the camera `(T, 3)`."""
    camera: Tensor
    """How far the shot's camera was turned, shifted and zoomed since the beginning `(T, 7)`."""
    betas: Tensor
    """`(10)`."""

    def __getitem__(self, frames: slice) -> World:
        return self.map(lambda values: values[frames])

    def put(self, other: World, *, at: int) -> World:
        """This one, with its frames from `at` on changed in place to those of `other`."""
        for name in _PER_FRAME:
            there = getattr(other, name)
            getattr(self, name)[at : at + len(there)] = there
        return self

    def map(self, change: Callable[[Tensor], Tensor]) -> World:
        """`change` of everything that is there frame by frame."""
        return replace(self, **{n: change(getattr(self, n)) for n in _PER_FRAME})

    def seen(self, body: BodyModel) -> State:
        """The body in camera axes, with the landmarks it is looked at by."""
        rotations = self.rotations.clone()
        rotations[:, 0] = self.R_w2c @ rotations[:, 0]
        place = (self.R_w2c @ (self.pelvis - self.centre)[..., None])[..., 0]
        marks = landmark_points(body, SET, joints=BODY_JOINTS, betas=self.betas)
        return State(rotations, place, self.betas, marks)

    def feet(self, body: BodyModel) -> CarriedPoints:
        """Both foot joints as points that follow the body."""
        return joint_points(body, FEET, joints=BODY_JOINTS, betas=self.betas)


_PER_FRAME = tuple(f.name for f in fields(World) if f.name != "betas")


def world_columns(world: World, *, still: Tensor) -> Tensor:
    """Derivative `(T, 80, 89)` of what a picture depends on by a frame's and the shared unknowns.

    `still` `(T)` bool: the camera's centre moves with the whole shot, else frame by frame.
    """
    R = world.R_w2c
    out = R.new_zeros(len(R), SEEN, FRAME + SHOT + SHAPE)
    arm = crossing(world.pelvis - world.centre)
    out[:, 0:3, 0:3] = R
    out[:, 3:66, 3:66] = torch.eye(63)
    out[:, PELVIS, PELVIS] = R
    out[:, PELVIS, CENTRE] = -R * (~still)[:, None, None]
    out[:, 0:3, FRAME : FRAME + 3] = -R
    out[:, PELVIS, FRAME : FRAME + 3] = R @ arm
    out[:, PELVIS, FRAME + 3 : FRAME + 6] = -R * still[:, None, None]
    out[:, 69, FRAME + 6] = 1.0
    out[:, 70:, FRAME + SHOT :] = torch.eye(SHAPE)
    return out


def crossing(vector: Tensor) -> Tensor:
    """Matrices `(T, 3, 3)` whose product with x is `vector` x x."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))


@dataclass(frozen=True)
class Standing:
    """Where feet stand."""

    contact: Tensor
    """How surely `(T, 2)`."""
    height: Tensor
    """Of the foot joints when they do `(T, 2)`, metres."""

    def __getitem__(self, frames: slice) -> Standing:
        return Standing(self.contact[frames], self.height[frames])


def contact_terms(
    world: World, standing: Standing, body: BodyModel, *, followed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Standing feet keep their height, and their place over the steps `followed` `(T - 1)` bool.

    Normal equations of frames `(T, 69, 69)`, of frames with the next one `(T - 1, 69, 69)`, and their
    right-hand side `(T, 69)`.
    """
    feet, slope = positions_and_jacobian(world.feet(body), world.rotations, world.pelvis)
    slope = torch.cat((slope.flatten(-2), torch.eye(3).expand(*slope.shape[:3], 3)), -1)
    step = feet.diff(dim=0)
    both = torch.minimum(standing.contact[1:], standing.contact[:-1]) / STEP_SIGMA**2
    both = both * followed[:, None] * robust(step / STEP_SIGMA)
    blocks, below, right = _steps(
        -slope[:-1].flatten(1, 2), slope[1:].flatten(1, 2), off=step.flatten(1),
        weight=both.repeat_interleave(3, -1),
    )  # fmt: skip
    up, height = slope[:, :, 2], standing.contact / HEIGHT_SIGMA**2
    blocks += torch.einsum("tf,tfi,tfj->tij", height, up, up)
    right += torch.einsum("tf,tfi->ti", height * (standing.height - feet[..., 2]), up)
    return blocks, below, right


def velocity_terms(
    world: World, velocity: Tensor, *, sure: Tensor, fps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The pelvis moves as the body's posture says, with `velocity` `(T, 3)` in the root's axes, m/s.

    A frame's velocity is of the step that led to it; `sure` `(T - 1)` in [0, 1] counts each step.
    Returns the same as `contact_terms`.
    """
    root, weight = world.rotations[1:, 0], sure / (VELOCITY_SIGMA / fps) ** 2
    told = (root @ velocity[1:, :, None])[..., 0] / fps
    off = world.pelvis.diff(dim=0) - told
    weight = weight * robust(off * fps / VELOCITY_SIGMA)
    lasting = running_mean(off * fps, sure, frames=round(LASTING_SECONDS * fps))
    weight = weight * robust(lasting / LASTING_SIGMA)
    eye = torch.eye(3).expand(len(off), 3, 3)
    before = off.new_zeros(len(off), 3, 69)
    before[..., PELVIS] = -eye
    after = torch.zeros_like(before)
    after[..., :3], after[..., PELVIS] = crossing(told), eye
    return _steps(before, after, off=off, weight=weight[:, None].expand(-1, 3))


def running_mean(values: Tensor, weight: Tensor, *, frames: int) -> Tensor:
    """Mean of `values` `(T, C)` over some `frames` about each, counted by `weight` `(T)`; 0 of none."""
    if not len(values):
        return values
    around = frames // 2
    both = torch.cat((values, torch.ones_like(values[:, :1])), -1) * weight[:, None]
    sums = torch.nn.functional.avg_pool1d(both.T, 2 * around + 1, stride=1, padding=around).T
    return sums[:, :-1] / sums[:, -1:].clamp(min=torch.finfo(sums.dtype).tiny)


def _steps(
    before: Tensor, after: Tensor, *, off: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Equations of residuals `off` `(T - 1, R)` between frames, with derivatives `(T - 1, R, 69)`."""
    first, second = (weight[..., None] * j for j in (before, after))
    blocks = before.new_zeros(len(before) + 1, 69, 69)
    right = before.new_zeros(len(before) + 1, 69)
    blocks[:-1] += before.mT @ first
    blocks[1:] += after.mT @ second
    right[:-1] -= (first.mT @ off[..., None])[..., 0]
    right[1:] -= (second.mT @ off[..., None])[..., 0]
    return blocks, after.mT @ first, right


def smooth_terms(
    world: World, *, fps: float, joined: NDArray[np.bool_], travels: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Squared weights `(T - 2, 72)` of second differences, and their right-hand side `(T, 72)`.

    `joined` `(T - 2)`: whether the body is followed over the three frames from t on; `travels`
    `(T - 2)`: whether one camera travels through them.
    """
    sigma = np.full(FRAME, JOINT_ACCELERATION_SIGMA)
    sigma[:3], sigma[PELVIS] = ACCELERATION_SIGMA, ROOT_ACCELERATION_SIGMA
    sigma[CENTRE] = CAMERA_ACCELERATION_SIGMA
    weight = (fps**2 / sigma) ** 2 * joined[:, None]
    weight[:, CENTRE] = (fps**2 / CAMERA_ACCELERATION_SIGMA) ** 2 * travels[:, None]
    everywhere = np.ones_like(joined)
    turned = turning_second_difference(world.rotations[:, : len(BODY_JOINTS)], everywhere)
    places = torch.cat((world.pelvis, world.centre), -1).double().numpy()
    second = np.concatenate((turned, second_difference(places, everywhere)), -1)
    return weight, -transposed_second_difference(second * weight, len(places))
