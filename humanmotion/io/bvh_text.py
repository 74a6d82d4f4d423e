"""The text of a BVH file: skeleton, channels and numbers, as they stand in the file.

Source: Biovision's format as described by Meredith and Maddock, "Motion Capture File Formats
Explained" (2001). Position channels replace a joint's offset, as Blender and MotionBuilder read it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanmotion.errors import FileFormatError
from humanmotion.files import read_lines
from humanmotion.io.bvh_rate import frame_rate
from humanmotion.io.euler import matrix_from_angles

MAX_JOINTS = 2048
MAX_CHANNELS = 6
MAX_JOINT_FRAMES = 10_000_000
"""Joints times frames, 90 minutes of 60 joints at 30 fps; more would not fit into memory."""
MAX_BYTES = 512 << 20
"""Rows become numbers one by one, so more text is taken than elsewhere."""
_MISSING = (math.nan, "")
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
    fps: float
    """Frames a second, from a frame time of few digits."""
    values: Tensor
    """`(T, C)`, rotations in degrees; may hold numbers that are not finite."""

    def posed(self) -> tuple[Tensor, Tensor]:
        """Joint positions `(T, J, 3)` and world rotations `(T, J, 3, 3)`, in the file's world."""
        frames, at = len(self.values), 0
        positions: list[Tensor] = []
        rotations: list[Tensor] = []
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
    stripped = ((n, line.strip()) for n, line in read_lines(path, max_bytes=MAX_BYTES))
    lines = ((n, line) for n, line in stripped if line)
    if next(lines, (0, ""))[1].upper() != "HIERARCHY":
        raise FileFormatError(f"{path} is not a BVH file; it does not start with HIERARCHY")
    skeleton = _SkeletonParser(path).parse(_until_motion(path, lines))
    frames, fps = _motion_head(path, lines)
    if frames * len(skeleton.names) > MAX_JOINT_FRAMES:
        raise FileFormatError(
            f"{path} says {frames:g} frames of {len(skeleton.names)} joints; at most "
            f"{MAX_JOINT_FRAMES} joint positions are read, so split the file"
        )
    count = sum(len(channels or ()) for channels in skeleton.channels)
    return BvhFile(skeleton, fps, _rows(path, lines, (frames, count)))


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


class _SkeletonParser:
    """Reads the HIERARCHY part line by line."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._number = 0
        self._skeleton = BvhSkeleton()
        # The joint of each open brace, -1 for an end site.
        self._open: list[int] = []
        self._pending: int | None = None

    def parse(self, lines: Iterator[tuple[int, str]]) -> BvhSkeleton:
        for self._number, line in _braces_apart(lines):
            self._line(line)
        if self._open or not self._skeleton.names:
            raise FileFormatError(f"{self._path}: the skeleton is cut off or empty")
        return self._skeleton

    def _line(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        word = word.upper()
        if line == "{":
            if self._pending is None:
                raise self._error("a brace without a joint")
            self._open.append(self._pending)
            self._pending = None
        elif line == "}":
            if not self._open:
                raise self._error("one closing brace too many")
            self._open.pop()
        elif word in ("ROOT", "JOINT"):
            if (word == "ROOT") == bool(self._open):
                raise self._error(f"{word} stands where it cannot; one skeleton a file is read")
            self._pending = self._add_joint(rest.strip())
        elif word == "END":
            self._pending = -1
        elif not self._open:
            raise self._error(f"{line[:40]!r} stands outside a joint")
        elif self._open[-1] >= 0:
            self._joint_line(word, rest.split())

    def _add_joint(self, name: str) -> int:
        skeleton = self._skeleton
        if not name or (not self._open and skeleton.names):
            raise self._error("a joint without a name, or a second skeleton")
        if self._open and self._open[-1] < 0:
            raise self._error("a joint inside an end site")
        if name in skeleton.names:
            raise self._error(f"joint {name[:40]!r} is there twice")
        if len(skeleton.names) >= MAX_JOINTS:
            raise self._error(f"more than {MAX_JOINTS} joints")
        skeleton.names.append(name)
        skeleton.parents.append(self._open[-1] if self._open else -1)
        skeleton.offsets.append([0.0, 0.0, 0.0])
        skeleton.channels.append(None)
        return len(skeleton.names) - 1

    def _joint_line(self, word: str, rest: list[str]) -> None:
        joint, skeleton = self._open[-1], self._skeleton
        name = skeleton.names[joint][:40]
        if word == "OFFSET":
            values = _floats(rest, f"{self._path} line {self._number}")
            if len(values) != 3 or not all(map(math.isfinite, values)):
                raise self._error(f"OFFSET of {name!r} needs 3 numbers")
            skeleton.offsets[joint] = values
        elif word == "CHANNELS":
            names = tuple(rest[1:])
            fits = rest[:1] == [str(len(names))] and len(names) <= MAX_CHANNELS
            if not fits or len(set(names)) != len(names) or not set(names) <= _CHANNELS:
                raise self._error(
                    f"CHANNELS of {name!r} must give a count and that many different names such "
                    "as Xposition or Zrotation"
                )
            if joint != len(skeleton.names) - 1:
                # The order of the numbers would be anyone's guess.
                raise self._error(f"CHANNELS of {name!r} stand after its children")
            skeleton.channels[joint] = names
        else:
            raise self._error(f"{word[:40]!r} is not known in BVH")

    def _error(self, what: str) -> FileFormatError:
        return FileFormatError(f"{self._path} line {self._number}: {what}")


def _until_motion(path: str | Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        if line.upper() == "MOTION":
            return
        yield number, line
    raise FileFormatError(f"{path} has no MOTION part; the file is cut off or damaged")


def _braces_apart(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        spaced = line.replace("\t", " ").replace("{", "\n{\n").replace("}", "\n}\n")
        yield from ((number, part.strip()) for part in spaced.split("\n") if part.strip())


def _motion_head(path: str | Path, lines: Iterator[tuple[int, str]]) -> tuple[int, float]:
    """The number of frames and the frame rate, from the two lines after MOTION."""
    facts: dict[str, tuple[float, str]] = {}
    for number, line in islice(lines, 2):
        key, _, value = line.partition(":")
        words = value.split()[:1]
        values = _floats(words, f"{path} line {number}")
        facts[key.strip().lower()] = (values[0], words[0]) if values else (math.nan, "")
    frames, (seconds, text) = facts.get("frames", _MISSING)[0], facts.get("frame time", _MISSING)
    if not (0 < seconds < 1e3) or not (frames >= 0 and frames == frames // 1):
        raise FileFormatError(f"{path}: MOTION must begin with 'Frames: n' and 'Frame Time: s'")
    return int(frames), frame_rate(text)


def _rows(path: str | Path, lines: Iterator[tuple[int, str]], shape: tuple[int, int]) -> Tensor:
    """The numbers `(T, C)`; the rows are counted as they come, and one too many ends it."""
    frames, count = shape
    table = np.zeros(shape)
    found = 0
    for found, (number, line) in enumerate(lines, 1):
        if found > frames:
            raise FileFormatError(f"{path} says {frames} frames and holds more; it is damaged")
        cells = line.split()
        if len(cells) != count:
            raise FileFormatError(
                f"{path} line {number} has {len(cells)} numbers, the channels need {count}"
            )
        table[found - 1] = _floats(cells, f"{path} line {number}")
    if found < frames:
        raise FileFormatError(
            f"{path} says {frames} frames and holds {found}; it is cut off or damaged"
        )
    return torch.from_numpy(table)


def _floats(values: list[str], where: str) -> list[float]:
    try:
        return [float(value) for value in values]
    except ValueError as error:
        raise FileFormatError(f"{where}: {error}") from error
