"""What a benchmark hands back: rows of numbers, the bars they must hold, and the machine."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from rich.markup import escape
from rich.table import Table

Direction = Literal[">=", "<="]

EXIT_HELD, EXIT_MISSED = 0, 3


@dataclass(frozen=True)
class Baseline:
    """The peer's figure, measured in the same run."""

    name: str
    value: float


@dataclass(frozen=True)
class Row:
    """One measured figure."""

    id: str
    """Short stable name."""
    what: str
    """What was measured, in words."""
    value: float | None
    """None when it was not run."""
    unit: str
    bar: float | None = None
    """What the value must hold against, if anything."""
    direction: Direction | None = None
    """Which side of the bar is good; given with every bar."""
    baseline: Baseline | None = None

    def __post_init__(self) -> None:
        if (self.bar is None) != (self.direction is None):
            raise ValueError(f"row {self.id}: a bar and its direction come together")

    @property
    def passed(self) -> bool | None:
        """Whether the bar holds; None without a bar or a value. NaN never holds."""
        if self.bar is None or self.value is None:
            return None
        return self.value >= self.bar if self.direction == ">=" else self.value <= self.bar

    def to_dict(self) -> dict[str, Any]:
        """As JSON wants it; a value that is not finite becomes null, since JSON has none."""
        finite = self.value is not None and math.isfinite(self.value)
        out: dict[str, Any] = {"id": self.id, "what": self.what}
        out |= {"value": self.value if finite else None, "unit": self.unit}
        if self.bar is not None:
            out |= {"bar": self.bar, "direction": self.direction, "pass": self.passed}
        elif self.value is None:
            out["pass"] = None
        if self.baseline is not None:
            out["baseline"] = {"name": self.baseline.name, "value": self.baseline.value}
        return out


@dataclass(frozen=True)
class BenchReport:
    """All rows of one run."""

    bench: str
    rows: tuple[Row, ...]
    machine: str
    threads: int
    seeds: tuple[int, ...]
    data: str | None
    """Folder the data came from; None when the bench needs none."""
    quick: bool
    listed: Mapping[str, Any] = field(default_factory=dict)
    """What the rows were measured with where it fills no row; told in the JSON alone."""

    @classmethod
    def create(
        cls,
        bench: str,
        rows: Sequence[Row],
        *,
        seeds: Sequence[int],
        data: Path | None,
        quick: bool,
        listed: Mapping[str, Any] | None = None,
    ) -> BenchReport:
        """A report of this machine, with torch's present number of threads."""
        return cls(
            bench=bench,
            rows=tuple(rows),
            machine=machine(),
            threads=torch.get_num_threads(),
            seeds=tuple(seeds),
            data=None if data is None else str(data),
            quick=quick,
            listed=listed or {},
        )

    @property
    def exit_code(self) -> int:
        """0 when every bar that was run holds, 3 when one does not."""
        return EXIT_MISSED if any(row.passed is False for row in self.rows) else EXIT_HELD

    def to_dict(self) -> dict[str, Any]:
        """The layout of `humanmotion bench NAME --json FILE`."""
        return {
            "bench": self.bench,
            "machine": self.machine,
            "threads": self.threads,
            "seeds": list(self.seeds),
            "data": self.data,
            "quick": self.quick,
            "rows": [row.to_dict() for row in self.rows],
            **({"lists": dict(self.listed)} if self.listed else {}),
        }


def machine() -> str:
    """Processor, cores, system and versions, in one line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":", 1)[1].strip() if models else cpu
        cpu = f"{cpu}, {len(models) or '?'} logical cores"
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{cpu}{device}; {platform.system()}; Python {platform.python_version()}; "
        f"torch {torch.__version__}"
    )


def table(report: BenchReport) -> Table:
    """The rows as a table for the terminal, the peer's figure beside ours."""
    size = " (quick: a smaller run of the same definitions)" if report.quick else ""
    title = f"bench {report.bench}{size}\n{report.machine}; {report.threads} threads"
    out = Table(title=escape(title), title_justify="left")
    for heading in ("id", "what", "value", "bar", "", "baseline"):
        out.add_column(heading, justify="right" if heading in ("value", "bar") else "left")
    for row in report.rows:
        value = "not run" if row.value is None else escape(f"{row.value:.4g} {row.unit}")
        bar = "" if row.bar is None else f"{row.direction} {row.bar:g}"
        mark = {True: "[green]ok[/]", False: "[bold red]MISSED[/]", None: ""}[row.passed]
        peer = (
            "" if row.baseline is None else escape(f"{row.baseline.name}: {row.baseline.value:.4g}")
        )
        out.add_row(escape(row.id), escape(row.what), value, bar, mark, peer)
    return out
