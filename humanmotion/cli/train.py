"""`humanmotion train prior|lifter|baselines`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from humanmotion.cli.output import emit
from humanmotion.cli.progress import StageProgress

train = typer.Typer(help="Train what is shipped, on your data.")
Data = Annotated[
    Path, typer.Option(envvar="HUMANMOTION_DATA", help="Data folder, one sub-folder per set.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for checkpoints and weights.")]
Config = Annotated[Path | None, typer.Option(help="TOML file; the shipped one if none.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")]


@train.command()
def prior(
    *,
    data: Data,
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Train the pose prior; run again, it goes on where it was."""
    from humanmotion.jobs.train_prior import CONFIG, train_prior

    with StageProgress(quiet=quiet) as progress:
        path = train_prior(
            data, output=output, config=config or CONFIG, device=device, progress=progress
        )
    emit(str(path))


@train.command()
def lifter(
    *,
    data: Data,
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Train the lifter of 2D keypoints; run again, it goes on where it was."""
    from humanmotion.jobs.train_lifter import CONFIG, train_lifter

    with StageProgress(quiet=quiet) as progress:
        path = train_lifter(
            data, output=output, config=config or CONFIG, device=device, progress=progress
        )
    emit(str(path))


@train.command()
def baselines(
    *,
    data: Data,
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Train the priors that ours is compared with; run again, it goes on where it was."""
    from humanmotion.jobs.train_baselines import CONFIG, train_baselines

    with StageProgress(quiet=quiet) as progress:
        paths = train_baselines(
            data, output=output, config=config or CONFIG, device=device, progress=progress
        )
    emit("\n".join(str(path) for path in paths))
