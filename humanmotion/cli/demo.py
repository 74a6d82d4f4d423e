"""`humanmotion demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from humanmotion.cli.options import Json, Overwrite, Quiet, Seed
from humanmotion.cli.output import emit_json, emit_table
from humanmotion.cli.progress import StageProgress


def demo(
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the clip and the results.")
    ] = Path("humanmotion-demo"),
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
) -> None:
    """Make a two-shot clip, reconstruct it, print the error."""
    from humanmotion.jobs.demo import run_demo

    with StageProgress(quiet=quiet) as progress:
        result = run_demo(output, seed=seed, overwrite=overwrite, progress=progress)
    if json:
        emit_json(result)
    else:
        emit_table(result)
