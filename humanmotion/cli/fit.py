"""`humanmotion fit denoise|ik|complete|sample|score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from humanmotion.cli.options import Json, Overwrite, Quiet, Seed
from humanmotion.cli.output import emit, emit_json, emit_table, warn
from humanmotion.cli.progress import StageProgress

fit = typer.Typer(help="Plausible bodies: denoise, ik, complete, sample, score.")
Output = Annotated[Path, typer.Option("--output", "-o", help="motion.npz to write.")]
Joints = Annotated[
    str | None, typer.Option(help="Joint set of the names (smplx_55, coco_17 ...), if not plain.")
]
UnitsOption = Annotated[
    Literal["m", "cm", "mm"] | None, typer.Option("--units", help="If they cannot be told.")
]
UpOption = Annotated[
    Literal["y", "z"] | None, typer.Option("--up", help="Axis, if it cannot be told.")
]
Hands = Annotated[bool, typer.Option("--hands", help="Fit the fingers too, where they are given.")]
Stills = Annotated[bool, typer.Option("--stills", help="Frames are single poses, no movement.")]
Hypotheses = Annotated[int, typer.Option(min=2, help="Draws that are averaged.")]
Each = Annotated[bool, typer.Option("--each", help="Write every draw too, as NAME_1.npz ...")]
Weights = Annotated[
    Path | None,
    typer.Option(help="Weights that `train prior` wrote, in place of the shipped ones."),
]


@fit.command()
def denoise(
    source: Annotated[Path, typer.Argument(help="Motion file, or joints as .csv or .trc.")],
    *,
    output: Output,
    sigma_mm: Annotated[
        float | None, typer.Option(min=0.5, help="Noise of the joints; measured if not given.")
    ] = None,
    joints: Joints = None,
    units: UnitsOption = None,
    up: UpOption = None,
    hands: Hands = False,
    stills: Stills = False,
    hypotheses: Hypotheses = 4,
    each: Each = False,
    weights: Weights = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
) -> None:
    """The likeliest motion behind noisy or few joints, and how sure it is."""
    from humanmotion.jobs.fit_places import fit_joints

    with StageProgress(quiet=quiet) as progress:
        paths = fit_joints(
            source, output=output, sigma_mm=sigma_mm, joint_set=joints, units=units, up=up,
            hands=hands, stills=stills, hypotheses=hypotheses, each=each, weights=weights,
            seed=seed, overwrite=overwrite, progress=progress, note=None if quiet else warn,
        )  # fmt: skip
    _tell(paths, as_json=json)


@fit.command()
def ik(
    source: Annotated[
        Path | None, typer.Argument(help="Joints or markers as .csv or .trc, or a motion file.")
    ] = None,
    *,
    output: Output,
    orientations: Annotated[
        Path | None, typer.Option(help="CSV of joint orientations: time,head_qw,head_qx,...")
    ] = None,
    sigma_mm: Annotated[float, typer.Option(min=0.5, help="How exactly points are met.")] = 1.0,
    sigma_deg: Annotated[
        float, typer.Option(min=0.2, help="How exactly orientations are met.")
    ] = 2.0,
    joints: Joints = None,
    units: UnitsOption = None,
    up: UpOption = None,
    hands: Hands = False,
    stills: Stills = False,
    hypotheses: Hypotheses = 4,
    each: Each = False,
    weights: Weights = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
) -> None:
    """Poses that bring joints, markers and orientations to where they are given."""
    from humanmotion.jobs.fit_places import fit_joints

    with StageProgress(quiet=quiet) as progress:
        paths = fit_joints(
            source, output=output, sigma_mm=sigma_mm, orientations=orientations,
            turn_sigma_deg=sigma_deg, joint_set=joints, units=units, up=up, hands=hands,
            stills=stills, hypotheses=hypotheses, each=each, weights=weights, seed=seed,
            overwrite=overwrite, progress=progress, note=None if quiet else warn,
        )  # fmt: skip
    _tell(paths, as_json=json)


@fit.command()
def complete(
    source: Annotated[Path, typer.Argument(help="Motion file.")],
    *,
    output: Output,
    hide: Annotated[
        list[str], typer.Option(help="Joint or part to draw anew (left_hand, jaw, left_elbow ...).")
    ],
    hypotheses: Annotated[int, typer.Option(min=1, help="Files to write.")] = 1,
    weights: Weights = None,
    seed: Seed = 0,
    json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Joints that are hidden or were never recorded, drawn to go with the others."""
    from humanmotion.jobs.fit import complete_file

    _tell(complete_file(source, output=output, hide=hide, hypotheses=hypotheses, weights=weights,
                        seed=seed, overwrite=overwrite), as_json=json)  # fmt: skip


@fit.command()
def sample(
    *,
    output: Output,
    count: Annotated[int, typer.Option(min=1, help="Movements, one after another.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.04, help="Length of each.")] = 2.0,
    weights: Weights = None,
    seed: Seed = 0,
    json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Movements on the spot, drawn from the prior."""
    from humanmotion.jobs.fit import sample_file

    _tell([sample_file(output, count=count, seconds=seconds, weights=weights, seed=seed,
                       overwrite=overwrite)], as_json=json)  # fmt: skip


@fit.command()
def score(
    source: Annotated[Path, typer.Argument(help="Motion file.")],
    *,
    weights: Weights = None,
    json: Json = False,
) -> None:
    """How implausible each joint's movement is: about 1 is what real motion shows."""
    from humanmotion.jobs.fit import score_file

    rows = score_file(source, weights=weights)
    emit_json(rows) if json else emit_table(rows)


def _tell(paths: list[Path], *, as_json: bool) -> None:
    names = [str(path) for path in paths]
    if as_json:
        emit_json({"files": names})
    else:
        emit("\n".join(names))
