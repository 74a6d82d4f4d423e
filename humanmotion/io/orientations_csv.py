"""Joint orientations as CSV: time, head_qw, head_qx, head_qy, head_qz, ... in one row a frame.

Unit quaternions wxyz in our z-up world: what turns the rest pose (T-pose, y up, facing +z) into the
joint's present orientation. Cells are empty or nan where a joint was not seen.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import roma
import torch
from torch import Tensor

from humanmotion.checks import check_times
from humanmotion.errors import FileFormatError
from humanmotion.files import read_lines
from humanmotion.io.fields import naming
from humanmotion.io.joint_track import cell_number
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.motion import MAX_FRAMES

_PARTS = ("qw", "qx", "qy", "qz")
NORM_RANGE = (0.9, 1.1)
"""Lengths of a quaternion that rounding explains."""


@dataclass(frozen=True)
class OrientationTrack:
    """World orientations of some joints over `T` frames."""

    joints: tuple[int, ...]
    """The M joints, among the 55."""
    times: Tensor
    """Seconds `(T)`, rising."""
    rotations: Tensor
    """`(T, M, 3, 3)`; NaN where not seen."""


def read_orientations_csv(path: str | Path) -> OrientationTrack:
    """The orientations of a CSV with that header; raises FileFormatError naming what is wrong."""
    lines = csv.reader(line for _, line in read_lines(path))
    try:
        joints, cells = _header(path, next(lines, []))
        rows = [_row(line, cells, where=f"{path} line {number}")
                for number, line in zip(range(2, MAX_FRAMES + 2), lines, strict=False)]  # fmt: skip
        if next(lines, None) is not None:
            raise FileFormatError(f"{path} has more than {MAX_FRAMES} frames; split the file")
    except csv.Error as error:
        raise FileFormatError(f"{path} is not CSV: {error}") from error
    if not rows:
        raise FileFormatError(f"{path} has no frames")
    table = torch.tensor(rows, dtype=torch.float64)
    with naming(path):
        check_times(table[:, 0], len(rows))
    return OrientationTrack(
        joints, table[:, 0].contiguous(), _rotations(path, table[:, 1:], len(joints))
    )


def _header(path: str | Path, head: list[str]) -> tuple[tuple[int, ...], int]:
    names = [cell.strip().removesuffix("_qw") for cell in head[1::4]]
    expected = ["time", *(f"{name}_{part}" for name in names for part in _PARTS)]
    if not names or [cell.strip() for cell in head] != expected:
        raise FileFormatError(
            f"{path} does not start with the header time,NAME_qw,NAME_qx,NAME_qy,NAME_qz"
        )
    unknown = [name for name in names if name not in SMPLX_JOINTS]
    if unknown:
        raise FileFormatError(
            f"{path} turns {unknown[0]!r}, which is no joint of SMPL-X (pelvis, head, left_wrist ...)"
        )
    return tuple(SMPLX_JOINTS.index(name) for name in names), len(expected)


def _row(line: list[str], cells: int, *, where: str) -> list[float]:
    if len(line) != cells:
        raise FileFormatError(f"{where} has {len(line)} cells, the header {cells}")
    try:
        return [cell_number(cell) for cell in line]
    except ValueError as error:
        raise FileFormatError(f"{where}: {error}") from error


def _rotations(path: str | Path, table: Tensor, count: int) -> Tensor:
    quaternion_wxyz = table.reshape(len(table), count, 4)
    seen = quaternion_wxyz.isfinite().all(-1)
    length = quaternion_wxyz.norm(dim=-1)
    wrong = (seen & ((length < NORM_RANGE[0]) | (length > NORM_RANGE[1]))) | (
        ~seen & quaternion_wxyz.isfinite().any(-1)
    )
    if bool(wrong.any()):
        frame, joint = wrong.nonzero()[0].tolist()
        raise FileFormatError(
            f"{path} has no unit quaternion (wxyz) for its joint number {joint + 1} at frame {frame}"
        )
    unit = torch.where(seen[..., None], quaternion_wxyz, torch.tensor((1.0, 0, 0, 0)).double())
    unit = unit / unit.norm(dim=-1, keepdim=True)
    rotations = roma.unitquat_to_rotmat(roma.quat_wxyz_to_xyzw(unit)).float()
    return torch.where(seen[..., None, None], rotations, torch.nan)
