"""Laws of Motion: what slicing, joining, resampling and mirroring must keep."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from humanmotion import motion as motion_module
from humanmotion.errors import MotionError, UsageError
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS
from humanmotion.motion import MIRROR_JOINTS, POSE_FIELDS, Motion, concat
from humanmotion.rotations import rotvec_to_matrix

FRAMES = 13


def example(
    frames: int = FRAMES, *, fps: float = 30.0, dtype: torch.dtype = torch.float32
) -> Motion:
    """A smooth motion of all 55 joints from a fixed seed."""
    generator = torch.Generator().manual_seed(7)
    rate = torch.randn(55, 3, generator=generator).to(dtype)
    time = torch.arange(frames, dtype=dtype)[:, None, None] / fps
    walk = torch.randn(frames, 3, generator=generator).to(dtype).cumsum(0) / 30
    return Motion.create(
        0.3 * rate + rate * time,
        walk,
        fps=fps,
        betas=torch.randn(10, generator=generator).to(dtype),
        expression=torch.randn(frames, 10, generator=generator).to(dtype),
        confidence=torch.rand(frames, 55, generator=generator).to(dtype),
        contact=torch.rand(frames, 2, generator=generator).to(dtype),
        shot_id=torch.arange(frames) // 5,
        body_id="somebody",
        meta={"person": 1},
    )


def assert_same(a: Motion, b: Motion, *, atol: float = 1e-6) -> None:
    for field in fields(Motion):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, Tensor):
            torch.testing.assert_close(left, right, atol=atol, rtol=0, msg=field.name)
        else:
            assert left == right, field.name


class TestChecks:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"fps": 0.0}, "fps is 0.0"),
            ({"fps": float("nan")}, "fps is nan"),
            ({"fps": float("inf")}, "fps is inf"),
            ({"transl": torch.zeros(FRAMES, 2)}, r"transl has shape \(13, 2\), expected \(13, 3\)"),
            ({"body_pose": torch.zeros(4, 63)}, r"body_pose has shape \(4, 63\)"),
            ({"betas": torch.zeros(16)}, "betas has shape"),
            (
                {"jaw_pose": torch.zeros(FRAMES, 3).index_fill(0, torch.tensor(6), torch.nan)},
                "jaw_pose is not finite at frame 6",
            ),
            ({"times": torch.tensor([*range(12), 5]).double()}, "times must rise.* frame 12"),
            ({"times": torch.zeros(FRAMES)}, "times must rise"),
            ({"times": 1e300 * torch.arange(FRAMES).double()}, "times reach .* at frame 1"),
            ({"body_pose": torch.full((FRAMES, 63), 1e30)}, r"body_pose reaches 1e\+30 at frame 0"),
            ({"expression": torch.full((FRAMES, 10), -2e3)}, "expression reaches 2e"),
            ({"betas": torch.full((10,), 1e30)}, r"betas reaches 1e\+30; at most 1000"),
            ({"transl": torch.full((FRAMES, 3), 1e30)}, "transl reaches"),
            ({"meta": {"notes": 3}}, "notes must be a list of texts, not 3"),
            ({"meta": {"notes": None}}, "notes must be a list of texts, not None"),
            ({"meta": {"notes": "abc"}}, "notes must be a list of texts, not abc"),
            ({"meta": {"notes": [3]}}, "notes must be a list of texts"),
            ({"confidence": torch.full((FRAMES, 55), 1.5)}, r"confidence leaves \[0, 1\]"),
            ({"contact": torch.full((FRAMES, 2), -0.1)}, r"contact leaves \[0, 1\] at frame 0"),
            ({"transl": [[0, 0, 0]] * FRAMES}, "transl must be a torch tensor, not list"),
        ],
    )
    def test_names_the_field_and_the_frame(self, change, message):
        with pytest.raises(MotionError, match=message):
            replace(example(), **change)

    def test_create_wants_22_or_55_joints(self):
        for shape in ((5, 24, 3), (5, 66), (5,)):
            with pytest.raises(MotionError, match="expected"):
                Motion.create(torch.zeros(shape), torch.zeros(5, 3), fps=30)

    def test_frozen(self):
        with pytest.raises(AttributeError):
            example().fps = 20.0


class TestCreate:
    def test_22_joints_leave_hands_and_face_absent_and_at_rest(self):
        motion = Motion.create(torch.ones(4, 22, 3), torch.zeros(4, 3), fps=20)
        assert motion.joints_present.tolist() == [True] * 22 + [False] * 33
        assert not motion.left_hand_pose.any() and not motion.jaw_pose.any()
        torch.testing.assert_close(motion.confidence, motion.joints_present.float().expand(4, 55))
        torch.testing.assert_close(motion.times, torch.tensor([0, 0.05, 0.1, 0.15]).double())

    def test_fields_follow_joint_order(self):
        motion = example()
        start = 0
        for name, joints in POSE_FIELDS.items():
            given = getattr(motion, name).reshape(FRAMES, joints, 3)
            torch.testing.assert_close(motion.rotvec[:, start : start + joints], given)
            start += joints
        assert start == len(SMPLX_JOINTS) == 55

    @pytest.mark.parametrize("frames", [0, 1, 2])
    def test_short_motions_are_motions(self, frames):
        motion = example(frames)
        assert len(motion) == frames
        assert motion.duration == pytest.approx(max(frames - 1, 0) / 30)
        for other in (motion.mirror(), motion.resample(30), motion[:], concat([motion])):
            assert len(other) == frames

    def test_rotations_round_trip(self):
        motion = example()
        assert_same(motion.with_rotations(motion.rotations), motion, atol=2e-6)
        moved = motion.with_rotations(motion.rotations, transl=motion.transl + 1)
        torch.testing.assert_close(moved.transl, motion.transl + 1)


class TestSlicing:
    def test_parts_join_to_the_whole(self):
        motion = example()
        assert_same(concat([motion[:4], motion[4:5], motion[5:]]), motion)

    def test_indices_and_masks_pick_frames_and_keep_times(self):
        motion = example()
        picked = motion[torch.tensor([1, 4, 9])]
        torch.testing.assert_close(picked.times, motion.times[[1, 4, 9]])
        torch.testing.assert_close(picked.rotvec, motion.rotvec[[1, 4, 9]])
        assert_same(motion[motion.times > 0.2], motion[7:])

    def test_a_motion_as_long_as_its_shape_vector_keeps_the_shape(self):
        motion = example(10)
        torch.testing.assert_close(motion[:4].betas, motion.betas)

    def test_a_reversed_slice_is_refused(self):
        with pytest.raises(MotionError, match="rise"):
            example()[torch.tensor([3, 2])]

    def test_joining_needs_one_body_one_rate_and_something(self):
        motion = example()
        for other in (
            replace(motion, body_id="else"),
            example(fps=25.0),
            replace(motion, betas=motion.betas + 1),
        ):
            with pytest.raises(UsageError, match="share body, fps and betas"):
                concat([motion, other])
        with pytest.raises(UsageError, match="at least one"):
            concat([])

    def test_joining_keeps_only_joints_that_all_carry(self):
        body = example()
        body = replace(body, joints_present=torch.arange(55) < 22)
        assert concat([example(), body]).joints_present.sum() == 22

    def test_joining_an_empty_motion_changes_nothing(self):
        motion = example()
        assert_same(concat([motion[:0], motion]), motion)
        assert_same(concat([motion[:0], motion[5:6]]), motion[5:6])


class TestResampling:
    @pytest.mark.parametrize("fps", [30.0, 20.0, 60.0, 24.0, 29.97, 120.0])
    def test_stays_within_the_source_and_keeps_the_beginning(self, fps):
        motion = example(61)
        again = motion.resample(fps)
        assert again.fps == fps
        assert motion.times[-1] - 1 / fps < again.times[-1] <= motion.times[-1] + 1e-6
        torch.testing.assert_close(
            again.times.diff(), torch.full((len(again) - 1,), 1 / fps).double()
        )
        torch.testing.assert_close(again.rotvec[0], motion.rotvec[0], atol=1e-5, rtol=0)

    def test_same_rate_is_the_identity(self):
        assert_same(example().resample(30.0), example(), atol=5e-6)

    def test_up_and_down_again_is_the_identity(self):
        assert_same(example().resample(90.0).resample(30.0), example(), atol=5e-6)

    def test_constant_spin_and_straight_path_are_exact(self):
        rate = torch.randn(55, 3, generator=torch.Generator().manual_seed(4)).double()
        speed = torch.tensor([1.0, 2.0, 3.0]).double()
        time = torch.arange(FRAMES).double() / 30
        motion = Motion.create(time[:, None, None] * rate, time[:, None] * speed, fps=30.0)
        again = motion.resample(47.0)
        spin = rotvec_to_matrix(again.times[:, None, None] * rate)
        torch.testing.assert_close(again.rotations, spin)
        torch.testing.assert_close(again.transl, again.times[:, None] * speed)

    def test_follows_timestamps_not_frame_numbers(self):
        motion = example(3)
        uneven = replace(motion, times=torch.tensor([0.0, 0.1, 0.4]).double())
        again = uneven.resample(10.0)
        assert len(again) == 5
        torch.testing.assert_close(again.transl[1], motion.transl[1])
        middle = torch.lerp(motion.transl[1], motion.transl[2], 1 / 3)
        torch.testing.assert_close(again.transl[2], middle)

    def test_takes_whole_shots(self):
        again = example().resample(47.0)
        assert again.shot_id.dtype == torch.long
        assert set(again.shot_id.tolist()) <= {0, 1, 2}

    @pytest.mark.parametrize("fps", [0, -1.0, float("nan"), float("inf")])
    def test_refuses_what_is_no_rate(self, fps):
        with pytest.raises(UsageError, match="fps"):
            example().resample(fps)

    def test_a_gap_is_not_filled_without_end(self, monkeypatch):
        monkeypatch.setattr(motion_module, "MAX_FRAMES", 100)
        times = torch.arange(FRAMES).double() / 30
        assert (
            len(replace(example(), times=times + 2.8 * (times > 0.2).double()).resample(30.0)) == 97
        )
        far = replace(example(), times=times + 200_000 * (times > 0.2))
        with pytest.raises(UsageError, match=r"13 frames over 200000 s .* at most 100 are made"):
            far.resample(30.0)

    def test_blocks_leave_no_seam(self, monkeypatch):
        whole = example().resample(47.0)
        monkeypatch.setattr(motion_module, "_RESAMPLE_BLOCK", 4)
        assert_same(example().resample(47.0), whole, atol=0)

    def test_gradient_reaches_the_pose_at_rest(self):
        rotvec = torch.zeros(5, 22, 3, requires_grad=True)
        motion = Motion.create(rotvec, torch.zeros(5, 3), fps=30.0)
        motion.resample(50.0).body_pose.square().sum().backward()
        assert torch.isfinite(rotvec.grad).all()


class TestMirror:
    def test_twice_is_the_identity(self):
        assert_same(example().mirror().mirror(), example())

    def test_swaps_sides_of_names(self):
        for joint, other in enumerate(MIRROR_JOINTS):
            name = SMPLX_JOINTS[joint]
            swapped = name.replace("left", "@").replace("right", "left").replace("@", "right")
            assert SMPLX_JOINTS[other] == swapped
            parent = SMPLX_PARENTS[joint]
            assert SMPLX_PARENTS[other] == (MIRROR_JOINTS[parent] if parent >= 0 else -1)

    def test_reflects_a_symmetric_skeleton(self):
        """Joints of the mirrored motion are the reflected joints, by a slow walk down the tree."""
        motion = example(dtype=torch.float64)
        reflect = torch.tensor([-1.0, 1, 1], dtype=torch.float64)
        offsets = torch.randn(55, 3, generator=torch.Generator().manual_seed(1)).double()
        order = torch.tensor(MIRROR_JOINTS)
        offsets = (offsets + offsets[order] * reflect) / 2
        expected = _joints(motion, offsets)[:, order] * reflect
        torch.testing.assert_close(_joints(motion.mirror(), offsets), expected, atol=1e-9, rtol=0)


def _joints(motion: Motion, offsets: Tensor) -> Tensor:
    out = torch.zeros(len(motion), 55, 3, dtype=torch.float64)
    for frame in range(len(motion)):
        world = []
        for joint, parent in enumerate(SMPLX_PARENTS):
            local = motion.rotations[frame, joint]
            if parent < 0:
                out[frame, joint] = motion.transl[frame] + offsets[joint]
                world.append(local)
            else:
                out[frame, joint] = out[frame, parent] + world[parent] @ offsets[joint]
                world.append(world[parent] @ local)
    return out
