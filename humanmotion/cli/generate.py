"""`humanmotion generate PROMPT... -o OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from humanmotion.cli.options import Body, Json, Overwrite, Quiet, Seed
from humanmotion.cli.output import emit_paths, warn
from humanmotion.cli.progress import StageProgress


def generate(
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT...", help="What is done, in English.")
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Motion file, its ending picks the format; or a folder."
        ),
    ],
    seconds: Annotated[
        list[float] | None,
        typer.Option(help="Length, 5 if not given; once, or once for each prompt."),
    ] = None,
    num: Annotated[int, typer.Option(help="Samples of each prompt.")] = 1,
    seed: Seed = 0,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Of the sampler; as the weights' json says if not given. Fewer are faster."
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            help="How much the text counts; as the weights' json says if not given. 1 is twice as fast."
        ),
    ] = None,
    sequence: Annotated[
        bool, typer.Option("--sequence", help="One motion of all prompts, one after the other.")
    ] = False,
    keyframes: Annotated[
        Path | None, typer.Option(help="Motion file whose frames are hit at their times.")
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(help="CSV of seconds,x,y to pass; or a motion whose pelvis is followed."),
    ] = None,
    targets: Annotated[
        Path | None, typer.Option(help="CSV of seconds,joint,x,y,z: where joints are to be.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Motion file or video whose motion is made anew, if it is good enough."),
    ] = None,
    style: Annotated[
        Path | None,
        typer.Option(help="Motion file whose posture and size of movement are carried over."),
    ] = None,
    style_strength: Annotated[
        float | None, typer.Option(help="How much of it, 0 to 1; all if not given.")
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Swap left and right.")] = False,
    cleanup: Annotated[
        bool | None,
        typer.Option(
            "--cleanup/--no-cleanup",
            help="Plant feet, raise soles; done to all but references unless given.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights that `train generator` wrote, in place of the shipped ones."),
    ] = None,
    light: Annotated[
        bool, typer.Option("--light", help="The small student of few steps: faster, no references.")
    ] = False,
    body: Body = None,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
) -> None:
    """Make motion from a description."""
    from humanmotion.jobs.generate import generate as run

    with StageProgress(quiet=quiet) as progress:
        made = run(
            prompts or (), output=output, seconds=seconds or None, num=num, seed=seed, steps=steps,
            guidance=guidance, sequence=sequence, keyframes=keyframes, path=path, targets=targets,
            reference=reference, style=style, style_strength=style_strength,
            mirror=mirror, light=light,
            cleanup=cleanup, weights=weights, body=body, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    for note in made.notes if not quiet else ():
        warn(note)
    emit_paths(made, as_json=json)
