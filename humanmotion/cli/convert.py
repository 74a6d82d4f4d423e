"""`humanmotion convert IN OUT` and `humanmotion convert-body IN.pkl OUT.npz`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from humanmotion.cli.options import Body, Overwrite
from humanmotion.cli.output import emit, warn


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A motion file.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Its extension picks the format.")],
    *,
    body: Body = None,
    overwrite: Overwrite = False,
) -> None:
    """Convert motion between formats, by extension."""
    from humanmotion.jobs.convert import convert as run

    for note in run(source, target, body=body, overwrite=overwrite):
        warn(note)
    emit(str(target))


def convert_body(
    source: Annotated[Path, typer.Argument(metavar="IN.pkl", help="SMPL or SMPL-H pickle.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.npz", help="Body file for --body.")],
    *,
    overwrite: Overwrite = False,
) -> None:
    """Convert a pickled body to npz, running none of its code."""
    from humanmotion.jobs.convert import convert_body as run

    run(source, target, overwrite=overwrite)
    emit(str(target))
