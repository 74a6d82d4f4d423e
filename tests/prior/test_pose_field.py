"""Laws of the distance between poses, of the network, and of what a clip's value is made of."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from humanmotion.errors import UsageError
from humanmotion.joint_sets import SMPLX_PARENTS
from humanmotion.motion import MIRROR_JOINTS, Motion
from humanmotion.prior.pose_field import (
    GENERATIONS,
    JOINTS,
    PARENTS,
    PoseField,
    PoseFieldConfig,
    body_quaternions,
    mirrored,
    nearest_pose_distance,
    pose_distance,
)
from humanmotion.prior.pose_quality import dposerx_distance, pose_field_distance
from humanmotion.prior.scoring import score
from humanmotion.prior.space import token_mask
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix


def _turns(*lead: int, seed: int = 0, size: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(*lead, JOINTS, 3, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def field() -> PoseField:
    torch.manual_seed(0)
    return PoseField(PoseFieldConfig(width=16, layers=2)).double()


def test_the_tree_is_the_body_s():
    assert sorted(j for g in GENERATIONS for j in g) == list(range(JOINTS))
    assert [p + 1 for p in PARENTS] == list(SMPLX_PARENTS[1 : JOINTS + 1])
    for before, after in zip(([-1], *GENERATIONS), GENERATIONS, strict=False):
        assert {PARENTS[j] for j in after} <= set(before)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_distance_is_the_root_mean_square_angle_of_rotation(lead):
    a, b = _turns(*lead, seed=1), _turns(*lead, seed=2)
    angles = geodesic_distance(rotvec_to_matrix(a), rotvec_to_matrix(b))
    found = pose_distance(body_quaternions(a), body_quaternions(b))
    assert found.shape == lead
    assert torch.allclose(found, angles.square().mean(-1).sqrt(), atol=1e-6)


def test_distance_is_a_metric_with_digits_near_zero():
    a, b, c = (body_quaternions(_turns(50, seed=s)) for s in (1, 2, 3))
    assert torch.equal(pose_distance(a, b), pose_distance(b, a))
    assert float(pose_distance(a, a).max()) == 0.0
    assert torch.equal(pose_distance(a, -b), pose_distance(a, b))
    assert (pose_distance(a, c) <= pose_distance(a, b) + pose_distance(b, c) + 1e-9).all()
    turned = torch.zeros(JOINTS, 3, dtype=torch.float64)
    turned[4, 1] = 1e-6
    still = body_quaternions(torch.zeros_like(turned))
    expected = 1e-6 / math.sqrt(JOINTS)
    assert float(pose_distance(still, body_quaternions(turned))) == pytest.approx(
        expected, rel=1e-6
    )


def test_a_mirror_keeps_distances_and_twice_is_nothing():
    a, b = (body_quaternions(_turns(20, seed=s)) for s in (1, 2))
    assert torch.allclose(mirrored(mirrored(a)), a)
    assert torch.allclose(pose_distance(mirrored(a), mirrored(b)), pose_distance(a, b))
    # As everywhere else in the package: sides are exchanged, y and z turn the other way.
    turns = _turns()
    other = [j - 1 for j in MIRROR_JOINTS[1 : JOINTS + 1]]
    flipped = turns[other] * torch.tensor((1.0, -1.0, -1.0))
    assert torch.allclose(body_quaternions(flipped), mirrored(body_quaternions(turns)))


def test_the_nearest_pose_is_that_of_all_pairs():
    poses = body_quaternions(_turns(40, seed=1, size=0.4))
    known = body_quaternions(_turns(300, seed=2, size=0.4))
    slow = torch.stack([pose_distance(p, known).amin() for p in poses])
    assert torch.allclose(nearest_pose_distance(poses, known), slow)
    assert torch.allclose(nearest_pose_distance(known[:9], known), torch.zeros(9).double())
    assert torch.allclose(nearest_pose_distance(poses, known[:3]),
                          torch.stack([pose_distance(p, known[:3]).amin() for p in poses]))  # fmt: skip


def test_the_field_is_never_negative_smooth_and_blind_to_the_sign_of_a_quaternion(field):
    poses = body_quaternions(_turns(2, 3))
    found = field(poses)
    assert found.shape == (2, 3)
    assert (found >= 0).all()
    assert torch.equal(field(-poses), found)
    at = poses[0, 0].clone().requires_grad_(True)
    assert torch.autograd.gradcheck(field, (at,), eps=1e-6, atol=1e-4)


def test_a_joint_s_numbers_hang_on_what_lies_between_it_and_the_pelvis_only(field):
    poses = body_quaternions(_turns())
    before = field._features(poses)
    for joint in range(JOINTS):
        moved = poses.clone()
        moved[joint] = body_quaternions(_turns(seed=9))[joint]
        changed = (field._features(moved) != before).any(-1)
        behind = [j for j in range(JOINTS) if joint in _line(j)]
        assert changed.nonzero()[:, 0].tolist() == behind


def _line(joint: int) -> list[int]:
    return [joint, *(_line(PARENTS[joint]) if PARENTS[joint] >= 0 else [])]


def _motion(frames: int = 4) -> Motion:
    turns = torch.zeros(frames, 22, 3)
    turns[:, 1:] = _turns(frames, size=0.3).float()
    return Motion.create(turns, torch.zeros(frames, 3), fps=20.0)


def test_a_clip_s_value_is_the_mean_over_the_frames_that_show_the_person(field, tiny):
    motion, single = _motion(), PoseField(field.config)
    single.load_state_dict(field.state_dict())
    seen = motion.confidence * torch.tensor((1.0, 0, 1, 1))[:, None]
    half = dataclasses.replace(motion, confidence=seen)
    with torch.no_grad():
        each = single(body_quaternions(motion.body_pose.unflatten(-1, (JOINTS, 3))))
    assert pose_field_distance(single, motion).value == pytest.approx(float(each.mean()))
    assert pose_field_distance(single, half).value == pytest.approx(float(each[[0, 2, 3]].mean()))
    state = tiny.space.to_state(motion.rotations)
    each = score(tiny, state[:, None], present=token_mask("body"), levels=(0.4,))[..., :JOINTS]
    assert dposerx_distance(tiny, motion).value == pytest.approx(float(each.mean()))
    assert dposerx_distance(tiny, half).value == pytest.approx(float(each[[0, 2, 3]].mean()))


@pytest.mark.parametrize("which", [pose_field_distance, dposerx_distance])
def test_a_clip_without_person_or_joints_has_no_value(field, tiny, which):
    model = tiny if which is dposerx_distance else field
    motion = _motion()
    nobody = dataclasses.replace(motion, confidence=0 * motion.confidence)
    assert which(model, nobody).reason == "no frame shows the person"
    present = motion.joints_present.clone()
    present[[20, 21]] = False
    lacking = dataclasses.replace(motion, joints_present=present)
    assert which(model, lacking).reason == "2 of the 21 body joints are missing"


def test_where_the_person_is_and_faces_is_no_part_of_a_pose(field, tiny):
    motion = _motion()
    single = PoseField(field.config)
    moved = dataclasses.replace(
        motion, global_orient=motion.global_orient + 1, transl=motion.transl + 3
    )
    assert pose_field_distance(single, moved) == pose_field_distance(single, motion)
    assert dposerx_distance(tiny, moved) == dposerx_distance(tiny, motion)


def test_bad_sizes_and_shapes_are_told():
    with pytest.raises(UsageError, match="21 body joints"):
        body_quaternions(torch.zeros(22, 3))
    with pytest.raises(ValueError, match="1 or more"):
        PoseFieldConfig(width=0)
