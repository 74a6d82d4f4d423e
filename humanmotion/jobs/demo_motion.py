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
TURN_DEGREES_PER_SECOND = 40.0
FEET = (SMPLX_JOINTS.index("left_foot"), SMPLX_JOINTS.index("right_foot"))
ANKLES = (SMPLX_JOINTS.index("left_ankle"), SMPLX_JOINTS.index("right_ankle"))
_UPRIGHT = (math.pi / 2, 0.0, 0.0)


def walking_motion(body: BodyModel, *, seconds: float, fps: float = 30.0) -> Motion:
    """A walk along a bend in which the right arm is raised in the middle; z up, floor at 0."""
    times = torch.arange(round(seconds * fps), dtype=torch.float64) / fps
    rotvec = _local_poses(times.float(), seconds)
    heading = math.radians(TURN_DEGREES_PER_SECOND) * times.float()
    local = rotvec_to_matrix(rotvec)
    local[:, 0] = rotation_about_z(heading) @ rotvec_to_matrix(torch.tensor(_UPRIGHT))
    transl, contact = _planted(local, body, fps)
    motion = Motion.create(
        rotvec, transl, fps=fps, contact=contact, body_id=body.body_id, body_sha256=body.sha256,
        meta={"source": "humanmotion demo: a walk made of sines"},
    )  # fmt: skip
    return motion.with_rotations(local)


def _local_poses(times: Tensor, seconds: float) -> Tensor:
    """Local rotation vectors `(T, 55, 3)`; the root's is a sway about upright."""
    pose = torch.zeros(len(times), 55, 3)
    phase = 2 * math.pi * times / STEP_SECONDS
    for side, sign in (("left", 1.0), ("right", -1.0)):
        swing = phase if side == "left" else phase + math.pi
        _set(pose, f"{side}_hip", 0, -math.radians(19) * swing.cos() - math.radians(4))
        lifted = torch.clamp((swing + 0.9).sin().neg(), min=0.0) ** 1.5
        _set(pose, f"{side}_knee", 0, math.radians(8) + math.radians(44) * lifted)
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
    pose[:, elbow, 2] -= math.radians(75) * wave
    return pose


def _set(pose: Tensor, joint: str, axis: int, value: Tensor) -> None:
    pose[:, SMPLX_JOINTS.index(joint), axis] = value


def _planted(local: Tensor, body: BodyModel, fps: float) -> tuple[Tensor, Tensor]:
    """`transl` `(T, 3)` and contact `(T, 2)`: the lower foot rolls over the floor without slipping."""
    vertices = body.vertices(local)
    soles = [vertices[:, _foot_vertices(body, side)] for side in (0, 1)]
    heights = torch.stack([sole[..., 2].amin(-1) for sole in soles], -1)
    stance = heights.argmin(-1)
    slides = torch.stack([_slide_of_lowest(sole) for sole in soles], 1)
    slide = slides[torch.arange(len(local) - 1), stance[:-1]]
    path = torch.cat((torch.zeros(1, 2), -slide.cumsum(0)))
    # Changing feet would jolt the pelvis; a body gives way over a tenth of a second.
    width = round(0.1 * fps)
    rise = _smooth(-heights.amin(-1), width)
    path = torch.stack([_smooth(column, width) for column in path.T], -1)
    contact = torch.nn.functional.one_hot(stance, 2).float()
    return torch.cat((path, rise[:, None]), -1), contact


def _foot_vertices(body: BodyModel, side: int) -> Tensor:
    """Vertices that one foot's ankle or toe joint moves most."""
    return torch.isin(body.weights.argmax(-1), torch.tensor((ANKLES[side], FEET[side])))


def _slide_of_lowest(sole: Tensor) -> Tensor:
    """Horizontal step `(T-1, 2)` of whichever vertex is lowest in the earlier frame."""
    lowest = sole[:-1, :, 2].argmin(-1)
    rows = torch.arange(len(sole) - 1)
    return sole[rows + 1, lowest, :2] - sole[rows, lowest, :2]


def _smooth(values: Tensor, width: int) -> Tensor:
    width = max(1, width | 1)
    padded = torch.nn.functional.pad(values[None, None], (width // 2, width // 2), "replicate")
    return torch.nn.functional.avg_pool1d(padded, width, stride=1)[0, 0]
