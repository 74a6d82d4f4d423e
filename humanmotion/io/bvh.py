"""BVH: writing the body's 55 joints, and reading any skeleton onto them.

Written files rest in a T-pose, y up, facing +z, root offset zero (programs disagree on whether a
root offset adds to its position channels), angles in the order Z, X, Y without jumps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError
from humanmotion.files import write_text
from humanmotion.io.axes import turn_up
from humanmotion.io.bvh_names import NEEDED, match_joints
from humanmotion.io.bvh_text import BvhFile, parse_bvh
from humanmotion.io.euler import continuous_zxy
from humanmotion.io.fields import naming
from humanmotion.io.onto_body import stand_on_floor
from humanmotion.io.retarget import leg_length, local_rotations, rest_turns
from humanmotion.io.sampling import evenly_sampled, require_frames
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS
from humanmotion.motion import JOINTS, Motion
from humanmotion.rotations import matrix_to_rotvec, rotvec_to_matrix

CENTIMETRES = 100.0
_ROTATION = "Zrotation Xrotation Yrotation"
_UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "CMU unit": 0.0254 / 0.45}
"""Metres in the units BVH files come in; CMU's are inches divided by 0.45."""
_TYPICAL_LEG = 0.85
_SAME_BODY = 2e-5
"""Metres: rest offsets this close are this body's, up to the rounding of printed numbers."""


def write_bvh(
    path: str | Path, motion: Motion, body: BodyModel, *, centimetres: bool = True
) -> None:
    """Write the motion on `body`, atomically; joints come back within 0.1 mm.

    Offsets are the rest joints at the motion's betas. BVH has one frame rate, so a variable rate
    is resampled; shape, expression, confidence and contacts have no place in it. Raises UsageError
    for a motion without frames, OutputError when the file cannot be written.
    """
    require_frames(motion, "BVH")
    motion = evenly_sampled(motion)
    scale = CENTIMETRES if centimetres else 1.0
    rest = body.rest_joints(motion.betas).detach().cpu().double()
    local = rotvec_to_matrix(motion.rotvec.detach().cpu().double())
    local[:, 0] = turn_up(local[:, 0].mT, "y").mT
    pelvis = turn_up(motion.transl.cpu().double() + rest[0], "y") * scale
    angles = continuous_zxy(local[:, _file_order()]) * (180 / math.pi)
    values = torch.cat((pelvis, angles.reshape(len(motion), -1)), -1).tolist()
    head = ["HIERARCHY", *_hierarchy(rest * scale), "MOTION", f"Frames: {len(motion)}"]
    head.append(f"Frame Time: {1 / motion.fps:.10f}")
    rows = [" ".join(f"{value:.6f}" for value in row) for row in values]
    write_text(path, "\n".join((*head, *rows)) + "\n")


def read_bvh(path: str | Path, *, body: BodyModel) -> Motion:
    """The motion of a BVH file on `body`: the 22 body joints, and fingers where it names them.

    Files of `write_bvh` for this body come back with their shape and all 55 joints. Others are
    retargeted (see retarget.py): the pelvis path is scaled by the ratio of leg lengths, so units
    do not matter, and a constant height puts the median stance sole at 0. What was assumed is in
    `meta["notes"]`. Raises FileFormatError: damaged, not finite, or no person's skeleton.
    """
    file = parse_bvh(path)
    where = match_joints(file.skeleton)
    _check(path, file, where)
    notes: list[str] = []
    rest, (positions, world) = file.rest(), file.posed()
    unit = _unit(leg_length(rest, where))
    notes.append(f"units taken as {unit} from the length of the legs")
    if "position" not in "".join(file.skeleton.channels[0] or ()):
        notes.append("the root has no position channels; it stays in place")
    if _is_z_up(rest, positions, where):
        notes.append("taken as z up from how the person stands")
    else:
        world, positions = turn_up(world.mT, "z").mT, turn_up(positions, "z")
    shape = _own_shape(rest * _UNITS[unit], where, body)
    placed = _Placed(rest, positions[:, where["pelvis"]], world, where)
    with naming(path):
        motion = _on_body(placed, body, shape, _UNITS[unit], _rate(file.frame_time), notes)
    return motion if shape is not None else stand_on_floor(motion, body)


@dataclass(frozen=True)
class _Placed:
    """A file's skeleton: rest `(J, 3)`, and in z-up axes its pelvis `(T, 3)` and joint rotations."""

    rest: Tensor
    pelvis: Tensor
    world: Tensor
    where: dict[str, int]


def _on_body(
    file: _Placed, body: BodyModel, shape: Tensor | None, unit: float, fps: float, notes: list[str]
) -> Motion:
    betas = torch.zeros(10) if shape is None else shape
    rest = body.rest_joints(betas).detach().cpu().double()
    if shape is None:
        turns = rest_turns(rest, file.rest, file.where)
        ours = {name: i for i, name in enumerate(SMPLX_JOINTS)}
        unit = leg_length(rest, ours) / leg_length(file.rest, file.where)
    else:
        turns = torch.eye(3, dtype=torch.float64).expand(JOINTS, 3, 3)
    rotvec = matrix_to_rotvec(local_rotations(file.world, turns, file.where))
    present = torch.tensor([name in file.where for name in SMPLX_JOINTS])
    return Motion.create(
        rotvec.float(),
        (file.pelvis * unit - rest[0]).float(),
        fps=fps,
        betas=betas,
        joints_present=present,
        body_id=body.body_id,
        body_sha256=body.sha256,
        meta={"source_format": "bvh", "notes": notes},
    )


def _own_shape(rest: Tensor, where: dict[str, int], body: BodyModel) -> Tensor | None:
    """The betas with which `body` has these rest joints (metres), if all 55 fit; else None."""
    if len(where) < JOINTS:
        return None
    order = [where[name] for name in SMPLX_JOINTS]
    zero = body.rest_joints(torch.zeros(10)).detach().cpu().double()
    basis = body.rest_joints(torch.eye(10)).detach().cpu().double() - zero
    # The file's root stands at the origin, so bones are compared, not places.
    target = _bones(rest[order]) - _bones(zero)
    columns = _bones(basis).reshape(10, -1).mT
    betas = torch.linalg.lstsq(columns, target.reshape(-1, 1), driver="gelsd").solution[:, 0]
    gap = (columns @ betas - target.reshape(-1)).abs().max()
    return betas.float() if float(gap) < _SAME_BODY else None


def _bones(joints: Tensor) -> Tensor:
    """`(..., 55, 3)` joints to `(..., 54, 3)` offsets from the parent."""
    return joints[..., 1:, :] - joints[..., list(SMPLX_PARENTS[1:]), :]


def _check(path: str | Path, file: BvhFile, where: dict[str, int]) -> None:
    missing = [name for name in ("pelvis", *NEEDED) if name not in where]
    if missing:
        raise FileFormatError(
            f"{path}: no joint found for {', '.join(missing[:4])}; names of SMPL-X, Mixamo, CMU, "
            "DAZ, Unreal and Rigify skeletons are known"
        )
    silent = [name for name, i in where.items() if file.skeleton.channels[i] is None]
    if silent:
        joint = file.skeleton.names[where[silent[0]]][:40]
        raise FileFormatError(f"{path}: joint {joint!r} has no CHANNELS line; it is needed")
    bad = (~torch.isfinite(file.values)).any(-1)
    if bad.any():
        raise FileFormatError(f"{path} is not finite at frame {int(bad.nonzero()[0])}")
    if not leg_length(file.rest(), where) > 0:
        raise FileFormatError(f"{path}: the legs have no length")


def _unit(leg: float) -> str:
    return min(_UNITS, key=lambda name: abs(math.log(leg * _UNITS[name] / _TYPICAL_LEG)))


def _is_z_up(rest: Tensor, positions: Tensor, where: dict[str, int]) -> bool:
    """Whether the person points along z both at rest and in most frames."""
    at_rest = rest[where["head"]] - rest[where["pelvis"]]
    moving = positions[:, where["head"]] - positions[:, where["pelvis"]]
    median = moving.median(0).values if len(moving) else at_rest
    return bool(at_rest.argmax() == 2) and bool(median.argmax() == 2)


def _rate(frame_time: float) -> float:
    # Frame times are printed with six or seven digits: 0.0333333 means 30, not 30.00003.
    return round(1 / frame_time, 3) or 1 / frame_time


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
