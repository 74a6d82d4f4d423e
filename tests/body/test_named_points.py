from __future__ import annotations

import pytest
import torch

from humanmotion.body.carried_points import joint_points, landmark_points, positions
from humanmotion.body.named_points import named_points, rest_places, set_points, vertex_point
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.rotations import rotvec_to_matrix

FREE = tuple(range(22))
BETAS = torch.tensor((1.0, -0.5, *[0.0] * 8))


def posed(count: int = 2):
    generator = torch.Generator().manual_seed(0)
    rotations = rotvec_to_matrix(0.4 * torch.randn(count, 55, 3, generator=generator))
    return rotations, torch.randn(count, 3, generator=generator)


def places(body, which, betas=BETAS):
    return positions(named_points(body, which, joints=FREE, betas=betas), *posed())


def test_names_of_smplx_are_its_joints(default) -> None:
    points = set_points(default, "smplx_55")
    assert tuple(points) == JOINT_SETS["smplx_55"]
    same = joint_points(default, tuple(range(55)), joints=FREE, betas=BETAS)
    assert torch.allclose(places(default, list(points.values())), positions(same, *posed()),
                          atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("joint_set", ["coco_17", "mediapipe_33"])
def test_names_of_detectors_are_their_landmarks(joint_set, default) -> None:
    points = set_points(default, joint_set)
    assert tuple(points) == JOINT_SETS[joint_set]
    same = landmark_points(default, joint_set, joints=FREE, betas=BETAS)
    assert torch.allclose(places(default, list(points.values())), positions(same, *posed()),
                          atol=1e-5)  # fmt: skip


def test_means_lie_between_and_move_as_they_do(default) -> None:
    points = set_points(default, "openpose_25")
    assert set(JOINT_SETS["openpose_25"]) - set(points) == {"left_small_toe", "right_small_toe"}
    which = [points[n] for n in ("neck", "left_shoulder", "right_shoulder", "mid_hip")]
    found = places(default, which)
    assert torch.allclose(found[:, 0], found[:, 1:3].mean(1), atol=1e-5)


def test_vertices_are_those_of_the_skin(default) -> None:
    assert vertex_point(default, "vertex_99999999") is None
    assert vertex_point(default, "vertex_999999") is None
    assert vertex_point(default, "nose") is None
    point = vertex_point(default, "vertex_321")
    rotations, pelvis = posed()
    shift = pelvis - default.rest_joints(BETAS)[0]
    skin = default.vertices(rotations, betas=BETAS, transl=shift)[:, 321]
    # Pose correctives are left out.
    assert float((places(default, [point])[:, 0] - skin).norm(dim=-1).max()) < 0.03


def test_rest_places_are_linear_in_shape(default) -> None:
    which = list(set_points(default, "openpose_25").values())
    rest, slope = rest_places(default, which)
    points = named_points(default, which, joints=FREE, betas=BETAS)
    still = torch.eye(3).expand(1, 55, 3, 3)
    found = positions(points, still, default.rest_joints(BETAS)[:1])[0]
    assert torch.allclose(found, rest + slope @ BETAS, atol=1e-5)
