"""Keypoints and the maps between joint sets."""

from __future__ import annotations

import itertools

import pytest
import torch

from humanmotion.errors import MotionError, UsageError
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS, SMPLX_PARENTS
from humanmotion.keypoints import Keypoints, joint_map

SIZES = {
    "smplx_55": 55,
    "coco_17": 17,
    "coco_wholebody_133": 133,
    "openpose_25": 25,
    "openpose_135": 135,
    "mediapipe_33": 33,
    "mediapipe_543": 543,
    "mediapipe_143": 143,
}


def example(joint_set: str = "mediapipe_33", frames: int = 4, *, xyz: bool = True) -> Keypoints:
    joints = len(JOINT_SETS[joint_set])
    generator = torch.Generator().manual_seed(2)
    return Keypoints(
        xy=100 + 50 * torch.rand(frames, joints, 2, generator=generator),
        confidence=torch.rand(frames, joints, generator=generator),
        times=torch.arange(frames) / 30,
        joint_set=joint_set,
        width=640,
        height=480,
        xyz=torch.randn(frames, joints, 3, generator=generator) if xyz else None,
    )


class TestJointSets:
    def test_sizes_are_those_of_the_formats(self):
        assert {name: len(joints) for name, joints in JOINT_SETS.items()} == SIZES

    @pytest.mark.parametrize("name", JOINT_SETS)
    def test_no_name_twice(self, name):
        assert len(set(JOINT_SETS[name])) == len(JOINT_SETS[name])

    def test_parents_come_first_and_stay_on_their_side(self):
        for joint, parent in enumerate(SMPLX_PARENTS):
            assert parent < joint
            for side in ("left", "right"):
                if parent > 0 and SMPLX_JOINTS[parent].startswith(side):
                    assert SMPLX_JOINTS[joint].startswith(side)

    def test_fingers_are_chains_of_three_from_the_wrist(self):
        for side, finger in itertools.product(
            ("left", "right"), ("index", "middle", "pinky", "ring", "thumb")
        ):
            chain = [SMPLX_JOINTS.index(f"{side}_{finger}{i}") for i in (3, 2, 1)]
            parents = [SMPLX_PARENTS[joint] for joint in chain]
            assert parents == [*chain[1:], SMPLX_JOINTS.index(f"{side}_wrist")]


class TestMaps:
    @pytest.mark.parametrize(("source", "target"), [*itertools.product(JOINT_SETS, repeat=2)])
    def test_goes_by_name(self, source, target):
        for place, index in enumerate(joint_map(source, target).tolist()):
            name = JOINT_SETS[target][place]
            assert (
                (JOINT_SETS[source][index] == name)
                if index >= 0
                else name not in JOINT_SETS[source]
            )

    def test_known_places(self):
        assert joint_map("mediapipe_33", "coco_17").tolist() == [
            0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28,
        ]  # fmt: skip
        assert joint_map("openpose_25", "coco_17").tolist() == [
            0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11,
        ]  # fmt: skip

    def test_unknown_set_is_wrong_use(self):
        with pytest.raises(UsageError, match="'h36m_17' is unknown; known are smplx_55"):
            joint_map("coco_17", "h36m_17")


class TestToSet:
    def test_to_its_own_set_is_the_identity(self):
        given = example()
        again = given.to_set("mediapipe_33")
        torch.testing.assert_close(again.xy, given.xy)
        torch.testing.assert_close(again.confidence, given.confidence)

    def test_there_and_back_loses_only_what_the_other_lacks(self):
        given = example("mediapipe_543")
        again = given.to_set("coco_wholebody_133").to_set("mediapipe_543")
        kept = joint_map("coco_wholebody_133", "mediapipe_543") >= 0
        torch.testing.assert_close(again.xy[:, kept], given.xy[:, kept])
        torch.testing.assert_close(again.xyz[:, kept], given.xyz[:, kept])
        assert not again.confidence[:, ~kept].any() and not again.xy[:, ~kept].any()

    def test_works_without_3d_and_without_frames(self):
        assert example(xyz=False).to_set("coco_17").xyz is None
        assert example(frames=0).to_set("coco_17").xy.shape == (0, 17, 2)


class TestBoxes:
    def test_hold_the_confident_points_and_nothing_else(self):
        given = example()
        boxes = given.boxes(0.5)
        for frame in range(len(given)):
            good = given.xy[frame][given.confidence[frame] > 0.5]
            expected = torch.tensor([*good.min(0).values, *good.max(0).values])
            torch.testing.assert_close(boxes[frame], expected)

    def test_unseen_frames_are_zero(self):
        given = example()
        gone = Keypoints(
            xy=given.xy, confidence=torch.zeros(4, 33), times=given.times,
            joint_set="mediapipe_33", width=640, height=480,
        )  # fmt: skip
        assert not gone.boxes().any() and not gone.seen.any()
        assert given.seen.all()


def test_slices_keep_times():
    part = example()[1:3]
    assert len(part) == 2 and part.xyz is not None
    torch.testing.assert_close(part.times, example().times[1:3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joint_set": "h36m_17"}, "unknown"),
        ({"xy": torch.zeros(4, 32, 2)}, "xy has shape"),
        ({"xy": torch.full((4, 33, 2), torch.inf)}, "xy is not finite at frame 0"),
        ({"confidence": torch.full((4, 33), 2.0)}, "confidence"),
        ({"times": torch.zeros(4)}, "times must rise"),
        ({"xyz": torch.zeros(4, 33)}, "xyz has shape"),
    ],
)
def test_checks_itself(change, message):
    given = example()
    values = {
        "xy": given.xy, "confidence": given.confidence, "times": given.times,
        "joint_set": "mediapipe_33", "width": 640, "height": 480,
    }  # fmt: skip
    with pytest.raises(MotionError, match=message):
        Keypoints(**(values | change))
