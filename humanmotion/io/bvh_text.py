"""The text of a BVH file: skeleton, channels and numbers, as they stand in the file.

Source: Biovision's format as described by Meredith and Maddock, "Motion Capture File Formats
Explained" (2001). Position channels replace a joint's offset, as Blender and MotionBuilder read it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanmotion.errors import FileFormatError
from humanmotion.files import read_text
from humanmotion.io.euler import matrix_from_angles

MAX_JOINTS = 2048
MAX_CHANNELS = 6
_CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}


@dataclass
class BvhSkeleton:
    """Joints in file order, a parent always before its children."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[tuple[str, ...] | None] = field(default_factory=list)
    """Channel names of each joint; None where the file says nothing."""


@dataclass(frozen=True)
class BvhFile:
    """A parsed file, in its own units and axes."""

    skeleton: BvhSkeleton
    frame_time: float
    """Seconds."""
    values: Tensor
    """`(T, C)`, rotations in degrees; may hold numbers that are not finite."""

    def posed(self) -> tuple[Tensor, Tensor]:
        """Joint positions `(T, J, 3)` and world rotations `(T, J, 3, 3)`, in the file's world."""
        frames, positions, rotations, at = len(self.values), [], [], 0
        skeleton = self.skeleton
        for joint, parent in enumerate(skeleton.parents):
            channels = skeleton.channels[joint] or ()
            part = self.values[:, at : at + len(channels)]
            at += len(channels)
            offset, turn = _local(part, channels, skeleton.offsets[joint])
            if parent >= 0:
                offset = positions[parent] + (rotations[parent] @ offset[..., None])[..., 0]
                turn = rotations[parent] @ turn
            positions.append(offset.expand(frames, 3))
            rotations.append(turn.expand(frames, 3, 3))
        return torch.stack(positions, 1), torch.stack(rotations, 1)

    def rest(self) -> Tensor:
        """Joint positions with every channel at zero, `(J, 3)`; the root at the origin."""
        places: list[Tensor] = []
        for offset, parent in zip(self.skeleton.offsets, self.skeleton.parents, strict=True):
            own = torch.tensor(offset, dtype=torch.float64)
            places.append(places[parent] + own if parent >= 0 else torch.zeros_like(own))
        return torch.stack(places)


def parse_bvh(path: str | Path) -> BvhFile:
    """Read a BVH file's text; raises FileFormatError naming the line that is wrong."""
    lines = [(n, line.strip()) for n, line in enumerate(read_text(path).splitlines(), 1)]
    lines = [(n, line) for n, line in lines if line]
    if not lines or lines[0][1].upper() != "HIERARCHY":
        raise FileFormatError(f"{path} is not a BVH file; it does not start with HIERARCHY")
    motion = next((i for i, (_, line) in enumerate(lines) if line.upper() == "MOTION"), None)
    if motion is None:
        raise FileFormatError(f"{path} has no MOTION part; the file is cut off or damaged")
    skeleton = _parse_skeleton(path, lines[1:motion])
    count = sum(len(channels or ()) for channels in skeleton.channels)
    frame_time, values = _parse_motion(path, lines[motion + 1 :], count)
    return BvhFile(skeleton, frame_time, values)


def _local(part: Tensor, channels: tuple[str, ...], rest: list[float]) -> tuple[Tensor, Tensor]:
    """A joint's offset `(T, 3)` and rotation `(T, 3, 3)` against its parent."""
    offset = part.new_tensor(rest).expand(len(part), 3).clone()
    turns = []
    for place, channel in enumerate(channels):
        if channel.endswith("position"):
            offset[:, "XYZ".index(channel[0])] = part[:, place]
        else:
            turns.append(place)
    axes = "".join(channels[place][0].lower() for place in turns)
    return offset, matrix_from_angles(part[:, turns] * (math.pi / 180), axes)


def _parse_skeleton(path: str | Path, lines: list[tuple[int, str]]) -> BvhSkeleton:
    skeleton = BvhSkeleton()
    # Open braces: the joint each belongs to, -1 for an end site.
    open_joints: list[int] = []
    pending: int | None = None
    for number, line in _braces_apart(lines):
        word, _, rest = line.partition(" ")
        word = word.upper()
        if line == "{":
            if pending is None:
                raise FileFormatError(f"{path} line {number}: a brace without a joint")
            open_joints.append(pending)
            pending = None
        elif line == "}":
            if not open_joints:
                raise FileFormatError(f"{path} line {number}: one closing brace too many")
            open_joints.pop()
        elif word in ("ROOT", "JOINT"):
            pending = _add_joint(path, number, skeleton, rest.strip(), open_joints)
        elif word == "END":
            pending = -1
        elif not open_joints:
            raise FileFormatError(f"{path} line {number}: {line[:40]!r} stands outside a joint")
        elif open_joints[-1] >= 0:
            _joint_line(path, number, skeleton, word, rest.split())
    if open_joints or not skeleton.names:
        raise FileFormatError(f"{path}: the skeleton is cut off or empty (braces do not close)")
    return skeleton


def _braces_apart(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    out = []
    for number, line in lines:
        spaced = line.replace("\t", " ").replace("{", "\n{\n").replace("}", "\n}\n")
        out += [(number, part.strip()) for part in spaced.split("\n") if part.strip()]
    return out


def _add_joint(
    path: str | Path, number: int, skeleton: BvhSkeleton, name: str, open_joints: list[int]
) -> int:
    if not open_joints and skeleton.names:
        raise FileFormatError(f"{path} line {number}: a second skeleton; one person a file is read")
    if name in skeleton.names:
        raise FileFormatError(f"{path} line {number}: joint {name[:40]!r} is there twice")
    if len(skeleton.names) >= MAX_JOINTS:
        raise FileFormatError(f"{path} has more than {MAX_JOINTS} joints")
    skeleton.names.append(name)
    skeleton.parents.append(open_joints[-1] if open_joints else -1)
    skeleton.offsets.append([0.0, 0.0, 0.0])
    skeleton.channels.append(None)
    return len(skeleton.names) - 1


def _joint_line(
    path: str | Path, number: int, skeleton: BvhSkeleton, word: str, rest: list[str]
) -> None:
    # Offsets and channels come before children, so they belong to the joint named last.
    name = skeleton.names[-1]
    if word == "OFFSET":
        values = _floats(path, number, rest)
        if len(values) != 3 or not all(map(math.isfinite, values)):
            raise FileFormatError(f"{path} line {number}: OFFSET of {name[:40]!r} needs 3 numbers")
        skeleton.offsets[-1] = values
    elif word == "CHANNELS":
        names = tuple(rest[1:])
        good = rest[:1] == [str(len(names))] and len(names) <= MAX_CHANNELS
        if not good or len(set(names)) != len(names) or not set(names) <= _CHANNELS:
            raise FileFormatError(
                f"{path} line {number}: CHANNELS of {name[:40]!r} must give a count and that many "
                "different names such as Xposition or Zrotation"
            )
        skeleton.channels[-1] = names
    else:
        raise FileFormatError(f"{path} line {number}: {word[:40]!r} is not known in BVH")


def _parse_motion(
    path: str | Path, lines: list[tuple[int, str]], count: int
) -> tuple[float, Tensor]:
    facts: dict[str, float] = {}
    for number, line in lines[:2]:
        key, _, value = line.partition(":")
        facts[key.strip().lower()] = (_floats(path, number, value.split()[:1]) or [math.nan])[0]
    frames, frame_time = facts.get("frames", math.nan), facts.get("frame time", math.nan)
    if not (0 < frame_time < 1e3) or not frames >= 0:
        raise FileFormatError(f"{path}: MOTION must begin with 'Frames: n' and 'Frame Time: s'")
    rows = lines[2:]
    if len(rows) != frames:
        raise FileFormatError(
            f"{path} says {frames:.0f} frames and holds {len(rows)}; it is cut off or damaged"
        )
    table = np.zeros((len(rows), count))
    for row, (number, line) in enumerate(rows):
        values = line.split()
        if len(values) != count:
            raise FileFormatError(
                f"{path} line {number} has {len(values)} numbers, the channels need {count}"
            )
        table[row] = _floats(path, number, values)
    return frame_time, torch.from_numpy(table)


def _floats(path: str | Path, number: int, values: list[str]) -> list[float]:
    try:
        return [float(value) for value in values]
    except ValueError as error:
        raise FileFormatError(f"{path} line {number}: {error}") from error
