"""Small plots as SVG text, for documents and reports; nothing but this file is needed."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from humanmotion.errors import UsageError

_COLORS = ("#3f7fe8", "#e0683c", "#2f9e6e", "#a05bd0", "#c7962b", "#2aa3b8")
_INK, _GRID = "#707a88", "#c9cfd8"
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 34, 44
"""Pixels around the plot for title, numbers and labels."""


@dataclass(frozen=True)
class Line:
    """One line of a plot."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    """As many as `x`; None or NaN breaks the line."""


def line_plot(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    width: int = 640,
    height: int = 320,
) -> str:
    """An SVG document with the lines, axes with round numbers, and a legend.

    Readable on light and dark pages. Raises UsageError when a line's x and y differ in length or
    nothing finite is given.
    """
    points = [_points(line) for line in lines]
    every = [point for line in points for point in line if point is not None]
    if not every:
        raise UsageError("the plot has no finite point; give at least one")
    frame = _Frame(every, width, height)
    body = [_text(_LEFT, 20, title, size=14, weight="600"), *frame.axes(x_label, y_label)]
    for number, line in enumerate(points):
        body.append(frame.path(line, _COLORS[number % len(_COLORS)]))
    if len(lines) > 1:
        body += _legend([line.name for line in lines], width)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif">\n' + "\n".join(body) + "\n</svg>\n"
    )


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about `count` of them: steps of 1, 2 or 5 times 10^n."""
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


class _Frame:
    """Where values lie on the page."""

    def __init__(self, points: Sequence[tuple[float, float]], width: int, height: int) -> None:
        self._x, self._y = (_range([point[axis] for point in points]) for axis in (0, 1))
        self._width, self._height = width, height

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = (y - self._y[0]) / (self._y[1] - self._y[0])
        inner_width = self._width - _LEFT - _RIGHT
        inner_height = self._height - _TOP - _BOTTOM
        return _LEFT + across * inner_width, self._height - _BOTTOM - up * inner_height

    def axes(self, x_label: str, y_label: str) -> list[str]:
        out = []
        right, bottom = self._width - _RIGHT, self._height - _BOTTOM
        for value in ticks(*self._y):
            y = self.place(self._x[0], value)[1]
            out.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="{_GRID}" opacity="0.6"/>')
            out.append(_text(_LEFT - 6, y + 4, f"{value:.6g}", anchor="end"))
        for value in ticks(*self._x, count=7):
            x = self.place(value, self._y[0])[0]
            out.append(f'<path d="M{x:.1f} {bottom}v4" stroke="{_INK}"/>')
            out.append(_text(x, bottom + 17, f"{value:.6g}", anchor="middle"))
        out.append(f'<path d="M{_LEFT} {bottom}H{right}" stroke="{_INK}"/>')
        out.append(_text((_LEFT + right) / 2, self._height - 8, x_label, anchor="middle"))
        middle = (_TOP + bottom) / 2
        turned = f'<g transform="translate(14 {middle:.1f}) rotate(-90)">'
        return [*out, turned + _text(0, 0, y_label, anchor="middle") + "</g>"]

    def path(self, points: Sequence[tuple[float, float] | None], color: str) -> str:
        steps, pen = [], "M"
        for point in points:
            if point is None:
                pen = "M"
                continue
            x, y = self.place(*point)
            # A lone point between gaps would draw nothing without a step.
            steps.append(f"{pen}{x:.1f} {y:.1f}" + ("h0.1" if pen == "M" else ""))
            pen = "L"
        style = f'fill="none" stroke="{color}" stroke-width="1.8" stroke-linejoin="round"'
        return f'<path d="{"".join(steps)}" {style}/>'


def _points(line: Line) -> list[tuple[float, float] | None]:
    if len(line.x) != len(line.y):
        raise UsageError(f"line {line.name!r} has {len(line.x)} x and {len(line.y)} y values")
    return [
        (float(x), float(y)) if y is not None and math.isfinite(x) and math.isfinite(y) else None
        for x, y in zip(line.x, line.y, strict=True)
    ]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The values' range, widened where it is empty; from 0 where they come near it."""
    low, high = min(values), max(values)
    if 0 <= low < high / 2:
        low = 0.0
    if high > low:
        return low, high
    return low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2


def _legend(names: Sequence[str], width: int) -> list[str]:
    """Names from the right end of the title's line, the last one outermost."""
    out, right = [], float(width - _RIGHT)
    for number in reversed(range(len(names))):
        out.append(_text(right, 20, names[number], anchor="end"))
        right -= 6.4 * len(names[number]) + 8
        out.append(
            f'<circle cx="{right:.1f}" cy="16" r="4" fill="{_COLORS[number % len(_COLORS)]}"/>'
        )
        right -= 14
    return out


def _text(
    x: float, y: float, text: str, *, size: int = 11, anchor: str = "start", weight: str = "400"
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}"'
    return f'<text {place} text-anchor="{anchor}" fill="{_INK}">{html.escape(text)}</text>'
