"""Drawn hands and faces: limits, the laws of tendons and of antagonists, and what is held out."""

from __future__ import annotations

import pytest
import torch

from humanmotion.body import BodyModel
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.motion import MIRROR_JOINTS
from humanmotion.prior import gestures as g
from humanmotion.prior.expressions import (
    ANTAGONIST_SLACK,
    ANTAGONISTS,
    EXPRESSION_RANGE,
    FACES,
    HELD_OUT_FACES,
    JAW_RANGE_DEG,
    face_distance,
)
from humanmotion.prior.synthetic import (
    CLEARANCE_MM,
    FACE_GAP,
    GAP_DEG,
    sample_angles,
    sample_faces,
    sample_hands,
)
from humanmotion.rotations import rotvec_to_matrix

COUNT = 2000
LEFT, RIGHT = slice(25, 40), slice(40, 55)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def body():
    return BodyModel.load().to(dtype=torch.float32)


def posed(body, left, right=None):
    """Joints `(..., 55, 3)` of the default body with these hands."""
    rotvec = torch.zeros(*left.shape[:-2], 55, 3)
    rotvec[..., LEFT, :] = left
    if right is not None:
        rotvec[..., RIGHT, :] = right
    return rotvec_to_matrix(rotvec)


def hand_distance(a, b):
    return (a[:, None] - b).square().mean((-2, -1)).sqrt()


def named(names):
    return torch.stack([g.GESTURES[name] for name in names])


class TestTables:
    def test_every_gesture_is_within_the_limits_and_not_inside_itself(self):
        angles = named(g.GESTURES)
        torch.testing.assert_close(g.within_limits(angles), angles)
        assert g.clearance_mm(angles).min() > CLEARANCE_MM

    def test_no_two_are_alike(self):
        apart = hand_distance(named(g.GESTURES), named(g.GESTURES))
        assert apart[~torch.eye(len(apart), dtype=torch.bool)].min() > 5
        faces = torch.stack(list(FACES.values()))
        apart = face_distance(faces[:, None], faces)
        assert apart[~torch.eye(len(apart), dtype=torch.bool)].min() > 0.2

    def test_finger_points_are_the_default_bodys(self, body):
        angles = sample_angles(50, generator=seeded())
        joints = body.joints(posed(body, g.hand_rotvec(angles)))
        found = (joints[:, LEFT] - joints[:, [SMPLX_JOINTS.index("left_wrist")]]) * 1000
        ours = g.finger_points(angles)[:, :, :3].flatten(1, 2)
        assert (found - ours).norm(dim=-1).max() < 2.5


@pytest.mark.parametrize("held_out", [False, True])
class TestHands:
    def test_limits_hold(self, held_out):
        angles = sample_angles(COUNT, generator=seeded(), held_out=held_out)
        low, high = g.LIMITS_DEG.unbind(-1)
        assert ((angles >= low - 1e-4) & (angles <= high + 1e-4)).all()
        torch.testing.assert_close(g.within_limits(angles), angles)
        assert g.clearance_mm(angles).min() > CLEARANCE_MM

    def test_one_tendon_bends_both_hinges(self, held_out):
        fingers = sample_angles(COUNT, generator=seeded(), held_out=held_out)[:, : g.THUMB]
        middle, end = fingers[..., g.MIDDLE_HINGE], fingers[..., g.END_HINGE]
        assert (end - g.COUPLING * middle).abs().max() <= g.COUPLING_SLACK_DEG + 1e-4
        assert torch.corrcoef(torch.stack((middle.flatten(), end.flatten())))[0, 1] > 0.95

    def test_same_seed_same_bytes_and_more_only_appends(self, held_out):
        few = sample_hands(100, generator=seeded(5), held_out=held_out)
        more = sample_hands(9000, generator=seeded(5), held_out=held_out)
        assert more.shape == (9000, 15, 3)
        assert torch.equal(few, more[:100])
        assert not torch.equal(few, sample_hands(100, generator=seeded(6), held_out=held_out))

    def test_rotations_are_those_of_the_angles(self, held_out):
        angles = sample_angles(100, generator=seeded(), held_out=held_out)
        hands = sample_hands(100, generator=seeded(), held_out=held_out)
        want = g.joint_rotations(angles).flatten(1, 2)
        torch.testing.assert_close(rotvec_to_matrix(hands), want, atol=1e-5, rtol=0)


class TestWhatHandsDo:
    def test_held_out_gestures_are_never_near_training_hands(self):
        seen = sample_angles(COUNT, generator=seeded())
        unseen = sample_angles(COUNT, generator=seeded(), held_out=True)
        assert hand_distance(seen, named(g.HELD_OUT)).min() > GAP_DEG
        nearest = hand_distance(unseen, named(g.HELD_OUT)).min(-1)
        assert nearest.values.max() < GAP_DEG / 2
        assert hand_distance(unseen, seen).min() > GAP_DEG / 2
        assert torch.bincount(nearest.indices).min() > 0.15 * COUNT

    def test_every_other_gesture_is_shown(self):
        seen = sample_angles(COUNT, generator=seeded())
        names = [name for name in g.GESTURES if name not in g.HELD_OUT]
        assert hand_distance(seen, named(names)).amin(0).max() < 12

    def test_ring_and_little_finger_bend_together(self):
        angles = sample_angles(COUNT, generator=seeded())[:, :, g.MIDDLE_HINGE]
        together = torch.corrcoef(angles.T)
        ring, little = g.FINGERS.index("ring"), g.FINGERS.index("pinky")
        assert together[ring, little] > together[g.FINGERS.index("index"), little] > 0

    def test_a_fist_brings_the_tips_to_the_wrist(self):
        flat, fist = (g.finger_points(g.GESTURES[n])[: g.THUMB, -1] for n in ("flat", "fist"))
        assert (fist.norm(dim=-1) < 0.6 * flat.norm(dim=-1)).all()

    def test_ok_and_pinch_touch_and_a_flat_hand_does_not(self):
        for name, touches in (("ok", True), ("pinch", True), ("flat", False)):
            tips = g.finger_points(g.GESTURES[name])[[0, g.THUMB], -1]
            assert ((tips[0] - tips[1]).norm() < 18) == touches, name

    def test_bending_goes_to_the_palm_and_mirrors_to_the_right_hand(self, body):
        left = sample_hands(20, generator=seeded())
        joints = body.joints(posed(body, left, g.mirrored(left)))
        rest = body.rest_joints()
        # The body itself is symmetric to a hair, so the hands mirror about the plane x = 0.
        mirrored = joints[:, list(MIRROR_JOINTS)] * torch.tensor((-1.0, 1.0, 1.0))
        assert (mirrored - joints).norm(dim=-1).max() < 1e-3
        bent = body.joints(posed(body, g.hand_rotvec(g.GESTURES["relaxed"])))
        tips = [SMPLX_JOINTS.index(f"left_{finger}3") for finger in g.FINGERS]
        assert (bent[tips, 1] < rest[tips, 1]).all()


@pytest.mark.parametrize("held_out", [False, True])
class TestFaces:
    def test_limits_hold(self, held_out):
        shown, jaw = sample_faces(COUNT, generator=seeded(), held_out=held_out)
        assert shown.shape == (COUNT, 10) and jaw.shape == (COUNT, 3)
        assert EXPRESSION_RANGE[0] <= shown.min() and shown.max() <= EXPRESSION_RANGE[1]
        low, high = JAW_RANGE_DEG.deg2rad().unbind(-1)
        assert ((jaw >= low - 1e-6) & (jaw <= high + 1e-6)).all()

    def test_antagonists_exclude_each_other(self, held_out):
        shown, _ = sample_faces(COUNT, generator=seeded(), held_out=held_out)
        for pair in ANTAGONISTS:
            assert shown[:, list(pair)].amin(-1).max() <= ANTAGONIST_SLACK

    def test_same_seed_same_bytes(self, held_out):
        few = sample_faces(100, generator=seeded(5), held_out=held_out)
        more = sample_faces(5000, generator=seeded(5), held_out=held_out)
        assert all(torch.equal(a, b[:100]) for a, b in zip(few, more, strict=True))


class TestWhatFacesDo:
    def test_held_out_expressions_are_never_near_training_faces(self):
        want = torch.stack([FACES[name] for name in HELD_OUT_FACES])
        for held_out in (False, True):
            shown, jaw = sample_faces(COUNT, generator=seeded(), held_out=held_out)
            faces = torch.cat((shown, jaw.rad2deg()), -1)
            nearest = face_distance(faces[:, None], want).min(-1)
            if held_out:
                assert nearest.values.max() < FACE_GAP / 2 + 1e-5
                assert torch.bincount(nearest.indices).min() > 0.1 * COUNT
            else:
                assert nearest.values.min() > FACE_GAP - 1e-5

    def test_eyes_mostly_close_together(self):
        eyes = sample_faces(COUNT, generator=seeded())[0][:, 8:]
        assert torch.corrcoef(eyes.T)[0, 1] > 0.7
        assert 0.01 < ((eyes[:, 0] - eyes[:, 1]).abs() > 0.5).float().mean() < 0.15

    def test_raised_brows_open_the_mouth(self):
        shown, jaw = sample_faces(COUNT, generator=seeded())
        raised = shown[:, 6] > 0.6
        assert jaw[raised, 0].mean() > 1.5 * jaw[~raised, 0].mean()

    def test_the_jaw_opens_the_mouth_of_the_default_body(self, body):
        pose = torch.zeros(2, 55, 3)
        pose[1, SMPLX_JOINTS.index("jaw"), 0] = JAW_RANGE_DEG[0, 1].deg2rad()
        face = body.landmarks("face", rotvec_to_matrix(pose))
        assert (face[1, :, 1] - face[0, :, 1]).min() < -0.01
