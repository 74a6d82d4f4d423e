"""A person who walks along a bend and waves: made from a few sines, so that the demo needs no data.

Feet are planted by construction: the root moves by the opposite of what the lower foot does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.motion import Motion
from humanmotion.rotations import rotation_about_z, rotvec_to_matrix

STEP_SECONDS = 1.15
"""One full gait cycle."""
TURN_DEGREES_PER_SECOND = 9.0
FEET = (SMPLX_JOINTS.index("left_foot"), SMPLX_JOINTS.index("right_foot"))
ANKLES = (SMPLX_JOINTS.index("left_ankle"), SMPLX_JOINTS.index("right_ankle"))
_UPRIGHT = (math.pi / 2, 0.0, 0.0)


def walking_motion(body: BodyModel, *, seconds: float, fps: float = 30.0) -> Motion:
    """A walk along a bend in which the right arm is raised in the middle; z up, floor at 0."""
    times = torch.arange(round(seconds * fps), dtype=torch.float64) / fps
    rotvec = _local_poses(times.float(), seconds)
    heading = torch.deg2rad(torch.tensor(TURN_DEGREES_PER_SECOND)) * times.float()
    root = rotation_about_z(heading) @ rotvec_to_matrix(torch.tensor(_UPRIGHT))
    root = root @ rotvec_to_matrix(rotvec[:, 0])
    local = rotvec_to_matrix(rotvec)
    local[:, 0] = root
    motion = Motion.create(
        rotvec, torch.zeros(len(times), 3), fps=fps, body_id=body.body_id,
        body_sha256=body.sha256, meta={"source": "humanmotion demo: a walk made of sines"},
    )
    pelvis, contact = _planted(body.joints(local), body, fps)
    motion = motion.with_rotations(local, transl=pelvis - body.rest_joints()[0])
    return _with_contact(motion, contact)


def _with_contact(motion: Motion, contact: Tensor) -> Motion:
    from dataclasses import replace

    return replace(motion, contact=contact)


def _local_poses(times: Tensor, seconds: float) -> Tensor:
    """Local rotation vectors `(T, 55, 3)`; the root's is a sway about upright."""
    pose = torch.zeros(len(times), 55, 3)
    phase = 2 * math.pi * times / STEP_SECONDS
    for side, sign in (("left", 1.0), ("right", -1.0)):
        swing = phase if side == "left" else phase + math.pi
        _set(pose, f"{side}_hip", 0, -math.radians(24) * swing.cos() - math.radians(4))
        lifted = torch.clamp((swing + 0.9).sin().neg(), min=0.0) ** 1.5
        _set(pose, f"{side}_knee", 0, math.radians(8) + math.radians(52) * lifted)
        _set(pose, f"{side}_ankle", 0, math.radians(8) * swing.sin() - math.radians(4))
        _set(pose, f"{side}_shoulder", 2, torch.full_like(times, -sign * math.radians(68)))
        # The arm swings against the leg: about the body's x axis, which the lowered arm keeps.
        _set(pose, f"{side}_shoulder", 1, -sign * math.radians(16) * swing.cos())
        _set(pose, f"{side}_elbow", 1, torch.full_like(times, -sign * math.radians(24)))
    _set(pose, "spine2", 1, math.radians(6) * phase.cos())
    _set(pose, "spine1", 0, torch.full_like(times, math.radians(3)))
    wave = torch.exp(-(((times - 0.5 * seconds) / (0.16 * seconds)) ** 2))
    arm = SMPLX_JOINTS.index("right_shoulder")
    pose[:, arm, 2] = pose[:, arm, 2] * (1 - wave) - math.radians(35) * wave
    elbow = SMPLX_JOINTS.index("right_elbow")
    pose[:, elbow, 1] += math.radians(50) * wave
    return pose


def _set(pose: Tensor, joint: str, axis: int, value: Tensor) -> None:
    pose[:, SMPLX_JOINTS.index(joint), axis] = value


def _planted(joints: Tensor, body: BodyModel, fps: float) -> tuple[Tensor, Tensor]:
    """Pelvis path `(T, 3)` and contact `(T, 2)` with the lower foot still and its sole at 0."""
    sole = joints[:, FEET, 2] - body.sole_offset()
    sole = torch.minimum(sole, joints[:, ANKLES, 2] - _ankle_height(body))
    stance = sole.argmin(-1)
    feet = joints[:, FEET, :2]
    rows = torch.arange(len(joints) - 1)
    slide = feet[rows + 1, stance[:-1]] - feet[rows, stance[:-1]]
    path = torch.cat((torch.zeros(1, 2), -slide.cumsum(0)))
    pelvis = torch.cat((path, -sole.amin(-1, keepdim=True)), -1)
    # Heel strike would jolt the pelvis; a body gives way over a tenth of a second.
    pelvis[:, 2] = _smooth(pelvis[:, 2], round(0.1 * fps))
    return pelvis + joints[:, 0] * 0, torch.nn.functional.one_hot(stance, 2).float()


def _ankle_height(body: BodyModel) -> Tensor:
    rest = body.rest_joints()
    return rest[list(ANKLES), 1] - rest[list(FEET), 1] + body.sole_offset()


def _smooth(values: Tensor, width: int) -> Tensor:
    width = max(1, width | 1)
    padded = torch.nn.functional.pad(values[None, None], (width // 2, width // 2), "replicate")
    return torch.nn.functional.avg_pool1d(padded, width, stride=1)[0, 0]
