"""MBench's joint metrics: worked by hand, against a slow twin, and what must not change them."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.bench import mbench_twin as twin
from humanmotion.bench.mbench_clips import FAULTS, SIZES, ragged_clip, smooth_figure
from humanmotion.errors import UsageError
from humanmotion.metrics import mbench_joints
from humanmotion.metrics.mbench_feet import foot_depth, ground_penetration
from humanmotion.metrics.mbench_joints import JOINT_METRICS, Scene, joint_metrics
from humanmotion.rotations import rotation_about_z


def _released(joints):
    return {k: v.value for k, v in joint_metrics(joints, mode="released").items()}


def _corrected(joints, *, fps=20.0, floor=0.0, up="z"):
    scene = Scene(fps=fps, floor=floor, up=up)
    return {k: v.value for k, v in joint_metrics(joints, scene=scene).items()}


def _still(frames):
    joints = torch.zeros(frames, 22, 3).double()
    joints[..., 2] = 1.0
    joints[:, (10, 11), 2] = 0.0
    return joints


class TestByHand:
    def test_a_still_figure_scores_nothing(self):
        assert _released(_still(10)) == pytest.approx(dict.fromkeys(JOINT_METRICS, 0.0))

    def test_a_figure_that_glides(self):
        joints = _still(10)
        joints[..., 0] += 0.05 * torch.arange(10).double()[:, None]
        found = _released(joints)
        # Every joint steps 5 cm in the world and not at all about the root; both feet touch the floor.
        assert found["Dynamic_Degree"] == pytest.approx(0.05)
        assert found["Jitter_Degree"] == pytest.approx(0.0, abs=1e-12)
        assert found["Foot_Sliding"] == pytest.approx(0.05, rel=1e-6)
        # In every frame both feet stand and are dragged along: all of part A.
        assert found["Foot_Floating"] == pytest.approx(1.0)

    def test_one_joint_that_shakes(self):
        joints = _still(12)
        joints[:, 20, 1] += 0.01 * (torch.arange(12).double() % 2)
        found = _released(joints)
        # Second difference 2 * 1 cm, first 1 cm, of one joint in 22, in the world and about the root.
        assert found["Jitter_Degree"] == pytest.approx(2 * 0.02 / 22)
        assert found["Dynamic_Degree"] == pytest.approx(2 * 0.01 / 22)

    def test_feet_under_the_floor(self):
        joints = _still(4)
        joints[0, 10, 2], joints[1, 11, 2], joints[2, 10, 2] = -0.03, -0.01, -0.005
        # -5 mm itself does not count: the mean of 3 cm and 1 cm.
        assert _released(joints)["Ground_Penetration"] == pytest.approx(0.02)

    def test_a_flight_that_carries_the_feet_along(self):
        joints = _still(10)
        joints[..., 0] += 0.05 * torch.arange(10).double()[:, None]
        joints[:, (10, 11), 2] = 0.5
        # No contact; each foot's ten frames count half: part B is 20 / 2, over 10 frames.
        assert _released(joints)["Foot_Floating"] == pytest.approx(1.0)
        assert _released(joints)["Foot_Sliding"] == 0.0

    def test_a_left_foot_that_wavers_in_flight(self):
        joints = _still(16)
        t = torch.arange(16).double()
        for foot in (10, 11):
            joints[:, foot, 2] = 0.5
            joints[:, foot, 0] = 0.1 * t
        joints[:, 10, 1] = 0.05 * (t % 4 == 2)
        # The root stands, so neither A nor B; four bumps in one flight of 16 frames: part C.
        assert _released(joints)["Foot_Floating"] == pytest.approx(1.0)
        swapped = joints.clone()
        swapped[:, (10, 11)] = joints[:, (11, 10)]
        assert _released(swapped)["Foot_Floating"] == 0.0

    def test_a_slow_foot_that_hovers_slides(self):
        joints = _still(5)
        joints[:, (10, 11), 2] = 0.3
        joints[:, (10, 11), 0] += 0.009 * torch.arange(5).double()[:, None]
        assert _released(joints)["Foot_Sliding"] == pytest.approx(0.009, rel=1e-6)
        assert _corrected(joints)["Foot_Clearance"] == pytest.approx(0.3)


@pytest.mark.parametrize("first", range(0, 300, 60))
def test_random_ragged_clips_agree_with_the_twin(first):
    for number in range(first, first + 60):
        joints = ragged_clip(number)
        p = joints.tolist()
        expected = twin.metrics(p, joints[:, (10, 11), 2].tolist())
        assert _released(joints) == pytest.approx(expected, abs=1e-6), number
        if number % 3:
            continue
        raised = joints + joints.new_tensor((0, 0, 0.1))
        expected = twin.metrics(raised.tolist(), (joints[:, (10, 11), 2] + 0.03).tolist())
        scene = Scene(floor=0.05, sole=(0.02, 0.02))
        found = {k: v.value for k, v in joint_metrics(raised, scene=scene).items()}
        found.pop("Foot_Clearance")
        found.pop("Foot_Depth")
        assert found == pytest.approx(expected, abs=1e-6), number


def test_short_clips_say_why_they_have_no_value():
    found = joint_metrics(_still(1), mode="released")
    assert found["Ground_Penetration"].value == 0.0
    assert "1 frame at" in found["Jitter_Degree"].reason
    # Three frames at 60 fps are one at 20.
    found = joint_metrics(_still(3), scene=Scene(fps=60.0, floor=0.0))
    assert found["Dynamic_Degree"].value is None


def test_joints_that_are_not_there_are_not_made_up():
    joints = ragged_clip(50)
    present = torch.ones(22, dtype=torch.bool)
    present[11] = False
    joints[:, 11] = torch.nan
    found = joint_metrics(joints, scene=Scene(present=present))
    assert found["Foot_Sliding"].value is None and "not in the clip" in found["Foot_Sliding"].reason
    assert found["Jitter_Degree"].value == pytest.approx(twin.jitter(joints[:, present].tolist()))


@pytest.mark.parametrize("shape", [(0, 22, 3), (5, 21, 3), (5, 22, 2), (22, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(UsageError, match="joints"):
        joint_metrics(torch.zeros(shape))


def test_nan_names_the_frame():
    joints = _still(5)
    joints[3, 4, 0] = torch.nan
    with pytest.raises(UsageError, match="frame 3"):
        joint_metrics(joints)


class TestInvariance:
    def test_yaw_and_a_shift_along_the_floor_change_nothing(self):
        joints = smooth_figure(20)
        turn = rotation_about_z(joints.new_tensor(0.7))
        moved = joints @ turn.mT + joints.new_tensor((3.0, -8.0, 0.0))
        assert _corrected(moved) == pytest.approx(_corrected(joints), rel=1e-6)
        assert _corrected(moved, floor=None) == pytest.approx(
            _corrected(joints, floor=None), rel=1e-6
        )

    def test_a_world_with_y_up_and_a_raised_one_with_its_floor_estimated(self):
        joints = smooth_figure(20)
        y_up = torch.stack((joints[..., 0], joints[..., 2], -joints[..., 1]), -1)
        assert _corrected(y_up, up="y") == pytest.approx(_corrected(joints), rel=1e-9)
        raised = joints + joints.new_tensor((0, 0, 0.8))
        assert _corrected(raised, floor=None) == pytest.approx(_corrected(joints, floor=None))

    def test_tilt_changes_what_the_floor_decides(self):
        joints = smooth_figure(20)
        tilt = joints.new_tensor(((1.0, 0, 0), (0, 0.8, -0.6), (0, 0.6, 0.8)))
        there, here = _corrected(joints @ tilt.mT), _corrected(joints)
        for name in ("Foot_Sliding", "Ground_Penetration"):
            assert abs(there[name] - here[name]) > 0.1 * here[name], name
        for name in ("Jitter_Degree", "Dynamic_Degree"):
            assert there[name] == pytest.approx(here[name], rel=1e-9), name

    @pytest.mark.parametrize("seed", range(4))
    def test_frame_rate(self, seed):
        at = {fps: _corrected(smooth_figure(fps, seed=seed), fps=fps) for fps in (30, 60, 120)}
        for a, b in ((30, 60), (30, 120), (60, 120)):
            for name, value in at[a].items():
                share = 0.05 if name == "Jitter_Degree" else 0.02
                assert at[b][name] == pytest.approx(value, rel=share), (a, b, name)

    def test_whole_multiples_of_the_rate_are_every_nth_frame(self):
        fine = smooth_figure(60)
        kept = mbench_joints.resampled(fine, Scene(fps=60.0))
        assert torch.allclose(kept, fine[::3], atol=1e-12)

    def test_uneven_times_are_brought_to_the_grid(self):
        g = torch.Generator().manual_seed(1)
        times = (torch.arange(180) + 0.3 * torch.rand(180, generator=g)).double() / 30
        wave = (2 * math.pi * times)[:, None, None].sin().expand(-1, 22, 3)
        new = mbench_joints.resampled(wave, Scene(times=times))
        grid = torch.arange(len(new)).double() / 20 + times[0]
        assert float((new[:, 0, 0] - (2 * math.pi * grid).sin()).abs().max()) < 1e-3


class TestSensitivity:
    @pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.name}-{f.metric}")
    def test_the_metric_of_each_fault_moves_the_right_way(self, fault):
        joints = smooth_figure(20, seed=3)
        clean = _corrected(joints)[fault.metric]
        found = _corrected(fault.put(joints, SIZES[-1]))[fault.metric]
        assert fault.sign * (found - clean) > 0

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.name}-{f.metric}")
    @pytest.mark.parametrize("size", SIZES)
    def test_every_fault_displaces_as_much(self, fault, size):
        joints = smooth_figure(20, seed=3)
        away = (fault.put(joints, size) - joints).norm(dim=-1).mean()
        # Legs cannot be dragged any farther than to where they stand still about the root.
        least = 0.0 if fault.name == "floating" else 0.99 * size
        assert least < float(away) <= 1.01 * size

    def test_the_published_penetration_need_not_rise_with_sinking(self):
        height = torch.tensor(((-0.05, 0.0), (0.0, 0.0)))
        assert ground_penetration(height - 0.006) < ground_penetration(height)
        assert foot_depth(height - 0.006) > foot_depth(height)
