"""`humanmotion fit denoise|complete|sample|score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from humanmotion.cli.options import Json, Overwrite, Seed
from humanmotion.cli.output import emit, emit_json, emit_table

fit = typer.Typer(help="Plausible bodies: denoise, complete, sample, score.")
Output = Annotated[Path, typer.Option("--output", "-o", help="motion.npz to write.")]
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
    hypotheses: Annotated[int, typer.Option(min=2, help="Draws that are averaged.")] = 4,
    weights: Weights = None,
    seed: Seed = 0,
    json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """The likeliest motion behind noisy or few joints, and how sure it is."""
    from humanmotion.jobs.fit import denoise_file

    _tell(denoise_file(source, output=output, sigma_mm=sigma_mm, hypotheses=hypotheses,
                       weights=weights, seed=seed, overwrite=overwrite), as_json=json)  # fmt: skip


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
