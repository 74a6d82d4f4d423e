from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import pytest

from humanmotion.errors import UsageError
from humanmotion.viz.plots import Line, line_plot, ticks

SVG = "{http://www.w3.org/2000/svg}"


def _plot(lines, **labels):
    given = {"title": "t", "x_label": "x", "y_label": "y"} | labels
    return ElementTree.fromstring(line_plot(lines, **given))


def _lines(root) -> list[str]:
    return [p.get("d") for p in root.iter(f"{SVG}path") if p.get("fill") == "none"]


def test_hostile_names_stay_text() -> None:
    hostile = "</text><script>alert(1)</script> & \"'"
    x = [0.0, 1.0]
    root = _plot([Line(hostile, x, x), Line("b", x, x)], title=hostile, y_label=hostile)
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert texts.count(hostile) == 3
    assert not list(root.iter(f"{SVG}script"))


def test_points_keep_their_order_and_proportion() -> None:
    (path,) = _lines(_plot([Line("a", [0, 1, 4], [0.0, 10.0, 5.0])]))
    points = [tuple(map(float, p.split("h")[0].split())) for p in path[1:].split("L")]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert (x1 - x0) * 4 == pytest.approx(x2 - x0, abs=0.3)
    assert (y0 - y1) == pytest.approx(2 * (y0 - y2), abs=0.3) and y1 < y2 < y0


@pytest.mark.parametrize("gap", [None, math.nan, math.inf])
def test_gaps_break_the_line(gap) -> None:
    (path,) = _lines(_plot([Line("a", [0, 1, 2, 3], [1.0, gap, 2.0, 3.0])]))
    assert path.count("M") == 2 and path.count("L") == 1


@pytest.mark.parametrize("low, high", [(0, 1), (-3, 7), (0.001, 0.0017), (1e6, 1.2e6), (-5, -4.9)])
def test_ticks_are_round_and_inside(low, high) -> None:
    found = ticks(low, high)
    assert 3 <= len(found) <= 11
    assert all(low - 1e-9 * abs(high) <= t <= high + 1e-9 * abs(high) for t in found)
    step = found[1] - found[0]
    lead = step / 10 ** math.floor(math.log10(step) + 1e-6)
    assert min(abs(lead - m) for m in (1, 2, 5)) < 1e-6


def test_a_flat_line_and_a_single_point_are_drawn() -> None:
    assert _lines(_plot([Line("a", [0, 1], [2.0, 2.0])]))
    assert _lines(_plot([Line("a", [0], [0.0])]))


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(UsageError, match="no finite point"):
        _plot([Line("a", [0.0], [None])])
    with pytest.raises(UsageError, match="'a' has 2 x and 1 y"):
        _plot([Line("a", [0.0, 1.0], [1.0])])
