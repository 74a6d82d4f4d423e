"""Which metric shows which fault, how much: rows of `bench mbench`, and a picture of them for docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from humanmotion.bench.report import BenchReport, Row
from humanmotion.errors import UsageError
from humanmotion.files import write_text
from humanmotion.viz.heat import Cell, heat_table

MATRIX = "matrix"
"""Name of the list in the JSON."""


@dataclass(frozen=True)
class Change:
    """A metric without a fault and with it."""

    fault: str
    metric: str
    clean: float
    spoilt: float
    own: bool
    """Whether the metric is there to show this fault."""
    dose: str
    """How much of the fault there is."""
    unit: str = ""

    @property
    def row(self) -> Row:
        """Of the bench."""
        return Row(
            f"matrix-{self.fault}-{self.metric}",
            f"{self.metric} after {self.dose} of {self.fault}, less the clean value {self.clean:.4g}",
            self.spoilt - self.clean,
            self.unit,
        )


def listed(changes: Sequence[Change]) -> dict[str, Any]:
    """For the JSON of the bench."""
    return {MATRIX: [asdict(change) for change in changes]}


def write_picture(path: Path, report: BenchReport) -> None:
    """Write the matrix of a `bench mbench` as SVG, atomically; UsageError for another bench."""
    changes = [Change(**row) for row in report.listed.get(MATRIX, ())]
    if not changes:
        raise UsageError(f"bench {report.bench} has no matrix to draw; --picture is for mbench")
    write_text(path, picture(changes))


def picture(changes: Sequence[Change]) -> str:
    """A row a fault, a column a metric: the change over the clean value, own metrics framed."""
    faults = list(dict.fromkeys(change.fault for change in changes))
    metrics = list(dict.fromkeys(change.metric for change in changes))
    found: Mapping[tuple[str, str], Change] = {(c.fault, c.metric): c for c in changes}
    return heat_table(
        [[_cell(found.get((fault, metric))) for metric in metrics] for fault in faults],
        rows=faults,
        columns=metrics,
        title="Change of each metric under a fault; framed: the metric that is there to show it",
    )


def _cell(change: Change | None) -> Cell:
    if change is None:
        return Cell(None, "")
    step = change.spoilt - change.clean
    if change.clean == 0:
        return Cell(None, f"{step:+.3g}" if step else "0", change.own)
    share = step / abs(change.clean)
    text = f"{100 * share:+.0f} %".replace("-", "\u2212")
    return Cell(share, "0 %" if text in ("+0 %", "\u22120 %") else text, change.own)
