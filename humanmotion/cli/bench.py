"""`humanmotion bench NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from humanmotion.cli.output import emit_rich


def bench(
    name: Annotated[
        Literal["body", "recovery", "edits", "multishot", "long", "prior", "attention", "mbench"],
        typer.Argument(help="What to measure."),
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(envvar="HUMANMOTION_DATA", help="Data folder, one sub-folder per set."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer samples, same definitions, under a minute.")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(help="Folder that `train baselines` wrote; for prior and multishot."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the rows to this file.")] = None,
) -> None:
    """Measure against the bars; exit code 3 when one is missed."""
    from humanmotion.bench import (
        attention,
        body,
        edits,
        long_video,
        mbench,
        multishot,
        prior,
        recovery,
    )  # fmt: skip
    from humanmotion.bench.report import table
    from humanmotion.errors import UsageError
    from humanmotion.files import write_json

    compared = {"prior": prior.run, "multishot": multishot.run}
    if weights is not None and name not in compared:
        raise UsageError(
            f"bench {name} compares with no weights; --weights is for {' and '.join(compared)}"
        )
    if name in compared:
        report = compared[name](data, quick=quick, weights=weights)
    elif name == "attention":
        report = attention.run(quick=quick)
    else:
        runs = {
            "body": body.run,
            "recovery": recovery.run,
            "edits": edits.run,
            "multishot": multishot.run,
            "long": long_video.run,
            "mbench": mbench.run,
        }
        report = runs[name](data, quick=quick)
    emit_rich(table(report))
    if json is not None:
        write_json(json, report.to_dict())
    raise typer.Exit(report.exit_code)
