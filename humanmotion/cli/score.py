"""`humanmotion score PATH...`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from humanmotion.cli.options import Body, Overwrite, Quiet
from humanmotion.cli.output import emit_rich, warn
from humanmotion.cli.progress import StageProgress
from humanmotion.errors import BatchError, UsageError

if TYPE_CHECKING:
    from humanmotion.jobs.score import MoreMetrics, Scores
    from humanmotion.jobs.score_systems import SystemScores
    from humanmotion.jobs.stages import Progress


def score(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Motion files, or a folder a system.")
    ],
    *,
    json: Annotated[Path | None, typer.Option(help="Write the scores as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row a clip.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained report.")] = None,
    leaderboard: Annotated[
        Path | None,
        typer.Option(help="Write a leaderboard page; PATH... then hold a sub-folder a system."),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="MBench's prompt file; clips are named by its ids.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="Folder of real motion.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Folder of ground truth with the clips' names.")
    ] = None,
    mode: Annotated[
        Literal["corrected", "released"],
        typer.Option(help="Released: as the published code reads its files, depth as height."),
    ] = "corrected",
    fps: Annotated[float | None, typer.Option(help="Rate of .npy files (20 otherwise).")] = None,
    up: Annotated[
        Literal["auto", "y", "z"], typer.Option(help="Axis that points up in .npy files.")
    ] = "auto",
    floor: Annotated[
        float | None, typer.Option(help="Height of the floor in metres (estimated otherwise).")
    ] = None,
    mesh: Annotated[
        bool,
        typer.Option(
            "--mesh",
            help="Also how much the mesh is in itself and distances of poses, seconds a clip.",
        ),
    ] = False,
    body: Body = None,
    retrieval: Annotated[
        bool,
        typer.Option(
            "--retrieval", help="With --prompts: MBench's two tasks of texts, by retrieval."
        ),
    ] = False,
    weights: Annotated[
        Path | None, typer.Option(help="Folder of `train evaluator`, for --retrieval.")
    ] = None,
    judge: Annotated[
        Path | None,
        typer.Option(
            help="With --prompts: ask the vision-language model of HUMANMOTION_VLM_URL, _MODEL and "
            "_KEY; its answers are kept in this folder."
        ),
    ] = None,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
) -> None:
    """Score motions by MBench's metrics, ours, and ground truth.

    Exit code 3 when some files could not be scored.
    """
    from humanmotion.jobs.score import score as run
    from humanmotion.jobs.score_cache import ScoreCache
    from humanmotion.jobs.score_clip import ReadOptions
    from humanmotion.jobs.score_prompts import WORDS

    if fps is not None and not 0 < fps < 1e6:
        raise UsageError(f"fps {fps} given; it must be above 0 and below 1e6")
    if prompts is None and (retrieval or judge is not None):
        raise UsageError("--retrieval and --judge are of what prompts ask for; give --prompts")
    files = {"json": json, "csv": csv, "html": html, "leaderboard": leaderboard}
    outputs = {name: path for name, path in files.items() if path is not None}
    _check_outputs(list(outputs.values()), overwrite=overwrite)
    more = _more(mesh=mesh, body=body, retrieval=retrieval, weights=weights)
    asks = None if judge is None else _asking(judge)
    cache = ScoreCache.beside(next(iter(outputs.values()), None))
    with StageProgress(quiet=quiet) as progress:
        scores = run(
            paths if leaderboard is None else _submissions(paths, reference),
            options=ReadOptions(mode=mode, fps=fps, up=up, floor=floor),
            prompts=prompts,
            reference=reference,
            truth=truth,
            more=more,
            groups=() if asks is None else WORDS,
            cache=cache,
            progress=progress,
        )
        if asks is not None:
            scores = asks(scores, progress)
    for name, path in outputs.items():
        _write(name, path, scores, overwrite=overwrite)
    cache.clear()
    emit_rich(_table(scores))
    _tell(scores, quiet=quiet)


def _check_outputs(paths: list[Path], *, overwrite: bool) -> None:
    from humanmotion.io.targets import check_file

    if len(set(paths)) < len(paths):
        raise UsageError("two outputs have one name; give each a file of its own")
    for path in paths:
        check_file(path, overwrite=overwrite)


def _submissions(paths: list[Path], reference: Path | None) -> list[Path]:
    from humanmotion.jobs.score_board import submissions

    return submissions(paths, reference=reference)


def _asking(folder: Path) -> Callable[[Scores, Progress], Scores]:
    """What asks the model of the environment, which must be set up before anything is done."""
    from humanmotion.jobs.score_judge import judged, open_judge

    judge = open_judge(folder)
    # What it will cost is told even to those who want no notes.
    return lambda scores, progress: judged(scores, judge, tell=warn, progress=progress)


def _write(name: str, path: Path, scores: Scores, *, overwrite: bool) -> None:
    from humanmotion.jobs.score_board import write_board
    from humanmotion.jobs.score_output import write_scores_csv, write_scores_json
    from humanmotion.jobs.score_page import write_score_page

    writers = {"json": write_scores_json, "csv": write_scores_csv, "html": write_score_page,
               "leaderboard": write_board}  # fmt: skip
    writers[name](path, scores, overwrite=overwrite)


def _more(
    *, mesh: bool, body: Path | None, retrieval: bool, weights: Path | None
) -> list[MoreMetrics]:
    """What is asked for besides the joints; nothing of it is imported unless it is."""
    if body is not None and not mesh:
        raise UsageError("--body is the mesh that --mesh measures on; give both or none")
    if weights is not None and not retrieval:
        raise UsageError("--weights are the evaluator's that --retrieval asks; give both or none")
    found: list[MoreMetrics] = []
    if mesh:
        from humanmotion.jobs.score_mesh import MeshMetrics

        found.append(MeshMetrics(body))
    if retrieval:
        from humanmotion.jobs.score_retrieval import RetrievalMetrics

        found.append(RetrievalMetrics(weights))
    return found


def _table(scores: Scores) -> Table:
    """A row a metric, a column a system, best system first."""
    from humanmotion.jobs.score_summary import aggregate, label, ranking, ranks

    order = {name: i for i, (name, _) in enumerate(ranking(scores.ranked, scores.metrics))}
    systems = sorted(scores.systems, key=lambda s: (s.reference, order.get(s.name, math.inf)))
    out = Table(title=f"score, {scores.options.mode}", title_justify="left")
    out.add_column("metric")
    for system in systems:
        out.add_column(escape(system.name), justify="right")
    for metric in scores.metrics:
        places = ranks(scores.ranked, metric)
        cells = []
        for system in systems:
            found, rank = aggregate(system, metric), places.get(system.name)
            if found.mean is None:
                cells.append("none")
                continue
            span = "" if found.low is None else f" ({found.low:.4g} to {found.high:.4g})"
            place = "" if rank is None else f" #{rank.place}"
            cells.append(f"{found.mean:.4g}{span}{place}")
        out.add_row(label(metric), *cells)
    out.add_section()
    out.add_row("clips", *(_count(system) for system in systems))
    return out


def _count(system: SystemScores) -> str:
    parts = [f"{len(system.clips) - len(system.failed)} scored"]
    parts += [f"{len(system.missing)} missing"] if system.missing else []
    parts += [f"{len(system.failed)} failed"] if system.failed else []
    return ", ".join(parts)


def _tell(scores: Scores, *, quiet: bool) -> None:
    """What was missing, failed or assumed, a line each; BatchError where a file failed."""
    from humanmotion.jobs.score_prompts import id_list

    if not quiet and scores.resumed:
        warn(f"{scores.resumed} clips were scored by an earlier run")
    if not quiet and scores.prompts is not None:
        others = len(scores.prompts.by_id) - len(scores.prompts.ids(scores.groups))
        if others:
            warn(f"{others} prompts are of metrics that were not asked for")
    for system in scores.systems:
        if system.missing:
            warn(f"{system.name}: {len(system.missing)} clips missing: {id_list(system.missing)}")
        for note, count in system.notes.items() if not quiet else ():
            warn(f"{system.name}: {note} ({count} clips)")
        if system.extra and not quiet:
            warn(f"{system.name}: {len(system.extra)} files not asked for: {id_list(system.extra)}")
        for metric in system.metrics if not quiet else ():
            for reason, count in Counter(system.without(metric).values()).items():
                warn(f"{system.name}: {metric} has no value in {count} clips: {reason}")
        for clip in system.failed:
            warn(f"{system.name}: not scored: {clip.error}")
    failed = sum(len(system.failed) for system in scores.systems)
    if failed:
        raise BatchError(f"{failed} files could not be scored; the others are")
