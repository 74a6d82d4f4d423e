"""Feet and the floor: contact, sliding, sinking and floating. Metres, z up, floor at z = 0.

Feet are joints 10 and 11. `sole` `(..., 2)` is how far those joints lie above the sole of the body at
hand, so that every height here is the sole's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.errors import UsageError

FEET = (10, 11)
CONTACT_SPEED = 0.15
"""A foot slower than this, in m/s, may stand."""
CONTACT_HEIGHT = 0.06
"""A sole lower than this, in metres, may stand."""


def sole_height(joints: Tensor, *, sole: Tensor) -> Tensor:
    """Height `(..., T, 2)` of both soles from joints `(..., T, J, 3)`, J >= 12."""
    return joints[..., FEET, 2] - sole


def foot_speed(joints: Tensor, *, fps: float) -> Tensor:
    """Speed `(..., T, 2)` of both feet, m/s, the mean of the steps to both neighbours.

    The first and last frames have one neighbour; a single frame has speed 0.
    """
    feet = joints[..., FEET, :]
    if feet.shape[-3] < 2:
        return feet.new_zeros(feet.shape[:-1])
    step = feet.diff(dim=-3).norm(dim=-1) * fps
    left = torch.cat((step[..., :1, :], step), -2)
    right = torch.cat((step, step[..., -1:, :]), -2)
    return (left + right) / 2


def foot_contact(joints: Tensor, *, sole: Tensor, fps: float) -> Tensor:
    """Which feet stand, `(..., T, 2)` bool: slower than 0.15 m/s and the sole lower than 6 cm."""
    slow = foot_speed(joints, fps=fps) < CONTACT_SPEED
    return slow & (sole_height(joints, sole=sole) < CONTACT_HEIGHT)


def foot_sliding(joints: Tensor, contact: Tensor) -> Tensor:
    """Mean step `(...)` of feet in joints `(..., T, J, 3)` while `contact` `(..., T, 2)` holds.

    Metres per frame; a step counts when the foot stands in both of its frames. `contact` is the
    truth's when a prediction is judged. A motion without any such step slides 0.
    """
    step = joints[..., FEET, :].diff(dim=-3).norm(dim=-1)
    on = (contact[..., 1:, :].bool() & contact[..., :-1, :].bool()).to(step.dtype)
    return (step * on).sum((-1, -2)) / on.sum((-1, -2)).clamp(min=1)


def floor_penetration(joints: Tensor, *, sole: Tensor) -> Tensor:
    """How deep the lower sole lies under the floor, `(..., T)`, 0 when it does not."""
    return (-sole_height(joints, sole=sole)).amax(-1).clamp(min=0)


def floor_float(joints: Tensor, contact: Tensor, *, sole: Tensor) -> Tensor:
    """How high soles are above the floor while `contact` `(..., T, 2)` holds, mean `(...)`."""
    on = contact.to(joints.dtype)
    height = sole_height(joints, sole=sole).clamp(min=0)
    return (height * on).sum((-1, -2)) / on.sum((-1, -2)).clamp(min=1)


def contact_scores(prediction: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Precision and recall of contact `(..., T, 2)`, each `(...)`; 1 where there is nothing."""
    both = (prediction.bool() & truth.bool()).sum((-1, -2)).double()
    said, real = prediction.bool().sum((-1, -2)), truth.bool().sum((-1, -2))
    one = torch.ones_like(both)
    precision = torch.where(said > 0, both / said.clamp(min=1), one)
    return precision, torch.where(real > 0, both / real.clamp(min=1), one)


def stance_sole_height(joints: Tensor, *, sole: Tensor, fps: float) -> Tensor:
    """Median height, a scalar, at which the soles of one motion `(T, J, 3)` stand.

    Wherever the floor is: slow feet within 6 cm of the level that slow feet take most are standing.
    Without a slow foot the lowest tenth of all soles is taken. Raises UsageError without frames.
    """
    if joints.ndim != 3 or not len(joints):
        raise UsageError(f"joints {tuple(joints.shape)} given; expected (T, J, 3) with T >= 1")
    height = sole_height(joints, sole=sole).flatten()
    slow = height[(foot_speed(joints, fps=fps) < CONTACT_SPEED).flatten()]
    if not len(slow):
        return height[height <= height.quantile(0.1)].median()
    level = slow.quantile(0.1)
    for _ in range(3):
        near = slow[(slow - level).abs() <= CONTACT_HEIGHT]
        # A level between a few low feet and many high ones may have none near it.
        level = (near if len(near) else slow[slow <= level]).median()
    return level
