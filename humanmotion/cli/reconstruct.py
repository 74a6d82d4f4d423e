"""`humanmotion reconstruct VIDEO -o DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from humanmotion.cli.options import Body, Json, Overwrite, Quiet, Seed
from humanmotion.cli.output import emit_paths
from humanmotion.cli.progress import StageProgress


def reconstruct(
    video: Annotated[Path, typer.Argument(help="Any video file that FFmpeg reads.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    body: Body = None,
    person: Annotated[
        int | None, typer.Option(min=0, help="Which person, 0 = most prominent (the default).")
    ] = None,
    camera: Annotated[
        str,
        typer.Option(
            help="How the camera moves: auto, static, pan or moving; or a file with its path: "
            "cameras.json, motion.npz or COLMAP."
        ),
    ] = "auto",
    focal: Annotated[
        float | None, typer.Option(min=1.0, help="Focal length in pixels of the upright picture.")
    ] = None,
    quality: Annotated[
        Literal["draft", "standard", "best"],
        typer.Option(help="How much work is done; best is standard as yet."),
    ] = "standard",
    from_stage: Annotated[
        str | None,
        typer.Option(
            "--from", help="Redo people, shots, camera, pose, world or export, and after."
        ),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn a video into motion, animated bodies and a report."""
    from humanmotion.jobs.reconstruct import reconstruct as run

    with StageProgress(quiet=quiet) as progress:
        files = run(
            video,
            output=output,
            body=body,
            person=person,
            camera=camera,
            focal=focal,
            quality=quality,
            from_stage=from_stage,
            seed=seed,
            overwrite=overwrite,
            progress=progress,
        )
    emit_paths(files, as_json=json)
