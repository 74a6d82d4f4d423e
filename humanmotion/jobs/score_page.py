"""Scores as one self-contained page: the worst clips to play, the spreads, systems side by side."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from humanmotion.errors import InputError
from humanmotion.io.gltf_joints import Figure, figures_glb
from humanmotion.jobs.score import Scores
from humanmotion.jobs.score_clip import Clip, read_clip
from humanmotion.jobs.score_prompts import id_list
from humanmotion.jobs.score_summary import (
    LOWER_IS_BETTER,
    Aggregate,
    aggregate,
    label,
    ranking,
    ranks,
    worst_clips,
)
from humanmotion.jobs.score_systems import ClipScore, System, SystemScores, vote_up
from humanmotion.metrics.contact import FEET, stance_sole_height
from humanmotion.viz.page import PageReport, Section, Series, write_page
from humanmotion.viz.plots import Line, line_plot

MOST_PLAYED = 6
"""Clips in the page at most; each is some 100 kB."""
_FPS = 20.0


@dataclass(frozen=True)
class _Played:
    name: str
    why: str
    clip: Clip


def write_score_page(
    path: Path,
    scores: Scores,
    *,
    overwrite: bool,
    title: str | None = None,
    before: Sequence[Section] = (),
) -> None:
    """Write the report, atomically, with more sections before its own if given.

    Raises InputError where no clip could be scored.
    """
    played = _played(scores)
    if not played:
        raise InputError(f"no clip could be scored, so there is nothing to show in {path}")
    figures = [_figure(one) for one in played]
    longest = max((figure.times for figure in figures), key=lambda t: float(t[-1]))
    report = PageReport(
        times=longest.tolist(),
        series=_series(figures, longest),
        facts=[(one.name, one.why) for one in played],
        warnings=_warnings(scores),
        sections=[*before, _table(scores), *_more_tables(scores), _spreads(scores)],
    )
    if title is None:
        title = "Scores: " + ", ".join(system.name for system in scores.systems)
    write_page(
        path,
        title=title,
        glb=figures_glb(figures),
        report=report,
        side_by_side=len(figures) > 1,
        overwrite=overwrite,
    )


def _played(scores: Scores) -> list[_Played]:
    """The worst clip of each metric and system in turn, each clip once, at most MOST_PLAYED."""
    found: dict[tuple[str, str], _Played] = {}
    ranked = scores.ranked or scores.systems
    for metric in (name for name in scores.metrics if name in LOWER_IS_BETTER):
        for system in ranked:
            for stem, value in worst_clips(system, metric, count=1):
                why = f"worst {metric}, {value:.4g}"
                known = found.get((system.name, stem))
                if known is not None:
                    why = f"{known.why}; {why}"
                elif len(found) >= MOST_PLAYED:
                    continue
                clip = known.clip if known else _read(_score_of(system, stem), system, scores)
                name = stem if len(scores.systems) == 1 else f"{system.name}/{stem}"
                found[system.name, stem] = _Played(name, why, clip)
    return list(found.values())


def _score_of(system: SystemScores, stem: str) -> ClipScore:
    return next(clip for clip in system.clips if clip.stem == stem)


def _read(score: ClipScore, system: SystemScores, scores: Scores) -> Clip:
    up = None
    if scores.options.up == "auto" and scores.options.mode == "corrected":
        up = vote_up(System(system.name, tuple(clip.path for clip in system.clips)))
    return read_clip(score.path, scores.options, up=up)


def _figure(played: _Played) -> Figure:
    """Standing on the floor that it was scored over; joints that are not there lie at the pelvis."""
    joints, scene = played.clip.joints, played.clip.scene
    times = torch.arange(len(joints)).double() / scene.fps if scene.times is None else scene.times
    joints = torch.where(joints.isfinite(), joints, joints[:, :1].nan_to_num(0.0))
    floor = scene.floor
    if floor is None:
        sole = joints.new_tensor(scene.sole)
        floor = float(stance_sole_height(joints, sole=sole, fps=scene.fps))
    lift = joints.new_tensor((0.0, 0.0, floor))
    middle = joints[:1, :1] * joints.new_tensor((1.0, 1.0, 0.0))
    return Figure(played.name, times - times[0], joints - lift - middle)


def _series(figures: Sequence[Figure], times: Tensor) -> list[Series]:
    out = []
    for figure in figures:
        foot = figure.joints[:, FEET, 2].amin(-1)
        step = figure.joints.diff(dim=0).norm(dim=-1).mean(-1)
        shake = figure.joints.diff(n=2, dim=0).norm(dim=-1).mean(-1)
        for plot, unit, values in (
            ("lower foot joint over the floor", "m", foot),
            ("mean step of the joints", "m a frame", step),
            ("mean second difference of the joints", "m a frame²", shake),
        ):
            own = dict(zip((figure.times * 1000).round().tolist(), values.tolist(), strict=False))
            shown = [own.get(t) for t in (times * 1000).round().tolist()]
            out.append(Series(figure.name, unit, shown, plot=plot))
    return out


def _warnings(scores: Scores) -> list[str]:
    out = []
    for system in scores.systems:
        if system.missing:
            out.append(f"{system.name}: {len(system.missing)} missing: {id_list(system.missing)}")
        out += [f"{system.name}: not scored: {clip.error}" for clip in system.failed]
        out += [f"{system.name}: {note} ({n} clips)" for note, n in system.notes.items()]
    return out


def _table(scores: Scores) -> Section:
    """A row a metric, a column a system: mean, interval, place and its interval."""
    rows = [["", *(system.name for system in scores.systems)]]
    for metric in scores.metrics:
        places = ranks(scores.ranked, metric)
        cells = [label(metric)]
        for system in scores.systems:
            text, rank = _words(aggregate(system, metric)), places.get(system.name)
            cells.append(
                text if rank is None else f"{text}, place {rank.place} ({rank.low}-{rank.high})"
            )
        rows.append(cells)
    return Section(f"Means and 95 % intervals, {scores.options.mode} definitions", grid(rows))


def _more_tables(scores: Scores) -> list[Section]:
    order = ranking(scores.ranked, scores.metrics)
    if not order:
        return []
    rows = [["system", "mean place"], *([name, f"{place:.2f}"] for name, place in order)]
    return [Section("Ranking by the mean place over the metrics that rank", grid(rows))]


def _spreads(scores: Scores) -> Section:
    """For each metric the share of clips up to each value, a line a system."""
    plots = []
    for metric in scores.metrics:
        lines = [
            Line(system.name, values, [(i + 1) / len(values) for i in range(len(values))])
            for system in scores.systems
            if (values := sorted(system.numbers(metric).values()))
        ]
        if lines:
            plots.append(line_plot(lines, title=metric, x_label=metric, y_label="share of clips"))
    return Section("Spread over the clips", f'<div class="grid">{"".join(plots)}</div>')


def _words(found: Aggregate) -> str:
    if found.mean is None:
        return "none"
    span = "" if found.low is None else f" ({found.low:.4g} to {found.high:.4g})"
    return f"{found.mean:.4g}{span}, {found.num_samples} clips"


def grid(rows: Sequence[Sequence[str]]) -> str:
    """A table of texts as HTML, the first row its head."""
    head, *body = (
        "<tr>" + "".join(f"<{cell}>{html.escape(text)}</{cell}>" for text in row) + "</tr>"
        for row, cell in zip(rows, ("th", *("td",) * (len(rows) - 1)), strict=True)
    )
    return f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"
