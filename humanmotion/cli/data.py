"""`humanmotion data build SOURCES... -o DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from humanmotion.cli.options import Json, Quiet
from humanmotion.cli.output import emit, emit_json, emit_rich, warn
from humanmotion.cli.progress import StageProgress

data = typer.Typer(help="Make training data of motion.")


@data.callback()
def describe() -> None:
    """Make training data of motion."""


@data.command()
def build(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Data folders, folders or files of AMASS npz or BVH, videos."),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the shards.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Filter, caption and cut motion into shards; run again, it goes on where it was."""
    from humanmotion.jobs.data_build import build_data

    with StageProgress(quiet=quiet) as progress:
        made = build_data(sources, output=output, progress=progress)
    for note in made.notes if not quiet else ():
        warn(note)
    if json:
        emit_json(made.report)
        return
    emit_rich(_table(made.report["clips"]))
    for reason, count in made.report["rejected"].items():
        emit(f"rejected  {reason}: {count['clips']} clips, {count['seconds']:.1f} s")
    emit(str(made.folder / "report.json"))


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    return table
