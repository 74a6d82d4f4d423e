"""TRC, OpenSim's marker file: joints as markers, metres, y up, tab-separated.

Source: OpenSim documentation, "Marker (.trc) Files".
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError
from humanmotion.files import read_lines, write_text
from humanmotion.io.axes import turn_up
from humanmotion.io.fields import naming
from humanmotion.io.joint_track import JointTrack, cell_number, joint_track, track_from_rows
from humanmotion.io.sampling import require_frames
from humanmotion.motion import MAX_FRAMES, Motion

_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_HEADER_LINES = 5


def write_trc(path: str | Path, motion: Motion, body: BodyModel) -> None:
    """Write the motion's joints on `body` as markers, atomically; times are kept as they are."""
    require_frames(motion, "TRC")
    track = joint_track(motion, body)
    frames, markers = track.positions.shape[:2]
    rate = f"{motion.fps:g}"
    head = (
        f"PathFileType\t4\t(X/Y/Z)\t{Path(path).name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\t"
        "OrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{markers}\tm\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(track.names) + "\t\t",
        "\t\t" + "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, markers + 1)),
        "",
    )
    flat = turn_up(track.positions, "y").reshape(frames, -1).tolist()
    rows = [
        f"{i}\t{time:.6f}\t" + "\t".join(f"{value:.6f}" for value in row)
        for i, (time, row) in enumerate(zip(track.times.tolist(), flat, strict=True), 1)
    ]
    write_text(path, "\n".join((*head, *rows)) + "\n")


def read_trc(path: str | Path) -> JointTrack:
    """The markers of a TRC file in metres, turned to our z-up world (TRC files are y-up).

    Cells of a marker that was not seen are empty or nan. Raises FileFormatError naming the line:
    damaged, cells missing in a frame, unknown units.
    """
    lines = read_lines(path)
    names, metres = _header(path, [line for _, line in islice(lines, _HEADER_LINES)])
    rows: list[list[float]] = []
    for number, line in lines:
        if len(rows) >= MAX_FRAMES:
            raise FileFormatError(f"{path} has more than {MAX_FRAMES} frames; split the file")
        if not line.strip():
            continue
        cells = _cells(line, 2 + 3 * len(names))
        if len(cells) != 2 + 3 * len(names):
            raise FileFormatError(
                f"{path} line {number} has {len(cells)} cells, expected {2 + 3 * len(names)}; "
                "every marker needs its three in every frame, empty ones too"
            )
        try:
            rows.append([float(cells[1]), *(cell_number(c) * metres for c in cells[2:])])
        except ValueError as error:
            raise FileFormatError(f"{path} line {number}: {error}") from error
    if not rows:
        raise FileFormatError(f"{path} has no frames")
    with naming(path):
        track = track_from_rows(names, rows)
        return replace(track, positions=turn_up(track.positions, "z"))


def _cells(line: str, count: int) -> list[str]:
    """The cells of a row; tabs beyond `count` are dropped, as some programs end rows with them."""
    cells = line.rstrip("\n\r").split("\t")
    while len(cells) > count and not cells[-1].strip():
        cells.pop()
    return cells


def _header(path: str | Path, lines: list[str]) -> tuple[tuple[str, ...], float]:
    """Marker names, and metres in one unit of the file."""
    if len(lines) < _HEADER_LINES or not lines[0].startswith("PathFileType"):
        raise FileFormatError(f"{path} is not a TRC file; its first line says no PathFileType")
    facts = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    units = facts.get("Units", "").strip().lower()
    if units not in _METRES:
        raise FileFormatError(f"{path}: unit {units!r}; accepted are {', '.join(_METRES)}")
    names = tuple(name.strip() for name in lines[3].split("\t")[2:] if name.strip())
    if not names:
        raise FileFormatError(f"{path} line 4 names no markers")
    return names, _METRES[units]
