"""Where someone is to be, as CSV: `seconds,x,y` over the floor, `seconds,joint,x,y,z` of joints.

Seconds from the motion's start and metres, in our z-up world.
"""

from __future__ import annotations

import csv
from pathlib import Path

from humanmotion.errors import FileFormatError
from humanmotion.files import read_lines

PATH_HEADER = ["seconds", "x", "y"]
TARGETS_HEADER = ["seconds", "joint", "x", "y", "z"]
MOST_ROWS = 10_000


def read_path_csv(path: str | Path) -> list[tuple[float, float, float]]:
    """Waypoints (seconds, x, y); raises FileFormatError naming the line that is none."""
    return [(a, b, c) for a, b, c in (numbers for _, numbers in _rows(path, PATH_HEADER))]


def read_targets_csv(path: str | Path) -> list[tuple[float, str, float, float, float]]:
    """Targets (seconds, joint, x, y, z), joints by name; FileFormatError naming a line that is none."""
    return [(t, name, x, y, z) for name, (t, x, y, z) in _rows(path, TARGETS_HEADER)]


def _rows(path: str | Path, header: list[str]) -> list[tuple[str, list[float]]]:
    """The text and the numbers of each row."""
    lines = csv.reader(line for _, line in read_lines(path))
    try:
        if [cell.strip() for cell in next(lines, [])] != header:
            raise FileFormatError(f"{path} does not start with the header {','.join(header)}")
        table = [line for _, line in zip(range(MOST_ROWS + 1), lines, strict=False)]
    except csv.Error as error:
        raise FileFormatError(f"{path} is not CSV: {error}") from error
    if not 1 <= len(table) <= MOST_ROWS:
        raise FileFormatError(f"{path} has {len(table)} rows; give 1 to {MOST_ROWS}")
    return [_row(line, header, where=f"{path} line {i}") for i, line in enumerate(table, 2)]


def _row(line: list[str], header: list[str], *, where: str) -> tuple[str, list[float]]:
    if len(line) != len(header):
        raise FileFormatError(f"{where} has {len(line)} cells, the header {len(header)}")
    cells = dict(zip(header, line, strict=True))
    name = cells.pop("joint", "").strip()
    try:
        return name, [float(cell) for cell in cells.values()]
    except ValueError as error:
        raise FileFormatError(f"{where}: {error}") from error
