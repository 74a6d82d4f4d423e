"""`humanmotion view FILE...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from humanmotion.cli.options import Body, Json, Overwrite, Quiet
from humanmotion.cli.output import emit, emit_json, warn


def view(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Motion files.")],
    *,
    html: Annotated[
        Path | None, typer.Option(help="Write one self-contained page and open nothing.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the viewer's page.")] = 8080,
    body: Body = None,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
) -> None:
    """Show motions side by side in the browser."""
    from humanmotion.jobs.view import view as run

    def announce(place: str) -> None:
        if json:
            emit_json({"url" if html is None else "page": place})
        else:
            emit(place)

    note = None if quiet else warn
    run(files, announce=announce, note=note, html=html, port=port, body=body, overwrite=overwrite)
