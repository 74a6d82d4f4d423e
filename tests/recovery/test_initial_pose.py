"""The analytic start pose: exact on bone directions for poses without twist."""

from __future__ import annotations

import torch

from humanmotion.body import BodyModel
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.recovery.initial_pose import initial_rotations, mark, torso_rotation
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix

BODY = BodyModel.load()


def _landmarks(rotations: torch.Tensor) -> torch.Tensor:
    return BODY.landmarks("mediapipe_33", rotations)


def test_torso_rotation_is_exact_for_a_rigid_body() -> None:
    torch.manual_seed(0)
    turn = rotvec_to_matrix(torch.randn(20, 3))
    rotations = torch.eye(3).repeat(20, 55, 1, 1)
    rotations[:, 0] = turn
    found = torso_rotation(_landmarks(rotations), BODY)
    assert geodesic_distance(found, turn).max() < 1e-3


def test_limbs_point_where_the_landmarks_do() -> None:
    torch.manual_seed(1)
    rotations = torch.eye(3).repeat(30, 55, 1, 1)
    rotations[:, 0] = rotvec_to_matrix(torch.randn(30, 3))
    for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip"):
        rotations[:, SMPLX_JOINTS.index(name)] = rotvec_to_matrix(0.7 * torch.randn(30, 3))
    for name in ("left_elbow", "right_elbow", "left_knee", "right_knee"):
        rotations[:, SMPLX_JOINTS.index(name)] = rotvec_to_matrix(0.7 * torch.randn(30, 3))
    seen = _landmarks(rotations)
    again = _landmarks(initial_rotations(seen, BODY))
    for start, end in (
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
        ("hip", "knee"),
        ("knee", "ankle"),
    ):
        for side in ("left", "right"):
            a, b = mark(f"{side}_{start}"), mark(f"{side}_{end}")
            one, two = seen[:, b] - seen[:, a], again[:, b] - again[:, a]
            angle = torch.nn.functional.cosine_similarity(one, two, dim=-1).clamp(-1, 1).acos()
            # Landmarks lie beside the joints, so the line is met to a few degrees, not exactly.
            assert angle.median().rad2deg() < 12, (start, side)
