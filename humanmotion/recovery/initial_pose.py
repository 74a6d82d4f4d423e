"""A first body pose from root-relative 3D landmarks: turn each limb onto the line seen.

Only a start for the least squares of `lifting`; twist about the limbs is left at rest.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS
from humanmotion.rotations import between_vectors

SET = "mediapipe_33"
NAMES = JOINT_SETS[SET]
_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_LIMBS = (
    ("left_shoulder", "left_shoulder", "left_elbow"),
    ("left_elbow", "left_elbow", "left_wrist"),
    ("right_shoulder", "right_shoulder", "right_elbow"),
    ("right_elbow", "right_elbow", "right_wrist"),
    ("left_hip", "left_hip", "left_knee"),
    ("left_knee", "left_knee", "left_ankle"),
    ("right_hip", "right_hip", "right_knee"),
    ("right_knee", "right_knee", "right_ankle"),
)
"""SMPL-X joint that turns, and the two landmarks its bone runs between; parents come first."""


def mark(name: str) -> int:
    """Index of a landmark in the MediaPipe 33 set."""
    return NAMES.index(name)


def initial_rotations(xyz: Tensor, body: BodyModel) -> Tensor:
    """Local rotations `(T, 55, 3, 3)` from landmarks `xyz` `(T, 33, 3)` in camera axes, metres."""
    frames = len(xyz)
    local = torch.eye(3).repeat(frames, 55, 1, 1)
    local[:, 0] = torso_rotation(xyz, body)
    rest = body.landmarks(SET, torch.eye(3).repeat(55, 1, 1))
    world = {0: local[:, 0]}
    for joint_name, start, end in _LIMBS:
        joint = SMPLX_JOINTS.index(joint_name)
        above = _world_of_parent(joint, body, world)
        seen = xyz[:, mark(end)] - xyz[:, mark(start)]
        bone = rest[mark(end)] - rest[mark(start)]
        wanted = (above.transpose(-1, -2) @ seen[..., None])[..., 0]
        local[:, joint] = between_vectors(bone.expand_as(wanted), wanted)
        world[joint] = above @ local[:, joint]
    return local


def torso_rotation(xyz: Tensor, body: BodyModel) -> Tensor:
    """Root rotation `(T, 3, 3)` from the axis of the hips and shoulders and the line up the back."""
    rest = body.landmarks(SET, torch.eye(3).repeat(55, 1, 1))
    return _torso_frame(xyz) @ _torso_frame(rest[None]).transpose(-1, -2)


def _torso_frame(points: Tensor) -> Tensor:
    left_s, right_s, left_h, right_h = (points[:, mark(n)] for n in _TORSO)
    up = torch.nn.functional.normalize(left_s + right_s - left_h - right_h, dim=-1)
    across = left_s - right_s + left_h - right_h
    across = across - (across * up).sum(-1, keepdim=True) * up
    across = torch.nn.functional.normalize(across, dim=-1)
    return torch.stack((across, up, torch.linalg.cross(across, up)), -1)


def _world_of_parent(joint: int, body: BodyModel, world: dict[int, Tensor]) -> Tensor:
    # Joints between (collars, spine) are at rest, so the nearest turned ancestor speaks for them.
    parent = body.parents[joint]
    while parent not in world:
        parent = body.parents[parent]
    return world[parent]
