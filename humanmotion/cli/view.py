"""`humanmotion view FILE...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from humanmotion.cli.options import Body, Overwrite
from humanmotion.cli.output import emit


def view(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Motion files.")],
    *,
    html: Annotated[
        Path | None, typer.Option(help="Write one self-contained page and open nothing.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the viewer's page.")] = 8080,
    body: Body = None,
    overwrite: Overwrite = False,
) -> None:
    """Show motions side by side in the browser."""
    from humanmotion.jobs.view import view as run

    run(files, announce=emit, html=html, port=port, body=body, overwrite=overwrite)
