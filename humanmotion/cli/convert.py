"""`humanmotion convert IN OUT` and `humanmotion convert-body IN.pkl OUT.npz`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from humanmotion.cli.options import Body, Json, Overwrite, Quiet
from humanmotion.cli.output import emit, emit_json, warn
from humanmotion.errors import UsageError


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A motion file.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Its extension picks the format.")],
    *,
    body: Body = None,
    hands: Annotated[
        Literal["flat", "mean"] | None,
        typer.Option(help="What zero hands are in an npz that does not say (AMASS, SMPL-X)."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Pixels of OpenPose's pictures.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Rate of a file that states none (30 otherwise).")
    ] = None,
    units: Annotated[
        Literal["metres", "centimetres"] | None,
        typer.Option(help="Lengths in a .bvh that is written (centimetres otherwise)."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert motion between formats, by extension."""
    picture = None if size is None else pixels(size)
    from humanmotion.jobs.convert import convert as run

    notes = run(
        source,
        target,
        body=body,
        hands=hands,
        size=picture,
        fps=fps,
        units=units,
        overwrite=overwrite,
    )
    for note in notes if not quiet else ():
        warn(note)
    if json:
        emit_json({"output": target, "notes": notes})
    else:
        emit(str(target))


def convert_body(
    source: Annotated[Path, typer.Argument(metavar="IN.pkl", help="SMPL or SMPL-H pickle.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.npz", help="Body file for --body.")],
    *,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert a pickled body to npz, running none of its code."""
    from humanmotion.jobs.convert import convert_body as run

    found = run(source, target, overwrite=overwrite)
    if not quiet:
        warn(f"{found['kind']} body, {found['vertices']} vertices, {found['joints']} of 55 joints")
    if json:
        emit_json({"output": target, **found})
    else:
        emit(str(target))


def pixels(text: str) -> tuple[int, int]:
    """Width and height of WIDTHxHEIGHT; raises UsageError for anything else."""
    match = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text.strip())
    if match is None:
        raise UsageError(f"--size {text} given; expected WIDTHxHEIGHT in pixels, as 1920x1080")
    return int(match[1]), int(match[2])
