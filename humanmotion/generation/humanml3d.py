"""The 263 numbers a frame of HumanML3D, at 20 fps, for whatever reads those (Guo et al. 2022).

Per frame: half the turn about the vertical to the next frame, the pelvis' step along the floor and its
height; the other joints about the pelvis; 21 local rotations as two columns each; how all 22 joints
move to the next frame; and whether left ankle, left foot, right ankle and right foot rest. All seen
from the body's heading, y up, facing z, the heading smoothed over time as published. Two things differ
on purpose: rotations are those of our body, where theirs are fitted to positions, and the skeleton
keeps its own size, where theirs is scaled to that of one of their clips.
"""

from __future__ import annotations

import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.skeleton import HIPS
from humanmotion.errors import UsageError
from humanmotion.generation.features import FPS, JOINTS
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.motion import Motion
from humanmotion.rotations import Y_UP_TO_Z_UP, matrix_to_sixd, wrap_angle

SIZE = 263
SHOULDERS = (SMPLX_JOINTS.index("left_shoulder"), SMPLX_JOINTS.index("right_shoulder"))
STANDING = (7, 10, 8, 11)
"""Left ankle and foot, right ankle and foot."""
AT_REST = 0.002
"""Square metres that a resting joint stays within from one frame to the next."""
SMOOTHING = 20.0
"""Frames: how far the heading is smoothed."""


def humanml3d_of(motion: Motion, body: BodyModel) -> Tensor:
    """Features `(T, 263)` of a motion of any rate with T + 1 frames at 20 fps, in its own shape.

    Raises UsageError for less than two frames at 20 fps.
    """
    even = motion.resample(FPS)
    joints, rotations = body.joints_of(even)[:, :JOINTS], even.rotations[:, :JOINTS]
    return humanml3d(joints, rotations)


def humanml3d(joints: Tensor, rotations: Tensor) -> Tensor:
    """Features `(T, 263)` of joints `(T + 1, 22, 3)` in metres, z up, and their local rotations.

    Raises UsageError for less than two frames.
    """
    if len(joints) < 2:
        raise UsageError(f"{len(joints)} frames given; HumanML3D's features need two or more")
    up = joints @ joints.new_tensor(Y_UP_TO_Z_UP)
    up = up - up[..., 1].amin() * up.new_tensor((0.0, 1.0, 0.0))
    turn = _turned_ahead(up)
    around = _about_y(turn)
    steps = up.diff(dim=0)
    flat = up.new_tensor((1.0, 0.0, 1.0))
    about_pelvis = (up - up[:, :1] * flat) @ around.mT
    # Their step is seen from where it leads to, all joints' from where they start.
    way = (around[1:] @ steps[:, 0, :, None])[..., 0]
    moved = steps @ around[:-1].mT
    still = steps[:, list(STANDING)].square().sum(-1) < AT_REST
    return torch.cat(
        (
            wrap_angle(turn.diff())[:, None] / 2, way[:, ::2], up[:-1, 0, 1:2],
            about_pelvis[:-1, 1:].flatten(1), matrix_to_sixd(rotations[:-1, 1:]).flatten(1),
            moved.flatten(1), still.to(up.dtype),
        ), 1,
    )  # fmt: skip


def _turned_ahead(joints: Tensor) -> Tensor:
    """The turn about y `(T)` that makes each pose face z, radians; joints `(T, 22, 3)`, y up."""
    across = sum(joints[:, right] - joints[:, left] for left, right in (HIPS, SHOULDERS))
    assert isinstance(across, Tensor)
    # Their way ahead is no unit vector when it is smoothed, but level.
    ahead = torch.stack((across[:, 2], -across[:, 0]), 1)
    ahead = ahead / across.norm(dim=1, keepdim=True).clamp(min=1e-12)
    smooth = gaussian_filter1d(ahead.double().cpu().numpy(), SMOOTHING, axis=0, mode="nearest")
    x, z = torch.from_numpy(smooth).to(joints).unbind(1)
    return -torch.atan2(x, z)


def _about_y(angle: Tensor) -> Tensor:
    """Rotations `(T, 3, 3)` by angles `(T)` about y."""
    c, s, o, i = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = torch.stack((c, o, s, o, i, o, -s, o, c), -1)
    return rows.unflatten(-1, (3, 3))
