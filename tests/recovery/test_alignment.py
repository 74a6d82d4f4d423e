"""Yaw over a cut: exact without noise, equivariant, sure when it may be, honest when it may not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from humanmotion.recovery.alignment import align_sides, read_side
from humanmotion.rotations import rotation_about_z, wrap_angle

TIMES = torch.arange(40).double() / 30
AT = 19.5 / 30


def _side(joints, part: slice, *, yaw: float = 0.0, noise: float = 0.0, seed: int = 0):
    """One side of a cut at frame 20, seen by a camera turned by `-yaw`."""
    turn = rotation_about_z(torch.tensor(-yaw, dtype=joints.dtype))
    g = torch.Generator().manual_seed(seed)
    seen = joints[part, :22] @ turn.T
    seen = seen + noise * torch.randn(1, 22, 3, generator=g)
    velocity = (joints[25, 0] - joints[15, 0])[:2].double() * 3
    return read_side(
        seen, TIMES[part], confidence=torch.ones(len(seen), 22), at=AT,
        velocity=turn[:2, :2].double() @ velocity,
        velocity_information=torch.eye(2).double() / 0.3**2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def joints(body, walk):
    return body.joints(walk[0], transl=walk[1])[30:70]


@pytest.mark.parametrize("yaw", [0.0, 0.4, -1.2, 2.0, 3.1, -3.1])
def test_a_noise_free_cut_in_mid_stride_is_found(joints, yaw: float) -> None:
    turn = align_sides([_side(joints, slice(0, 20))], [_side(joints, slice(20, 40), yaw=yaw)])
    assert abs(float(wrap_angle(torch.tensor(turn.yaw_rad - yaw)))) < math.radians(6)
    assert turn.residual_m < 0.04
    assert turn.sigma_rad < math.radians(35)


def test_turning_either_camera_turns_the_answer_as_much(joints) -> None:
    a, b = _side(joints, slice(0, 20), noise=0.05), _side(joints, slice(20, 40), noise=0.05, seed=1)
    base = align_sides([a], [b])
    turned = align_sides([a], [_side(joints, slice(20, 40), yaw=0.7, noise=0.0)])
    assert abs(turned.yaw_rad - 0.7) < 0.25
    assert abs(base.yaw_rad) < 0.4


def test_errors_stay_within_what_is_said(joints) -> None:
    errors, sigmas = [], []
    for seed in range(30):
        yaw = -3 + 0.2 * seed
        a = _side(joints, slice(0, 20), noise=0.06, seed=seed)
        b = _side(joints, slice(20, 40), yaw=yaw, noise=0.06, seed=seed + 100)
        turn = align_sides([a], [b])
        errors.append(abs(float(wrap_angle(torch.tensor(turn.yaw_rad - yaw)))))
        sigmas.append(turn.sigma_rad)
    assert np.degrees(np.median(errors)) < 10
    assert np.mean(np.array(errors) < np.array(sigmas)) > 0.6


def test_two_people_are_better_than_one_and_unseen_ones_say_nothing(joints) -> None:
    one = (_side(joints, slice(0, 20)), _side(joints, slice(20, 40), yaw=1.0))
    alone = align_sides([one[0]], [one[1]])
    both = align_sides([one[0], one[0]], [one[1], one[1]])
    assert both.sigma_rad < alone.sigma_rad
    gone = replace(one[1], confidence=torch.zeros(22).double())
    assert align_sides([one[0], one[0]], [one[1], gone]) == alone
    nobody = align_sides([one[0]], [gone])
    assert math.isinf(nobody.sigma_rad) and nobody.cost == 0


def test_one_wild_limb_is_outvoted(joints) -> None:
    after = _side(joints, slice(20, 40), yaw=0.8)
    wild = after.joints.clone()
    wild[[18, 20]] += torch.tensor((0.8, -0.9, 0.3)).double()
    turn = align_sides([_side(joints, slice(0, 20))], [replace(after, joints=wild)])
    assert abs(turn.yaw_rad - 0.8) < math.radians(6)


def test_read_side_continues_straight_lines_exactly() -> None:
    start = torch.randn(22, 3, generator=torch.Generator().manual_seed(0)).double()
    speed = torch.randn(22, 3, generator=torch.Generator().manual_seed(1)).double()
    start[0], speed[0] = 0.0, 0.0
    joints = start + TIMES[:20, None, None] * speed
    side = read_side(
        joints, TIMES[:20], confidence=torch.ones(20, 22), at=AT,
        velocity=torch.zeros(2), velocity_information=torch.eye(2),
    )  # fmt: skip
    truth = start + AT * speed
    # The ridge that calms two-frame velocities costs a little on straight lines.
    assert float((side.joints - truth).abs().max()) < 0.02
    assert float((side.joint_velocity / speed)[1:].mean()) == pytest.approx(1.0, abs=0.2)


def test_somebody_seen_only_long_before_is_not_there(joints) -> None:
    confidence = torch.ones(20, 22)
    confidence[8:] = 0
    side = read_side(
        joints[:20, :22], TIMES[:20], confidence=confidence, at=AT,
        velocity=torch.zeros(2), velocity_information=torch.eye(2),
    )  # fmt: skip
    assert side.confidence.sum() == 0
