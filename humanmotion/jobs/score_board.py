"""A leaderboard of folders of submissions: `score`'s page, a row a system, published rows apart."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path

from humanmotion.errors import InputError, UsageError
from humanmotion.jobs.published_mbench import COLUMNS, ROWS, SOURCE
from humanmotion.jobs.score import Scores
from humanmotion.jobs.score_page import grid, write_score_page
from humanmotion.jobs.score_summary import aggregate, label, ranking, ranks
from humanmotion.jobs.score_systems import SystemScores
from humanmotion.viz.page import Section

TITLE = "Leaderboard"
READ_BESIDE = (
    "A still figure wins every metric of movement: read them beside Dynamic_Degree and real motion's "
    "own values. A system is placed in the metrics in which it has a value; – is none."
)


def submissions(paths: Sequence[Path], *, reference: Path | None = None) -> list[Path]:
    """The sub-folders of each folder, each of them a system; the reference's own is left out.

    Raises UsageError for what is no folder, InputError for one without sub-folders.
    """
    real = None if reference is None else reference.resolve()
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            raise UsageError(
                f"{path} is no folder; a leaderboard takes folders whose sub-folders are systems"
            )
        inside = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
        if not inside:
            raise InputError(f"{path} has no sub-folder; give each system one with its clips")
        found += [p for p in inside if p.resolve() != real]
    return found


def write_board(path: Path, scores: Scores, *, overwrite: bool) -> None:
    """Write the page, atomically; raises InputError where no clip could be scored."""
    write_score_page(
        path,
        scores,
        title=TITLE,
        before=[board(scores), published()],
        overwrite=overwrite,
    )


def board(scores: Scores) -> Section:
    """A row a system, the best mean place first and real motion last, a column a metric."""
    order = dict(ranking(scores.ranked, scores.metrics))
    systems = sorted(scores.systems, key=lambda s: (s.reference, order.get(s.name, math.inf)))
    places = {metric: ranks(scores.ranked, metric) for metric in scores.metrics}
    rows = [["system", "mean place", *map(_heading, scores.metrics), "clips"]]
    for system in systems:
        cells = [system.name, f"{order[system.name]:.2f}" if system.name in order else "–"]
        for metric in scores.metrics:
            mean, rank = aggregate(system, metric).mean, places[metric].get(system.name)
            text = "–" if mean is None else f"{mean:.4g}"
            cells.append(text if rank is None else f"{text} (#{rank.place})")
        rows.append([*cells, _clips(system)])
    said = f"<p>{html.escape(READ_BESIDE)}</p>"
    return Section(f"{TITLE}, {scores.options.mode} definitions", said + grid(rows))


def published() -> Section:
    """The published rows, marked as their source's."""
    rows = [["as reported", *map(_breaking, COLUMNS)], *([row.name, *row.cells] for row in ROWS)]
    return Section("Published rows", f"<p>{html.escape(SOURCE)}</p>{grid(rows)}")


def _heading(metric: str) -> str:
    return _breaking(label(metric))


def _breaking(text: str) -> str:
    """With places at which a narrow column may break a long name: zero-width spaces."""
    return text.replace("_", "_\u200b")


def _clips(system: SystemScores) -> str:
    """How many were scored of those that were to be: a mean over fewer clips is another mean."""
    scored = len(system.clips) - len(system.failed)
    asked = len(system.clips) + len(system.missing)
    return str(scored) if scored == asked else f"{scored} of {asked}"
