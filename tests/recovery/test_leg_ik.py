"""Two-bone legs: exact where they reach, nothing moved when nothing is asked, knees keep their side."""

from __future__ import annotations

import pytest
import torch

from humanmotion.body.leg_ik import Posed, _knee_off, overreach, reach_ankles


@pytest.fixture(scope="module")
def posed(body, walk) -> tuple[torch.Tensor, Posed]:
    rotations, transl = walk[0].double(), walk[1].double()
    return rotations, Posed(*body.to(dtype=torch.float64).frames(rotations, transl=transl))


def _solve(body, posed, shift):
    rotations, now = posed
    ankles = now.joints[:, [7, 8]] + shift
    feet = now.world[:, [7, 8]]
    moved = reach_ankles(rotations, now, ankles=ankles, feet_world=feet)
    root = now.joints[:, 0] - body.rest_joints()[0].double()
    model = body.to(dtype=torch.float64)
    return Posed(*model.frames(moved, transl=root)), ankles, moved


def test_ankles_arrive_and_feet_keep_their_direction(body, posed) -> None:
    g = torch.Generator().manual_seed(0)
    shift = 0.05 * torch.randn(240, 2, 3, generator=g).double()
    shift[..., 2] = shift[..., 2].abs()
    after, ankles, _ = _solve(body, posed, shift)
    free = overreach(posed[1], ankles=ankles) == 0
    error = (after.joints[:, [7, 8]] - ankles).norm(dim=-1)
    assert free.double().mean() > 0.8
    assert error[free].max() < 1e-6
    assert torch.allclose(after.world[:, [7, 8]], posed[1].world[:, [7, 8]], atol=1e-5)
    others = [j for j in range(55) if j not in (4, 5, 7, 8, 10, 11)]
    assert torch.allclose(after.joints[:, others], posed[1].joints[:, others], atol=1e-5)


def test_what_is_out_of_reach_is_approached_along_the_line(body, posed) -> None:
    shift = torch.zeros(240, 2, 3).double()
    shift[..., 2] = -0.5
    after, ankles, _ = _solve(body, posed, shift)
    hips = posed[1].joints[:, [1, 2]]
    along = torch.nn.functional.cosine_similarity(
        after.joints[:, [7, 8]] - hips, ankles - hips, dim=-1
    )
    assert (along > 1 - 1e-6).all()
    left = (after.joints[:, [7, 8]] - ankles).norm(dim=-1)
    assert torch.allclose(left, overreach(posed[1], ankles=ankles), atol=1e-6)


def test_asking_for_what_is_there_changes_nothing(body, posed) -> None:
    after, _, moved = _solve(body, posed, torch.zeros(240, 2, 3).double())
    bent = overreach(posed[1], ankles=posed[1].joints[:, [7, 8]]).sum(-1) == 0
    assert bent.double().mean() > 0.9
    assert torch.allclose(moved[bent], posed[0][bent], atol=1e-5)
    assert torch.allclose(after.joints[bent], posed[1].joints[bent], atol=1e-6)


def test_knees_bend_forwards_when_a_straight_leg_is_shortened(body, posed) -> None:
    shift = torch.zeros(240, 2, 3).double()
    shift[..., 2] = 0.15
    after, _, _ = _solve(body, posed, shift)
    for hip, knee, ankle in ((1, 4, 7), (2, 5, 8)):
        middle = (after.joints[:, hip] + after.joints[:, ankle]) / 2
        front = posed[1].world[:, hip, :, 2]
        thigh, shank, reach = (
            (posed[1].joints[:, a] - posed[1].joints[:, b]).norm(dim=-1)
            for a, b in ((hip, knee), (knee, ankle), (hip, ankle))
        )
        straight = thigh + shank - reach < 0.03
        assert straight.any()
        bent = ((after.joints[:, knee] - middle) * front).sum(-1)
        assert (bent[straight] > 0.05).all()


def test_a_knee_does_not_turn_over_as_its_foot_is_moved_past_it() -> None:
    """Crouching, the knee far aside; the foot goes from one side of the knee to the other."""
    count = 200
    joints = torch.zeros(count, 3, 3)
    joints[:, 1] = torch.tensor((0.25, 0.1, -0.25))
    joints[:, 2] = torch.tensor((0.2, 0.0, -0.6))
    posed = Posed(joints, torch.eye(3).expand(count, 3, 3, 3))
    front = torch.tensor((0.6, 0.8, 0.0)).expand(count, 3)
    target = joints[:, 2] + torch.linspace(-0.3, 0.3, count)[:, None] * torch.tensor(
        (1.0, 1.0, 0.0)
    )
    axis = torch.nn.functional.normalize(target, dim=-1)
    far = torch.full((count,), 0.2)
    side = _knee_off(posed, (0, 1, 2), axis, far=far, front=front)
    assert torch.allclose(side.norm(dim=-1), far) and (side * axis).sum(-1).abs().max() < 1e-6
    side = side / 0.2
    turned = (side[1:] * side[:-1]).sum(-1).clamp(max=1).acos().rad2deg()
    assert float(turned.max()) < 1.0
    torch.testing.assert_close((side * axis).sum(-1), torch.zeros(count), atol=1e-6, rtol=0)


@pytest.mark.parametrize("aside", [0.0, 0.005, 0.013, 0.02])
def test_the_knee_of_a_straight_leg_does_not_swing_round_as_its_foot_goes_aside(aside) -> None:
    """A knee a little aside, as skeletons are; 12 cm aside the leg is bent, and the knee in front."""
    count = 200
    leg = torch.tensor((0.0, 0.0, -0.86))
    joints = torch.zeros(count, 3, 3)
    joints[:, 1] = leg / 2 + torch.tensor((aside, 0.0, 0.0))
    joints[:, 2] = leg
    posed = Posed(joints, torch.eye(3).expand(count, 3, 3, 3))
    front = torch.tensor((0.0, 1.0, 0.0)).expand(count, 3)
    target = leg + torch.linspace(0, 0.12, count)[:, None] * torch.tensor((-0.8, -0.6, 1.0))
    axis = torch.nn.functional.normalize(target, dim=-1)
    far = (0.43**2 + aside**2 - (target.norm(dim=-1) / 2) ** 2).sqrt()
    off = _knee_off(posed, (0, 1, 2), axis, far=far, front=front)
    assert (off[0] - joints[0, 1] + leg / 2).norm() < 1e-3
    assert (off.norm(dim=-1) - far).abs().max() < 1e-5
    side = torch.nn.functional.normalize(off, dim=-1)
    bent = far > 0.05
    assert bent.sum() > 100 and (side[bent, 1] > 0.6).all()
    turned = (side[bent] * side[-1]).sum(-1).clamp(max=1).acos().rad2deg()
    assert float(turned.max()) < 25


@pytest.mark.parametrize("back", [0.005, 0.02, 0.025, 0.03, 0.05])
def test_a_knee_that_an_error_bent_back_is_put_right(back) -> None:
    joints = torch.zeros(50, 3, 3)
    joints[:, 1] = torch.tensor((0.0, -back, -0.43))
    joints[:, 2] = torch.tensor((0.0, 0.0, -0.86))
    posed = Posed(joints, torch.eye(3).expand(50, 3, 3, 3))
    far = torch.linspace(back, 0.2, 50)
    axis = torch.tensor((0.0, 0.0, -1.0)).expand(50, 3)
    off = _knee_off(posed, (0, 1, 2), axis, far=far, front=torch.eye(3)[1].expand(50, 3))
    assert torch.allclose(off[:, 1], far, atol=1e-6)


def test_knees_that_come_and_go_about_a_straight_leg_do_not_jump() -> None:
    """Whatever way they bend a little: a frame's step is no larger than what is asked for."""
    g = torch.Generator().manual_seed(0)
    t = torch.linspace(0, 6.28, 400)
    for _ in range(50):
        waves = torch.randn(2, 3, 2, generator=g)
        way = sum(waves[0, k] * torch.sin((k + 1) * t + waves[1, k, 0])[:, None] for k in range(3))
        joints = torch.zeros(400, 3, 3)
        joints[:, 1, :2] = 0.015 * way
        joints[:, 1, 2], joints[:, 2, 2] = -0.43, -0.86
        posed = Posed(joints, torch.eye(3).expand(400, 3, 3, 3))
        axis = torch.tensor((0.0, 0.0, -1.0)).expand(400, 3)
        front = torch.eye(3)[1].expand(400, 3)
        off = _knee_off(posed, (0, 1, 2), axis, far=torch.full((400,), 0.15), front=front)
        assert float(off.diff(dim=0).norm(dim=-1).max()) < 0.03
