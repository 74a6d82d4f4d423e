"""Joint positions as CSV: a header, then one row a frame: time, pelvis_x, pelvis_y, pelvis_z, ...

Seconds and metres, our z-up world.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError
from humanmotion.files import read_text, write_text
from humanmotion.io.fields import naming
from humanmotion.io.joint_track import JointTrack, joint_track, track_from_rows
from humanmotion.motion import Motion


def write_joints_csv(path: str | Path, motion: Motion, body: BodyModel) -> None:
    """Write the positions of the motion's joints on `body`, atomically."""
    track = joint_track(motion, body)
    flat = track.positions.reshape(len(track.times), -1).tolist()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", *(f"{name}_{axis}" for name in track.names for axis in "xyz")])
    for time, row in zip(track.times.tolist(), flat, strict=True):
        writer.writerow([f"{time:.6f}", *(f"{value:.6f}" for value in row)])
    write_text(path, text.getvalue())


def read_joints_csv(path: str | Path) -> JointTrack:
    """The joints of a CSV with that header; raises FileFormatError naming the line."""
    try:
        lines = list(csv.reader(io.StringIO(read_text(path))))
    except csv.Error as error:
        raise FileFormatError(f"{path} is not CSV: {error}") from error
    names = tuple(cell.removesuffix("_x") for cell in lines[0][1::3]) if lines else ()
    expected = ["time", *(f"{name}_{axis}" for name in names for axis in "xyz")]
    if not names or lines[0] != expected:
        raise FileFormatError(f"{path} does not start with the header time,NAME_x,NAME_y,NAME_z")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        try:
            rows.append([float(cell) for cell in line])
        except ValueError as error:
            raise FileFormatError(f"{path} line {number}: {error}") from error
        if len(line) != len(expected):
            raise FileFormatError(
                f"{path} line {number} has {len(line)} cells, the header {len(expected)}"
            )
    with naming(path):
        return track_from_rows(names, rows)
