"""Scores as JSON, in the published layout and clip by clip, and as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

from humanmotion.files import write_json, write_text
from humanmotion.jobs.score import Scores
from humanmotion.jobs.score_summary import aggregate, ranking, ranks
from humanmotion.jobs.score_systems import SystemScores


def write_scores_json(path: Path, scores: Scores, *, overwrite: bool) -> None:
    """Write `scores_dict`, atomically."""
    write_json(path, scores_dict(scores), overwrite=overwrite)


def scores_dict(scores: Scores) -> dict[str, Any]:
    """One system: its metrics at the top, as published; several: `systems` by name, and the ranking."""
    facts = {
        "mode": scores.options.mode,
        "prompts": None if scores.prompts is None else str(scores.prompts.path),
        "vision_language_model": None,
        **scores.about,
    }
    if len(scores.systems) == 1:
        return system_dict(scores.systems[0]) | {"about": facts}
    places = {
        metric: {name: asdict(rank) for name, rank in found.items()}
        for metric in scores.metrics
        if (found := ranks(scores.ranked, metric))
    }
    return {
        "about": facts,
        "systems": {system.name: system_dict(system) for system in scores.systems},
        "ranking": dict(ranking(scores.ranked, scores.metrics)),
        "ranks": places,
    }


def system_dict(system: SystemScores) -> dict[str, Any]:
    """`{metric: {aggregate, per_motion}}`, `per_clip` by stem, and who is missing or failed."""
    out: dict[str, Any] = {metric: _metric(system, metric) for metric in system.metrics}
    out["per_clip"] = {
        clip.stem: {name: value.value for name, value in clip.values.items()}
        for clip in system.clips
        if clip.error is None
    }
    out["missing"] = list(system.missing)
    out["not_asked_for"] = list(system.extra)
    out["failed"] = {clip.stem: clip.error for clip in system.failed}
    out["notes"] = system.notes
    return out


def _metric(system: SystemScores, metric: str) -> dict[str, Any]:
    whole = aggregate(system, metric)
    return {
        "aggregate": {"mean": whole.mean, "std": whole.std, "num_samples": whole.num_samples},
        "interval": None if whole.low is None else [whole.low, whole.high],
        "per_motion": [
            {"id": clip.stem, "value": found.value, "reason": found.reason}
            for clip in system.clips
            if (found := clip.values.get(metric)) is not None
        ],
    }


def write_scores_csv(path: Path, scores: Scores, *, overwrite: bool) -> None:
    """Write one row a clip, missing and failed ones too, atomically: system, clip, status, metrics."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["system", "clip", "status", "seconds", *scores.metrics])
    for system in scores.systems:
        for clip in system.clips:
            found = [clip.values.get(metric) for metric in scores.metrics]
            cells = ["" if v is None or v.value is None else repr(v.value) for v in found]
            status = "scored" if clip.error is None else _plain(clip.error)
            writer.writerow([_plain(system.name), _plain(clip.stem), status, clip.seconds, *cells])
        blank = [""] * (1 + len(scores.metrics))
        writer.writerows([_plain(system.name), stem, "missing", *blank] for stem in system.missing)
    write_text(path, text.getvalue(), overwrite=overwrite)


def _plain(text: str) -> str:
    """Text that a spreadsheet takes for text: a name may not begin a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
