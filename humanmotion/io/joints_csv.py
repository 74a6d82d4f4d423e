"""Joint positions as CSV: a header, then one row a frame: time, pelvis_x, pelvis_y, pelvis_z, ...

Seconds and metres, our z-up world.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError
from humanmotion.files import read_lines, write_text
from humanmotion.io.fields import naming
from humanmotion.io.joint_track import JointTrack, cell_number, joint_track, track_from_rows
from humanmotion.io.sampling import require_frames
from humanmotion.motion import MAX_FRAMES, Motion


def write_joints_csv(path: str | Path, motion: Motion, body: BodyModel) -> None:
    """Write the positions of the motion's joints on `body`, atomically."""
    require_frames(motion, "CSV")
    track = joint_track(motion, body)
    flat = track.positions.reshape(len(track.times), -1).tolist()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", *(f"{name}_{axis}" for name in track.names for axis in "xyz")])
    for time, row in zip(track.times.tolist(), flat, strict=True):
        writer.writerow([f"{time:.6f}", *(f"{value:.6f}" for value in row)])
    write_text(path, text.getvalue())


def read_joints_csv(path: str | Path) -> JointTrack:
    """The joints of a CSV with that header; raises FileFormatError naming the line.

    Cells of a joint that was not seen are empty or nan.
    """
    lines = csv.reader(line for _, line in read_lines(path))
    try:
        head = next(lines, [])
        names = tuple(cell.removesuffix("_x") for cell in head[1::3])
        expected = ["time", *(f"{name}_{axis}" for name in names for axis in "xyz")]
        if not names or head != expected:
            raise FileFormatError(
                f"{path} does not start with the header time,NAME_x,NAME_y,NAME_z"
            )
        rows = [_row(line, len(expected), where=f"{path} line {number}")
                for number, line in zip(range(2, MAX_FRAMES + 2), lines, strict=False)]  # fmt: skip
        if next(lines, None) is not None:
            raise FileFormatError(f"{path} has more than {MAX_FRAMES} frames; split the file")
    except csv.Error as error:
        raise FileFormatError(f"{path} is not CSV: {error}") from error
    if not rows:
        raise FileFormatError(f"{path} has no frames")
    with naming(path):
        return track_from_rows(names, rows)


def _row(line: list[str], cells: int, *, where: str) -> list[float]:
    if len(line) != cells:
        raise FileFormatError(f"{where} has {len(line)} cells, the header {cells}")
    try:
        return [cell_number(cell) for cell in line]
    except ValueError as error:
        raise FileFormatError(f"{where}: {error}") from error
