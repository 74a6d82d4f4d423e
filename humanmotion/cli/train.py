"""`humanmotion train NAME`: each of what ships, and the baselines it is measured against."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

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
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")]


@train.command()
def prior(
    *,
    data: Data,
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train the pose prior; run again, it goes on where it was."""
    from humanmotion.jobs.train_prior import CONFIG, train_prior

    _trained(train_prior, data, output, config=config or CONFIG, device=device, quiet=quiet)


@train.command()
def lifter(
    *,
    data: Data,
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train the lifter of 2D keypoints; run again, it goes on where it was."""
    from humanmotion.jobs.train_lifter import CONFIG, train_lifter

    _trained(train_lifter, data, output, config=config or CONFIG, device=device, quiet=quiet)


@train.command()
def refiner(
    *,
    data: Data,
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train the refiner of motion over cuts; run again, it goes on where it was."""
    from humanmotion.jobs.train_refiner import CONFIG, train_refiner

    _trained(train_refiner, data, output, config=config or CONFIG, device=device, quiet=quiet)


@train.command()
def generator(
    *,
    data: Annotated[Path, typer.Option(help="Folder that `humanmotion data build` wrote.")],
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    processes: Annotated[int | None, typer.Option(min=1, help="Processes of one network.")] = None,
    quiet: Quiet = False,
) -> None:
    """Train the generator of motion from text; run again, it goes on where it was."""
    from humanmotion.jobs.train_generator import CONFIG, train_generator

    # The processes that the first one starts run this command too, and have nothing to say.
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    with StageProgress(quiet=quiet or not first) as progress:
        made = train_generator(data, output=output, config=config or CONFIG, device=device,
                               processes=processes, progress=progress)  # fmt: skip
    if first:
        emit(str(made))


@train.command()
def hands(
    *,
    data: Annotated[Path, typer.Option(help="Folder that `data build` wrote.")],
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train what gives hands and a jaw to generated motion; run again, it goes on where it was."""
    from humanmotion.jobs.train_hands import CONFIG, train_hands

    _trained(train_hands, data, output, config=config or CONFIG, device=device, quiet=quiet)


@train.command()
def light(
    *,
    data: Annotated[Path, typer.Option(help="Folder that `humanmotion data build` wrote.")],
    teacher: Annotated[Path, typer.Option(help="Weights of `train generator` to learn from.")],
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train a light generator of few steps on a teacher's motions; run again, it goes on."""
    from humanmotion.jobs.train_light import CONFIG, train_light

    with StageProgress(quiet=quiet) as progress:
        made = train_light(data, teacher=teacher, output=output, config=config or CONFIG,
                           device=device, progress=progress)  # fmt: skip
    emit(str(made))


@train.command()
def baselines(
    *,
    data: Annotated[
        Path,
        typer.Option(
            envvar="HUMANMOTION_DATA",
            help="Data folder, one sub-folder per set; for generation one of `data build`.",
        ),
    ],
    output: Output,
    which: Annotated[
        Literal["motion", "generation"],
        typer.Option(help="Priors and modules of reconstruction, or motion from text."),
    ] = "motion",
    config: Config = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train what ours is compared with; run again, it goes on where it was."""
    from humanmotion.jobs.train_baselines import CONFIG, GENERATION_CONFIG, train_baselines

    config = config or (GENERATION_CONFIG if which == "generation" else CONFIG)
    _trained(train_baselines, data, output, config=config, device=device, quiet=quiet)


@train.command()
def evaluator(
    *,
    data: Annotated[Path, typer.Option(help="Folder that `data build` wrote.")],
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train what tells how well motion fits text; run again, it goes on where it was."""
    from humanmotion.jobs.train_evaluator import CONFIG, train_evaluator

    _trained(train_evaluator, data, output, config=config or CONFIG, device=device, quiet=quiet)


@train.command("pose-field")
def pose_field(
    *,
    data: Data,
    output: Output,
    config: Config = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train what tells how far a pose is from real ones; run again, it goes on where it was."""
    from humanmotion.jobs.train_pose_field import CONFIG, train_pose_field

    _trained(train_pose_field, data, output, config=config or CONFIG, device=device, quiet=quiet)


def _trained(
    job: Callable[..., Any], data: Path, output: Path, *, config: Path, device: str, quiet: bool
) -> None:
    """Run a training job and print the paths of the weights."""
    with StageProgress(quiet=quiet) as progress:
        made = job(data, output=output, config=config, device=device, progress=progress)
    emit("\n".join(map(str, made if isinstance(made, list) else [made])))
