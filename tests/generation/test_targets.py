"""Targets: every joint that can be given is hit, the rest of a motion is left, nonsense is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.generation.cleanup import cleaned
from humanmotion.generation.control import Control, directed
from humanmotion.generation.easing import eased, swelling
from humanmotion.generation.features import POSITIONS
from humanmotion.generation.targets import RAMP_SECONDS, REACHED
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.rotations import rotation_about_z

WALK = "a person walks in a circle"


def missed(motion, rows, body) -> float:
    joints = body.joints_of(motion)
    away = [
        (joints[round(30 * t), SMPLX_JOINTS.index(name)] - torch.tensor(place)).norm()
        for t, name, *place in rows
    ]
    return float(max(away))


def near(motion, body, frame: int, name: str, off) -> tuple:
    """A target off the place where a joint is."""
    place = body.joints_of(motion)[frame, SMPLX_JOINTS.index(name)] + torch.tensor(off)
    return (frame / 30, name, *place.tolist())


@pytest.fixture(scope="module")
def motion(wandering):
    return wandering.resample(30)


@pytest.mark.parametrize("name", REACHED)
@pytest.mark.parametrize("off", [(0.05, -0.04, 0.1), (0.6, 0.5, 0.9)])
def test_every_joint_is_hit_near_and_far(motion, body, name, off) -> None:
    rows = [near(motion, body, 40, name, off)]
    done = Control.of(body, targets=rows).hit(motion, body)
    assert missed(done, rows, body) < 1e-3
    outside = (torch.arange(91) - 40).abs() > 30 * RAMP_SECONDS
    for old, new in zip((motion.rotvec, motion.transl), (done.rotvec, done.transl), strict=True):
        torch.testing.assert_close(old[outside], new[outside], atol=1e-4, rtol=0)


def test_several_at_a_time_and_in_a_row(motion, body) -> None:
    rows = [
        near(motion, body, 20, "left_wrist", (0.1, 0.0, 0.1)),
        near(motion, body, 20, "right_ankle", (0.0, 0.1, 0.05)),
        near(motion, body, 20, "right_wrist", (0.0, 0.1, 0.2)),
        near(motion, body, 26, "left_elbow", (0.03, 0.0, 0.0)),
        near(motion, body, 26, "right_knee", (0.0, 0.02, 0.03)),
        near(motion, body, 26, "right_wrist", (0.0, 0.02, 0.03)),
        near(motion, body, 45, "head", (0.0, 0.02, 0.03)),
        near(motion, body, 45, "left_ankle", (0.1, 0.02, 0.03)),
        near(motion, body, 60, "left_wrist", (0.0, 0.0, -0.3)),
    ]
    done = Control.of(body, targets=rows).hit(motion, body)
    assert missed(done, rows, body) < 1e-3
    before, after = (body.joints_of(m).diff(n=2, dim=0).norm(dim=-1).max() for m in (motion, done))
    assert after < before + 0.05


def test_what_is_hit_already_is_left(motion, body) -> None:
    rows = [near(motion, body, f, n, (0.0, 0.0, 0.0)) for f, n in ((10, "head"), (50, "left_knee"))]
    done = Control.of(body, targets=rows).hit(motion, body)
    torch.testing.assert_close(body.joints_of(done), body.joints_of(motion), atol=1e-4, rtol=0)


def test_keyframes_and_paths_stay_hit(make, wandering, body) -> None:
    keys = wandering[torch.tensor([0, 60])]
    x, y, z = body.joints_of(wandering)[30, 0].tolist()
    rows = [(1.0, "left_wrist", x + 0.2, y + 0.2, z + 0.2), (1.7, "right_ankle", x, y, 0.3)]
    control = Control.of(body, keyframes=keys, path=[(1.0, x, y)], targets=rows)
    (motion,) = directed(make, WALK, control, seconds=3.0, steps=2)
    for done in (motion, cleaned(motion, body, control=control)):
        joints = body.joints_of(done)
        assert missed(done, rows, body) < 1e-3
        assert (joints[[0, 60], :22] - body.joints_of(keys)[:, :22]).norm(dim=-1).max() < 1e-3
        assert (joints[30, 0, :2] - torch.tensor((x, y))).norm() < 1e-3


def test_the_network_is_told_where(motion, body, rest) -> None:
    """In the frame the motion starts in, of that joint alone."""
    rows = [(1.0, "left_wrist", 1.0, 2.0, 1.5), (0.5, "pelvis", 0.5, 0.0, 0.9)]
    control = Control.of(body, path=[(0.0, 1.0, 0.0), (2.0, 2.0, 0.0)], targets=rows)
    place = control.start(rest)
    kept = control.kept(60, place, rest=rest)
    columns = slice(POSITIONS.start + 60, POSITIONS.start + 63)
    assert kept.mask[0, 20].nonzero()[:, 0].tolist() == list(range(columns.start, columns.stop))
    back = place.turn @ kept.values[0, 20, columns] + place.origin
    torch.testing.assert_close(back, torch.tensor((1.0, 2.0, 1.5)))
    assert int(kept.mask[0, 10].sum()) == 6


def test_turning_the_world_turns_the_reach(motion, body) -> None:
    turn = rotation_about_z(torch.tensor(1.0))
    pelvis = motion.transl + body.rest_joints()[0]
    rotations = motion.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    turned = motion.with_rotations(rotations, transl=pelvis @ turn.T - body.rest_joints()[0])
    row = near(motion, body, 40, "left_wrist", (0.1, 0.2, 0.1))
    other = (*row[:2], *(turn @ torch.tensor(row[2:])).tolist())
    a = body.joints_of(Control.of(body, targets=[row]).hit(motion, body))
    b = body.joints_of(Control.of(body, targets=[other]).hit(turned, body))
    torch.testing.assert_close(a @ turn.T, b, atol=1e-3, rtol=0)


@pytest.mark.parametrize("at", [[0], [4], [3, 9], [2, 40]])
def test_swelling_is_easing_with_nothing_a_ramp_away(at) -> None:
    values = torch.randn(len(at), 3, generator=torch.Generator().manual_seed(0))
    found = swelling(torch.tensor(at), values, 60, ramp=10, zero=torch.tensor([6]))
    torch.testing.assert_close(found[at], values)
    assert not found[6].any()
    away = torch.tensor([min(abs(f - a) for a in at) >= 10 for f in range(60)])
    assert not found[away].any()
    if at == [4]:
        knots = torch.cat((torch.zeros(0, 3), values, torch.zeros(1, 3)))
        torch.testing.assert_close(found[:7], eased(torch.tensor([4, 6]), knots, 7))


class TestHostileInput:
    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([(1.0, "left_index1", 0, 0, 1)], "joint 'left_index1' given as a target; give pelvis"),
            ([(1.0, "head", 0, 0, float("inf"))], "not all finite"),
            ([(-1.0, "head", 0, 0, 1)], "give 0 or more"),
            ([(1.0, "left_knee", 0, 0, 1), (1.0, "left_ankle", 0, 0, 1)], "one at a time"),
            ([(1.0, "head", 0, 0, 1), (1.1, "head", 9, 0, 1)], "90 m/s"),
        ],
    )  # fmt: skip
    def test_what_cannot_be(self, body, rows, message):
        with pytest.raises(UsageError, match=message):
            Control.of(body, targets=rows)

    def test_what_does_not_go_together(self, motion, body):
        far = [(1.0, "head", 0.0, 0.0, 1.5), (1.0, "pelvis", 5.0, 0.0, 1.0)]
        with pytest.raises(UsageError, match=r"misses its target at 1.00 s by \d"):
            Control.of(body, targets=far).hit(motion, body)
        x, y, _ = body.joints_of(motion)[30, 0].tolist()
        apart = [(1.0, "left_wrist", x + 3, y, 1.0)]
        with pytest.raises(UsageError, match="left_wrist misses its target"):
            Control.of(body, targets=apart, path=[(1.0, x, y)]).hit(motion, body)
        with pytest.raises(UsageError, match="path and target of the pelvis disagree"):
            Control.of(body, targets=far[1:], path=[(1.0, x, y)])
        with pytest.raises(UsageError, match="leave the target at that time out"):
            Control.of(body, keyframes=motion[30:31], targets=far[:1])

    def test_behind_the_end(self, make, body):
        control = Control.of(body, targets=[(4.0, "head", 0.0, 0.0, 1.5)])
        with pytest.raises(UsageError, match=r"at 4.00 s lies behind the motion's end"):
            directed(make, WALK, control, seconds=3.0)

    def test_shape_counts(self, motion, body):
        tall = replace(motion, betas=torch.full((10,), 0.5))
        rows = [near(tall, body, 40, "left_wrist", (0.1, 0.0, 0.2))]
        assert missed(Control.of(body, targets=rows).hit(tall, body), rows, body) < 1e-3
