"""A table of changes as SVG text: a colour for which way and how far, the number in every cell."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from humanmotion.errors import UsageError

_CELL, _ROW, _SIDE, _HEAD = 92, 30, 150, 112
_INK, _NONE = "#707a88", "#8a93a022"
_RISE, _FALL = (224, 104, 60), (63, 127, 232)
_FULL = 2.0
"""Change, as a share of the clean value, from which on a cell has its full colour."""


@dataclass(frozen=True)
class Cell:
    """One value of the table."""

    change: float | None
    """As a share of the value before; None where there is none."""
    text: str
    marked: bool = False
    """Drawn with a frame."""


def heat_table(
    cells: Sequence[Sequence[Cell]], *, rows: Sequence[str], columns: Sequence[str], title: str
) -> str:
    """An SVG document, a line of cells for each of `rows`; readable on light and dark pages.

    Raises UsageError where cells and names differ in number.
    """
    if len(cells) != len(rows) or any(len(line) != len(columns) for line in cells):
        raise UsageError(f"cells do not fill {len(rows)} rows of {len(columns)}; give one a place")
    width, height = _SIDE + _CELL * len(columns) + 16, _HEAD + _ROW * len(rows) + 12
    body = [_text(8, 20, title, size=14, weight=600)]
    for i, name in enumerate(columns):
        x, y = _SIDE + _CELL * i + 12, _HEAD - 10
        body.append(_text(x, y, name, turn=f' transform="rotate(-24 {x} {y})"'))
    for j, (name, line) in enumerate(zip(rows, cells, strict=True)):
        top = _HEAD + _ROW * j
        body.append(_text(_SIDE - 10, top + 19, name, anchor="end"))
        body += [_drawn(cell, _SIDE + _CELL * i, top) for i, cell in enumerate(line)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif">\n' + "\n".join(body) + "\n</svg>\n"
    )


def _drawn(cell: Cell, x: int, y: int) -> str:
    frame = f' stroke="{_INK}" stroke-width="2"' if cell.marked else ""
    box = (
        f'<rect x="{x + 2}" y="{y + 2}" width="{_CELL - 4}" height="{_ROW - 4}" rx="3" '
        f'fill="{_colour(cell.change)}"{frame}/>'
    )
    weight = 600 if cell.marked else 400
    return box + _text(x + _CELL // 2, y + 19, cell.text, anchor="middle", weight=weight)


def _colour(change: float | None) -> str:
    """Clear at no change; by the logarithm, so that a few per cent show beside a threefold."""
    if change is None or not math.isfinite(change):
        return _NONE
    share = min(math.log1p(abs(change)) / math.log1p(_FULL), 1.0)
    r, g, b = _RISE if change > 0 else _FALL
    return f"rgba({r},{g},{b},{0.6 * share:.2f})"


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, weight: int = 400,
    turn: str = "",
) -> str:  # fmt: skip
    return (
        f'<text x="{x}" y="{y}" fill="{_INK}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}"{turn}>{html.escape(text)}</text>'
    )
