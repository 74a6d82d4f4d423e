"""`humanmotion fit denoise|ik|keypoints|complete|sample|score`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from humanmotion.cli.convert import pixels
from humanmotion.cli.options import Json, Overwrite, Quiet, Seed
from humanmotion.cli.output import emit, emit_json, emit_table, warn
from humanmotion.cli.progress import StageProgress
from humanmotion.errors import UsageError

fit = typer.Typer(help="Plausible bodies from joints, keypoints or nothing.")
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
Hypotheses = Annotated[
    int, typer.Option(min=2, help="Draws about the likeliest poses, for their spread.")
]
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
def keypoints(
    source: Annotated[
        Path, typer.Argument(help="2D keypoints (.npz, OpenPose, COCO), or in space (.csv, .trc).")
    ],
    *,
    output: Output,
    focal: Annotated[
        float | None, typer.Option(min=1.0, help="Focal length in pixels (else the diagonal).")
    ] = None,
    camera: Annotated[
        Path | None, typer.Option(help="Camera path: cameras.json, motion.npz or COLMAP.")
    ] = None,
    shape: Annotated[
        Path | None, typer.Option(help="Motion file whose body shape to take (else the average).")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Pixels of OpenPose's pictures.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Rate of a file that states none (30 otherwise).")
    ] = None,
    person: Annotated[int, typer.Option(min=0, help="Which person of the file.")] = 0,
    sigma_px: Annotated[
        float | None, typer.Option(min=0.2, help="Error of a sure keypoint (1 % of the person).")
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
    """The likeliest motion behind keypoints in pictures or in space, and how sure it is."""
    in_space = source.suffix.lower() in (".csv", ".trc")
    pictures = {"--focal": focal, "--camera": camera, "--shape": shape, "--size": size, "--fps": fps,
                "--person": person or None, "--sigma-px": sigma_px}  # fmt: skip
    _refuse(pictures if in_space else {"--joints": joints, "--units": units, "--up": up},
            "points in space have no picture" if in_space else "it holds pixels of known names",
            source)  # fmt: skip
    note = None if quiet else warn
    with StageProgress(quiet=quiet) as progress:
        if in_space:
            from humanmotion.jobs.fit_places import fit_joints

            paths = fit_joints(
                source, output=output, sigma_mm=None, joint_set=joints, units=units, up=up,
                hands=hands, stills=stills, hypotheses=hypotheses, each=each, weights=weights,
                seed=seed, overwrite=overwrite, progress=progress, note=note,
            )  # fmt: skip
        else:
            from humanmotion.jobs.fit_keypoints import fit_keypoints

            paths = fit_keypoints(
                source, output=output, size=None if size is None else pixels(size), fps=fps,
                person=person, focal=focal, camera=camera, shape=shape, sigma_px=sigma_px,
                hands=hands, stills=stills, hypotheses=hypotheses, each=each, weights=weights,
                seed=seed, overwrite=overwrite, progress=progress, note=note,
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


def _refuse(options: Mapping[str, object], why: str, source: Path) -> None:
    """Raise UsageError for options that would have to be ignored."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UsageError(f"{source}: {why}; leave {', '.join(given)} out")


def _tell(paths: list[Path], *, as_json: bool) -> None:
    names = [str(path) for path in paths]
    if as_json:
        emit_json({"files": names})
    else:
        emit("\n".join(names))
