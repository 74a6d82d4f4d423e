"""BVH of any program, read onto the body's joints."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError
from humanmotion.io.axes import turn_up
from humanmotion.io.bvh_names import NEEDED, match_joints
from humanmotion.io.bvh_text import BvhFile, parse_bvh
from humanmotion.io.fields import naming
from humanmotion.io.joint_track import JointTrack
from humanmotion.io.onto_body import stand_on_floor
from humanmotion.io.retarget import leg_length, local_rotations, rest_turns
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS
from humanmotion.motion import JOINTS, Motion
from humanmotion.rotations import matrix_to_rotvec

_UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "CMU unit": 0.0254 / 0.45}
"""Metres in the units BVH files come in; CMU's are inches divided by 0.45."""
_TYPICAL_LEG = 0.85
_SAME_BODY = 2e-5
"""Metres: rest offsets this close are this body's, up to the rounding of printed numbers."""
_OURS = {name: i for i, name in enumerate(SMPLX_JOINTS)}


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
    notes = [f"units taken as {unit} from the length of the legs"]
    if "position" not in "".join(file.skeleton.channels[0] or ()):
        notes.append("the root has no position channels; it stays in place")
    if _is_z_up(rest, positions, where):
        notes.append("taken as z up from how the person stands")
    else:
        world, positions = turn_up(world.mT, "z").mT, turn_up(positions, "z")
    shape = _own_shape(rest * _UNITS[unit], where, body)
    own = shape is not None
    betas = torch.zeros(10) if shape is None else shape
    body_rest = body.rest_joints(betas).detach().cpu().double()
    eye = torch.eye(3, dtype=torch.float64).expand(JOINTS, 3, 3)
    turns = eye if own else rest_turns(body_rest, rest, where)
    scale = _UNITS[unit] if own else leg_length(body_rest, _OURS) / leg_length(rest, where)
    with naming(path):
        motion = Motion.create(
            matrix_to_rotvec(local_rotations(world, turns, where)).float(),
            (positions[:, where["pelvis"]] * scale - body_rest[0]).float(),
            fps=file.fps,
            betas=betas,
            joints_present=torch.tensor([name in where for name in SMPLX_JOINTS]),
            body_id=body.body_id,
            body_sha256=body.sha256,
            meta={"source_format": "bvh", "notes": notes},
        )
    return motion if own else stand_on_floor(motion, body)


def read_bvh_joints(path: str | Path) -> JointTrack:
    """The joint centres of a BVH file itself, of no body: those of the 22 body joints that it has.

    In metres (the unit is taken from the length of the legs) and our z-up world. Raises as `read_bvh`.
    """
    file = parse_bvh(path)
    where = match_joints(file.skeleton)
    _check(path, file, where)
    if not len(file.values):
        raise FileFormatError(f"{path} has no frames")
    rest, (positions, _) = file.rest(), file.posed()
    if not _is_z_up(rest, positions, where):
        positions = turn_up(positions, "z")
    names = tuple(name for name in SMPLX_JOINTS[:22] if name in where)
    chosen = positions[:, [where[name] for name in names]] * _UNITS[_unit(leg_length(rest, where))]
    times = torch.arange(len(chosen), dtype=torch.float64) / file.fps
    seen = torch.ones(chosen.shape[:2], dtype=torch.bool)
    with naming(path):
        return JointTrack(names, times, chosen, seen)


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
