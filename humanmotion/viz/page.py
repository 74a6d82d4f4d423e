"""One self-contained HTML page: 3D playback of a GLB, with plots, cuts and warnings beside it.

The page needs no network and sends nothing: three.js lies inside it, and its content policy forbids
every request. Whatever text it is given (a file name as title, say) is shown, never run.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from humanmotion.errors import FileFormatError, MotionError
from humanmotion.files import write_text

_SIGNIFICANT_DIGITS = 5
_PARTS = {
    "css": "page.css",
    "three": "three/three.bundle.min.js",
    "charts": "charts.js",
    "scene": "scene.js",
    "page": "page.js",
}


@dataclass(frozen=True)
class Series:
    """One quantity over the frames of a report."""

    name: str
    """What the legend says; the name of a person in the GLB gives the line that person's colour."""
    unit: str
    """Shown beside the plot's title."""
    values: Sequence[float | None]
    """One a frame; None (or NaN) where there is none."""
    plot: str = ""
    """Title of the plot; series of one title share it. Empty: a plot of its own."""
    kind: Literal["line", "contact"] = "line"
    """`contact`: values in [0, 1], drawn as a bar where they are above 0."""


@dataclass(frozen=True)
class ShotSpan:
    """One shot of the video."""

    start: float
    """Seconds, on the clock of `PageReport.times`."""
    end: float
    """Seconds; where the next shot starts."""
    label: str = ""
    """For example the kind of camera."""


@dataclass(frozen=True)
class CutMark:
    """What joined a shot to the one before."""

    time: float
    """Seconds, on the clock of `PageReport.times`."""
    yaw_deg: float
    """Turn about the vertical between the two shots' own frames, in degrees."""
    sigma_deg: float
    """Its standard deviation in degrees."""
    notes: str = ""
    """For example that left and right had been exchanged."""


@dataclass(frozen=True)
class Section:
    """A part of the page under the plots."""

    title: str
    markup: str
    """HTML of our own making: tables and SVG, in which every text from outside is escaped already."""


@dataclass(frozen=True)
class PageReport:
    """What a page shows beside the 3D view; checks itself when built (raises MotionError)."""

    times: Sequence[float]
    """Seconds `(T)`, rising; the first is where the GLB's own clock starts at 0."""
    shots: Sequence[ShotSpan] = ()
    series: Sequence[Series] = ()
    cuts: Sequence[CutMark] = ()
    facts: Sequence[tuple[str, str]] = ()
    """Rows of the table of facts."""
    warnings: Sequence[str] = ()
    sections: Sequence[Section] = ()
    seen: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    """Name of a person in the GLB to the frames they are in, `(T)`; not shown in the others. Who is
    not named is there all the time."""

    def __post_init__(self) -> None:
        lengths = [(f"series {one.name!r}", len(one.values)) for one in self.series]
        lengths += [(f"seen of {name!r}", len(frames)) for name, frames in self.seen.items()]
        for what, length in lengths:
            if length != len(self.times):
                raise MotionError(f"{what} has {length} values, the report {len(self.times)} times")


def write_page(
    path: str | Path,
    *,
    title: str,
    glb: bytes,
    report: PageReport,
    side_by_side: bool = False,
    overwrite: bool = True,
) -> None:
    """Write the page, atomically.

    `glb` is a binary glTF in metres, y up, whose skinned meshes are the motions; with
    `side_by_side` they start out moved apart. Raises FileFormatError when `glb` is no binary glTF,
    OutputError when the page cannot be written.
    """
    text = page_text(title=title, glb=glb, report=report, side_by_side=side_by_side)
    write_text(path, text, overwrite=overwrite)


def page_text(*, title: str, glb: bytes, report: PageReport, side_by_side: bool = False) -> str:
    """The page as text; arguments as for `write_page`."""
    if glb[:4] != b"glTF":
        raise FileFormatError(
            f"the page was given {len(glb)} bytes that are no binary glTF; give the bytes of a .glb"
        )
    static = resources.files("humanmotion.viz") / "static"
    parts = {key: (static / name).read_text(encoding="utf-8") for key, name in _PARTS.items()}
    parts |= {
        "title": html.escape(title),
        "sections": "".join(map(_section, report.sections)),
        "report": _script_json(_report_data(report) | {"side_by_side": side_by_side}),
        "glb": base64.b64encode(glb).decode("ascii"),
    }
    template = (static / "page.html").read_text(encoding="utf-8")
    # One pass, so that a placeholder inside what is filled in stays text.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _section(section: Section) -> str:
    return f'<section class="more"><h2>{html.escape(section.title)}</h2>{section.markup}</section>'


def _report_data(report: PageReport) -> dict[str, Any]:
    return {
        "times": [round(float(t), 6) for t in report.times],
        "shots": [{"start": s.start, "end": s.end, "label": s.label} for s in report.shots],
        "plots": _plots(report.series),
        "cuts": [
            {"time": c.time, "yaw": c.yaw_deg, "sigma": c.sigma_deg, "notes": c.notes}
            for c in report.cuts
        ],
        "facts": [list(row) for row in report.facts],
        "warnings": list(report.warnings),
        "seen": {name: [int(there) for there in frames] for name, frames in report.seen.items()},
    }


def _plots(series: Sequence[Series]) -> list[dict[str, Any]]:
    """Series grouped by plot, in the order in which the plots are first named."""
    plots: dict[str, dict[str, Any]] = {}
    for one in series:
        title = one.plot or one.name
        new = {"title": title, "unit": one.unit, "kind": one.kind, "series": []}
        values = [_short(v) for v in one.values]
        plots.setdefault(title, new)["series"].append({"name": one.name, "values": values})
    return list(plots.values())


def _short(value: float | None) -> float | None:
    """A number with as many digits as a plot can show; None for NaN and infinity."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, nor open a comment there."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
