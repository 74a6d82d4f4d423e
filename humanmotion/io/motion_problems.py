"""What is wrong with a motion, in words for the user; nothing here changes it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.io.sampling import is_even
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.metrics.contact import sole_height, stance_sole_height
from humanmotion.motion import Motion
from humanmotion.rotations import geodesic_distance, rotvec_to_matrix

JUMP_DEG = 60.0
"""No joint of a living body turns faster than this from frame to frame at 30 fps."""
SUNK_METRES = 0.03
FLOATING_METRES = 0.05
PELVIS_SPEED = 12.0
"""Metres a second; faster than any sprinter."""
BLOCK = 10_000
"""Frames looked at together: rotation matrices take many times the memory of the motion."""


def motion_problems(motion: Motion, *, body: BodyModel | None) -> list[str]:
    """Jumps, wrong axes, gaps in time, absence, and (on its own body) feet off the floor."""
    if not len(motion):
        return ["the motion has no frames"]
    found = [*_jumps(motion), *_axes(motion), *_time(motion)]
    absent = int((motion.confidence.amax(-1) == 0).sum())
    if absent:
        found.append(f"the person is absent (confidence 0) in {absent} of {len(motion)} frames")
    if body is not None and motion.body_id == body.body_id:
        found += _floor(motion, body)
    return found


def _jumps(motion: Motion) -> list[str]:
    if len(motion) < 2:
        return []
    jumps = torch.cat([_jumps_in(motion, first) for first in range(0, len(motion), BLOCK)])
    found = []
    if len(jumps):
        frame, joint = jumps[0].tolist()
        found.append(
            f"jumps of more than {JUMP_DEG:g} degrees a frame: {len(jumps)}, the first at frame "
            f"{frame} ({SMPLX_JOINTS[joint]})"
        )
    speed = motion.transl.diff(dim=0).norm(dim=-1) / motion.times.diff().to(motion.transl.dtype)
    if float(speed.max()) > PELVIS_SPEED:
        found.append(f"the body moves at {float(speed.max()):.0f} m/s at frame "
                     f"{int(speed.argmax()) + 1}")  # fmt: skip
    return found


def _jumps_in(motion: Motion, first: int) -> Tensor:
    """Frame and joint `(n, 2)` of the jumps onto the frames of one block."""
    turns = motion[first : first + BLOCK + 1].rotations
    step = geodesic_distance(turns[1:], turns[:-1]) * (180 / math.pi)
    return (step > JUMP_DEG).nonzero() + torch.tensor((first + 1, 0))


def _axes(motion: Motion) -> list[str]:
    up = _up(motion).median(0).values
    if float(up[2]) < 0.5 and float(up[1].abs()) > 0.7:
        way = "up" if up[1] > 0 else "down"
        return [f"the body stands along y: the file seems to be y {way}, not z up"]
    return []


def _time(motion: Motion) -> list[str]:
    if is_even(motion):
        return []
    longest = float(motion.times.diff().max())
    return [f"time stamps are uneven; the longest step is {longest:.3f} s at {motion.fps:g} fps"]


def _floor(motion: Motion, body: BodyModel) -> list[str]:
    blocks = [motion[first : first + BLOCK] for first in range(0, len(motion), BLOCK)]
    joints = torch.cat([body.joints_of(block) for block in blocks])
    sole = body.sole_offset(motion.betas)
    lowest = sole_height(joints, sole=sole).amin(-1)
    under = lowest < -SUNK_METRES
    if under.any():
        return [
            f"feet are under the floor in {int(under.sum())} frames, "
            f"at deepest {-100 * float(lowest.min()):.0f} cm"
        ]
    stance = float(stance_sole_height(joints, sole=sole, fps=motion.fps))
    if stance > FLOATING_METRES:
        return [f"feet stand {100 * stance:.0f} cm above the floor"]
    return []


def up_axis(motion: Motion) -> str:
    """The world axis along which the body mostly stands: "x", "y" or "z" with a sign."""
    up = torch.zeros(3) if not len(motion) else _up(motion).median(0).values
    axis = int(up.abs().argmax())
    return ("+" if up[axis] >= 0 else "-") + "xyz"[axis]


def _up(motion: Motion) -> Tensor:
    """Where the body's own y axis points, `(T, 3)`."""
    return rotvec_to_matrix(motion.global_orient)[..., 1]
