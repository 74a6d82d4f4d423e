"""`humanmotion bench NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from humanmotion.cli.output import emit


def bench(
    name: Annotated[Literal["body", "recovery"], typer.Argument(help="What to measure.")],
    *,
    data: Annotated[
        Path | None,
        typer.Option(envvar="HUMANMOTION_DATA", help="Data folder, one sub-folder per set."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer samples, same definitions, under a minute.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Also write the rows as JSON here.")] = None,
) -> None:
    """Measure, print a table against the bars, exit with 3 when one does not hold."""
    from humanmotion import bench as benches

    raise NotImplementedError(name, data, quick, json, benches, emit)
