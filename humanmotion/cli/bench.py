"""`humanmotion bench NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from humanmotion.cli.output import emit_rich

if TYPE_CHECKING:
    from humanmotion.bench.report import BenchReport


def bench(
    name: Annotated[
        Literal[
            "body",
            "recovery",
            "edits",
            "multishot",
            "long",
            "prior",
            "attention",
            "generation",
            "mbench",
        ],
        typer.Argument(help="What to measure."),
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="HUMANMOTION_DATA",
            help="Data folder, one sub-folder per set; for generation also one of `data build`.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer samples, same definitions, under a minute.")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Folder of `train baselines`, for prior and multishot; of any training for generation "
            "and mbench."
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the rows to this file.")] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="For mbench: also draw which metric shows which fault, as SVG."),
    ] = None,
) -> None:
    """Measure against the bars; exit code 3 when one is missed."""
    from humanmotion.bench.mbench_matrix import write_picture
    from humanmotion.bench.report import table
    from humanmotion.errors import UsageError
    from humanmotion.files import write_json

    if picture is not None and name != "mbench":
        raise UsageError(f"bench {name} has no matrix to draw; --picture is for mbench")
    report = _report(name, data, quick=quick, weights=weights)
    emit_rich(table(report))
    if json is not None:
        write_json(json, report.to_dict())
    if picture is not None:
        write_picture(picture, report)
    raise typer.Exit(report.exit_code)


def _report(name: str, data: Path | None, *, quick: bool, weights: Path | None) -> BenchReport:
    from humanmotion.bench import (
        attention,
        body,
        edits,
        generation,
        long_video,
        mbench,
        multishot,
        prior,
        recovery,
    )
    from humanmotion.errors import UsageError

    compared = {
        "prior": prior.run, "multishot": multishot.run, "generation": generation.run,
        "mbench": mbench.run,
    }  # fmt: skip
    if weights is not None and name not in compared:
        raise UsageError(
            f"bench {name} compares with no weights; --weights is for {', '.join(compared)}"
        )
    if name in compared:
        return compared[name](data, quick=quick, weights=weights)
    if name == "attention":
        return attention.run(quick=quick)
    runs = {
        "body": body.run, "recovery": recovery.run, "edits": edits.run,
        "long": long_video.run,
    }  # fmt: skip
    return runs[name](data, quick=quick)
