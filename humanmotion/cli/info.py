"""`humanmotion info` and `humanmotion info FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from humanmotion.cli.options import Body, Json
from humanmotion.cli.output import emit_json, emit_table
from humanmotion.errors import InputError


def info(
    file: Annotated[Path | None, typer.Argument(help="A motion, body or video file.")] = None,
    *,
    body: Body = None,
    json: Json = False,
) -> None:
    """Tell what a file is; alone, what is installed."""
    from humanmotion.jobs.info import describe_file, describe_installation

    found = describe_installation() if file is None else describe_file(file, body=body)
    if json:
        emit_json(found)
    else:
        emit_table({name: value for name, value in found.items() if name != "error"})
    if "error" in found:
        raise InputError(found["error"])
