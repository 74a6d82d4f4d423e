"""BVH: the body's 55 joints as animators' programs read them; reading is in bvh_read.py.

Written files rest in a T-pose, y up, facing +z, root offset zero (programs disagree on whether a
root offset adds to its position channels), angles in the order Y, Z, X without jumps.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.files import atomic_path
from humanmotion.io.axes import turn_up
from humanmotion.io.bvh_read import read_bvh as read_bvh
from humanmotion.io.euler import continuous_yzx
from humanmotion.io.onto_body import pelvis_path
from humanmotion.io.sampling import evenly_sampled, require_frames
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS
from humanmotion.motion import Motion
from humanmotion.rotations import rotvec_to_matrix

CENTIMETRES = 100.0
_BLOCK = 5_000
"""Frames written at a time; matrices and text take many times the memory of the motion."""
_ROTATION = "Yrotation Zrotation Xrotation"


def write_bvh(
    path: str | Path, motion: Motion, body: BodyModel, *, centimetres: bool = True
) -> None:
    """Write the motion on `body`, atomically; joints of a still face come back within 0.1 mm.

    Offsets are the rest joints at the motion's betas. Expression has no place in BVH: the joints it
    shifts (in the default body neck, head, jaw and eyes, by half a millimetre for a lively face)
    are written where they rest; confidence and contacts are lost. BVH has one frame rate, so a
    variable rate is resampled. Raises UsageError for a motion without frames, or with a gap that
    is too long to be filled (see io.sampling), and OutputError when the file cannot be written.
    """
    require_frames(motion, "BVH")
    motion = evenly_sampled(motion)
    scale = CENTIMETRES if centimetres else 1.0
    rest = body.rest_joints(motion.betas).detach().cpu().double()
    head = ["HIERARCHY", *_hierarchy(rest * scale), "MOTION", f"Frames: {len(motion)}"]
    head.append(f"Frame Time: {1 / motion.fps:.10f}")
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        out.write("\n".join(head) + "\n")
        angles = None
        for first in range(0, len(motion), _BLOCK):
            block = motion[first : first + _BLOCK]
            angles = _angles(block, before=None if angles is None else angles[-1])
            pelvis = turn_up(pelvis_path(block, body).cpu().double(), "y") * scale
            values = torch.cat((pelvis, angles.reshape(len(block), -1) * (180 / math.pi)), -1)
            out.writelines(" ".join(f"{x:.6f}" for x in row) + "\n" for row in values.tolist())


def _angles(motion: Motion, *, before: Tensor | None) -> Tensor:
    """Angles `(T, 55, 3)` in radians in the file's order, going on from the frame `before`."""
    local = rotvec_to_matrix(motion.rotvec.detach().cpu().double())
    local[:, 0] = turn_up(local[:, 0].mT, "y").mT
    return continuous_yzx(local[:, _file_order()], before=before)


def _file_order() -> list[int]:
    """Joints in the depth-first order in which their channels stand in the file."""
    order, stack = [], [0]
    while stack:
        joint = stack.pop()
        order.append(joint)
        stack += reversed([j for j, parent in enumerate(SMPLX_PARENTS) if parent == joint])
    return order


def _hierarchy(rest: Tensor) -> list[str]:
    """The lines of the skeleton with rest joints `(55, 3)` in the file's units."""
    return _joint_lines(rest, 0, 0)


def _joint_lines(rest: Tensor, joint: int, depth: int) -> list[str]:
    parent, pad = SMPLX_PARENTS[joint], "\t" * depth
    offset = rest[joint] - rest[parent] if parent >= 0 else torch.zeros_like(rest[0])
    kind = "JOINT" if parent >= 0 else "ROOT"
    position = "6 Xposition Yposition Zposition " if parent < 0 else "3 "
    lines = [f"{pad}{kind} {SMPLX_JOINTS[joint]}", f"{pad}{{", f"{pad}\tOFFSET {_words(offset)}"]
    lines.append(f"{pad}\tCHANNELS {position}{_ROTATION}")
    children = [j for j, above in enumerate(SMPLX_PARENTS) if above == joint]
    for child in children:
        lines += _joint_lines(rest, child, depth + 1)
    if not children:
        # A tip that continues the bone gives leaf joints a length and a direction to show.
        lines += [f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET {_words(offset / 2)}"]
        lines.append(f"{pad}\t}}")
    return [*lines, f"{pad}}}"]


def _words(offset: Tensor) -> str:
    return " ".join(f"{value:.8f}" for value in offset.tolist())
