"""Feet and the floor: closed forms, laws and a slow twin."""

from __future__ import annotations

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.metrics import (
    contact_scores,
    floor_float,
    floor_penetration,
    foot_contact,
    foot_sliding,
    foot_speed,
    stance_sole_height,
)
from humanmotion.rotations import rotation_about_z

SOLE = torch.tensor((0.05, 0.05)).double()
FPS = 30.0


def _stepping(frames: int = 120) -> torch.Tensor:
    """Joints (T, 22, 3) whose feet take turns: 20 frames standing, 20 swinging 60 cm ahead."""
    joints = torch.zeros(frames, 22, 3).double()
    joints[..., 2] = 1.0
    for foot, offset in ((10, 0), (11, 20)):
        t = torch.arange(frames) + offset
        phase, cycle = t % 40, t // 40
        swing = ((phase - 20).clamp(min=0) / 20.0).double()
        joints[:, foot, 0] = 0.6 * (cycle + swing)
        joints[:, foot, 2] = 0.05 + 0.15 * (swing * torch.pi).sin()
    return joints


def test_contact_of_stepping_feet_is_the_standing_half() -> None:
    joints = _stepping()
    contact = foot_contact(joints, sole=SOLE, fps=FPS)
    t = torch.arange(120)
    inside = (t % 40 > 0) & (t % 40 < 20)
    assert contact[inside, 0].all()
    swinging = (t % 40 > 21) & (t % 40 < 39)
    assert not contact[swinging, 0].any()
    assert foot_sliding(joints, contact) < 1e-9


def test_contact_twin() -> None:
    g = torch.Generator().manual_seed(2)
    joints = (torch.randn(40, 22, 3, generator=g).double() * 0.02).cumsum(0) * 0.2
    contact = foot_contact(joints, sole=SOLE, fps=FPS)
    speed = foot_speed(joints, fps=FPS)
    for t in range(1, 39):
        for side, foot in enumerate((10, 11)):
            back = float((joints[t, foot] - joints[t - 1, foot]).norm()) * FPS
            on = float((joints[t + 1, foot] - joints[t, foot]).norm()) * FPS
            assert float(speed[t, side]) == pytest.approx((back + on) / 2)
            low = float(joints[t, foot, 2]) - 0.05 < 0.06
            assert bool(contact[t, side]) == (low and (back + on) / 2 < 0.15)


@pytest.mark.parametrize("lead", [(), (3,), (2, 2)])
def test_numbers_do_not_change_when_the_world_turns_about_the_vertical(
    lead: tuple[int, ...],
) -> None:
    g = torch.Generator().manual_seed(0)
    joints = _stepping().expand(*lead, 120, 22, 3) + 0.01 * torch.randn(
        *lead, 120, 22, 3, generator=g
    )
    turn = rotation_about_z(torch.tensor(1.1).double())
    moved = joints @ turn.T + torch.tensor((3.0, -1.0, 0.0)).double()
    contact = foot_contact(joints, sole=SOLE, fps=FPS)
    assert contact.shape == (*lead, 120, 2)
    assert torch.equal(contact, foot_contact(moved, sole=SOLE, fps=FPS))
    assert torch.allclose(foot_sliding(joints, contact), foot_sliding(moved, contact))
    assert torch.allclose(floor_penetration(joints, sole=SOLE), floor_penetration(moved, sole=SOLE))


def test_sliding_is_the_speed_of_a_foot_that_drifts() -> None:
    joints = torch.zeros(50, 22, 3).double()
    joints[:, 10, 0] = 0.003 * torch.arange(50)
    contact = torch.zeros(50, 2, dtype=torch.bool)
    assert float(foot_sliding(joints, contact)) == 0
    contact[:, 0] = True
    assert float(foot_sliding(joints, contact)) == pytest.approx(0.003)


def test_sinking_and_floating_are_the_height_of_the_sole() -> None:
    joints = torch.zeros(4, 22, 3).double()
    joints[:, 10, 2], joints[:, 11, 2] = 0.05 - 0.02, 0.05 + 0.03
    assert torch.allclose(floor_penetration(joints, sole=SOLE), torch.full((4,), 0.02).double())
    both = torch.ones(4, 2, dtype=torch.bool)
    assert float(floor_float(joints, both, sole=SOLE)) == pytest.approx(0.015)
    assert floor_penetration(joints + 1.0, sole=SOLE).max() == 0


@pytest.mark.parametrize("floor", [-2.0, 0.0, 0.7])
def test_stance_height_follows_the_floor_wherever_it_is(floor: float) -> None:
    joints = _stepping()
    joints[..., 2] += floor
    got = stance_sole_height(joints, sole=SOLE, fps=FPS)
    assert float(got) == pytest.approx(floor, abs=1e-9)


def test_stance_height_without_a_slow_foot_and_without_frames() -> None:
    joints = _stepping()
    joints[..., 0] += 0.05 * torch.arange(120)[:, None]
    joints[:, 10:12, 2] += 1.0
    assert float(stance_sole_height(joints, sole=SOLE, fps=FPS)) == pytest.approx(1.0, abs=0.03)
    with pytest.raises(UsageError, match="T >= 1"):
        stance_sole_height(joints[:0], sole=SOLE, fps=FPS)


def test_contact_scores() -> None:
    truth = torch.tensor([[1, 0], [1, 0], [1, 1], [0, 0]]).bool()
    said = torch.tensor([[1, 0], [0, 0], [1, 1], [0, 1]]).bool()
    precision, recall = contact_scores(said, truth)
    assert (float(precision), float(recall)) == (0.75, 0.75)
    nothing = torch.zeros_like(truth)
    assert [float(x) for x in contact_scores(nothing, nothing)] == [1.0, 1.0]


def test_the_floor_is_found_where_few_slow_feet_are_low_and_the_rest_high() -> None:
    joints = torch.zeros(10, 22, 3).double()
    joints[..., 2] = 1.0
    joints[:, 10, 2] = 0.55
    joints[:2, 10, 2] = 0.05
    joints[2:, 10, 0] = 1.0
    joints[:, 11, 0] = torch.arange(10).double()
    level = stance_sole_height(joints, sole=SOLE, fps=FPS)
    assert bool(level.isfinite()) and float(level) == pytest.approx(0.0, abs=1e-6)
