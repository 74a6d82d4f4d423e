"""`humanmotion data build`: sources to motion on one body, filtered, captioned, cut into windows.

What each take gave is kept in `parts/` of the output until all is done, so that a build that was
interrupted goes on where it was; the same sources give the same bytes. See shards.py for what is
written, clip_filters.py for the bounds, and `report.json` for what came of every source.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import humanmotion
from humanmotion.body import BodyModel
from humanmotion.errors import HumanMotionError, InputError
from humanmotion.files import (
    read_json,
    read_tensors,
    sha256,
    writable_folder,
    write_json,
    write_tensors,
)
from humanmotion.generation.captions import (
    computed_captions,
    mirrored_caption,
    movement,
    of_part,
    sentences_of,
)
from humanmotion.generation.features import FPS, JOINTS, SIZE, features_of
from humanmotion.generation.hands import HANDS_SIZE, PARTS, hands_of
from humanmotion.generation.minilm import MiniLM
from humanmotion.generation.text import TextEncoder
from humanmotion.jobs.clip_filters import MOCAP, VIDEO, Limits, faults, measured, seen
from humanmotion.jobs.clip_sources import SourceClip, list_sources
from humanmotion.jobs.data import runs
from humanmotion.jobs.hand_shards import recorded_parts, within_reach, write_hands
from humanmotion.jobs.motion_corpus import recorded_joints
from humanmotion.jobs.shards import unique_captions, write_shards, write_texts
from humanmotion.jobs.stages import Progress, silent
from humanmotion.motion import Motion

TAKES, ONE_IN = 5, 10
"""Of actions with as many takes in train, one take in so many is held out, by the hash of its id."""
SEEN = "seen"
"""Split of what is held out: other takes of its action are in train."""


@dataclass(frozen=True)
class Build:
    """What a build wrote."""

    folder: Path
    report: dict[str, Any]
    notes: tuple[str, ...]


def build_data(
    sources: Sequence[str | Path],
    *,
    output: str | Path,
    limits: Limits = MOCAP,
    video_limits: Limits = VIDEO,
    encoder: TextEncoder | None = None,
    progress: Progress = silent,
) -> Build:
    """Build shards from sources of any kind (see clip_sources.py) on the default body.

    Raises InputError for sources without motion or of which nothing is kept, OutputError for a folder
    that cannot be written. A file that cannot be read is a reject, not an error.
    """
    folder, bounds = writable_folder(output), {False: limits, True: video_limits}
    clips, notes = list_sources([Path(s) for s in sources], work=folder / "videos")
    body, held = BodyModel.load(), held_out(clips)
    parts = folder / "parts"
    writable_folder(parts)
    kept, rejects = [], []
    for number, (clip, key) in enumerate(zip(clips, _keys(clips, body, bounds), strict=True)):
        windows, thrown = _part(clip, parts / key, body=body, limits=bounds[clip.by_video])
        kept += [(row | _place(clip, row, held), tensors) for row, tensors in windows]
        rejects += thrown
        progress("motion", (number + 1) / len(clips))
    if not kept:
        raise InputError(f"none of {len(clips)} clips is kept: {_reasons(rejects)}")
    rows, at = [], 0
    for row, _ in kept:
        rows.append(row | {"start": at})
        at += row["frames"]
    progress("text", 0.0)
    write_texts(folder, unique_captions(rows), encoder or MiniLM.load())
    write_shards(
        folder, rows, features=torch.cat([t["features"] for _, t in kept]),
        known=torch.stack([t["known"] for _, t in kept]),
    )  # fmt: skip
    report = report_of(rows, rejects, bounds=bounds, sources=[str(s) for s in sources])
    write_hands(folder, [t["hands"] for _, t in kept], torch.stack([t["parts"] for _, t in kept]))
    write_json(folder / "report.json", report)
    shutil.rmtree(parts)
    progress("text", 1.0)
    return Build(folder, report, notes)


def held_out(clips: Sequence[SourceClip]) -> frozenset[str]:
    """Ids of takes to be kept out of train, so that seen actions can be tested on unseen takes."""
    train = [c for c in clips if c.split == "train" and not c.excluded]
    takes = Counter((c.source, c.action) for c in train)
    return frozenset(
        c.id
        for c in train
        if takes[c.source, c.action] >= TAKES
        and int(hashlib.sha256(c.id.encode()).hexdigest()[:8], 16) % ONE_IN == 0
    )


def _place(clip: SourceClip, row: dict[str, Any], held: frozenset[str]) -> dict[str, Any]:
    if clip.id in held:
        return {"split": SEEN, "held_out": SEEN}
    return {"split": row["split"]}


def _keys(
    clips: Sequence[SourceClip], body: BodyModel, bounds: Mapping[bool, Limits]
) -> Iterator[str]:
    """A name for what each clip gives, from all that decides it."""
    hashes: dict[Path, str] = {}
    for clip in clips:
        if clip.file not in hashes:
            hashes[clip.file] = sha256(clip.file) if clip.file.exists() else ""
        captions = [(c.text, c.start, str(c.end)) for c in clip.captions]
        told = [
            humanmotion.__version__, body.sha256, bounds[clip.by_video].values(), clip.id, clip.split,
            clip.action, captions, clip.bad, clip.excluded, hashes[clip.file], HANDS_SIZE,
        ]  # fmt: skip
        yield hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


Window = tuple[dict[str, Any], dict[str, Tensor]]
"""A row of the index, and the window's features, known joints, hands and known parts of them."""
NOTHING = {
    "features": torch.zeros(0, SIZE), "known": torch.zeros(0, JOINTS).bool(),
    "hands": torch.zeros(0, HANDS_SIZE), "parts": torch.zeros(0, len(PARTS)).bool(),
}  # fmt: skip
"""What no window has."""
BY_FRAME, BY_WINDOW = ("features", "hands"), ("known", "parts")


def _part(
    clip: SourceClip, path: Path, *, body: BodyModel, limits: Limits
) -> tuple[list[Window], list[dict[str, Any]]]:
    """Windows and rejects of one take, computed or as kept at `path`."""
    tensors, told = path.with_suffix(".safetensors"), path.with_suffix(".json")
    if not told.exists():
        windows, rejects = _cut(clip, body, limits)
        joined = {k: torch.cat([NOTHING[k], *(t[k] for _, t in windows)]) for k in BY_FRAME}
        joined |= {k: torch.cat([NOTHING[k], *(t[k][None] for _, t in windows)]) for k in BY_WINDOW}
        write_tensors(tensors, joined)
        write_json(told, {"rows": [row for row, _ in windows], "rejects": rejects})
    held, said = read_tensors(tensors), read_json(told)
    frames = [row["frames"] for row in said["rows"]]
    pieces = {k: held[k].split(frames) for k in BY_FRAME} | {k: held[k] for k in BY_WINDOW}
    return [
        (row, {k: own[i] for k, own in pieces.items()}) for i, row in enumerate(said["rows"])
    ], said["rejects"]


def _cut(
    clip: SourceClip, body: BodyModel, limits: Limits
) -> tuple[list[Window], list[dict[str, Any]]]:
    """Windows of a take that fulfil the bounds, and what was thrown away and why."""
    about: dict[str, Any] = {"id": clip.id, "source": clip.source, "split": clip.split}
    if clip.excluded:
        return [], [about | {"seconds": 0.0, "reasons": ["excluded"]}]
    try:
        motion = clip.load(body)
    except HumanMotionError as error:
        return [], [about | {"seconds": 0.0, "reasons": ["unreadable"], "error": str(error)}]
    known = recorded_joints(motion.rotvec, clip.source) & motion.joints_present[:JOINTS]
    known[0] = not clip.by_video
    # A camera that sees a whole person sees too little of the fingers.
    parts = recorded_parts(motion) & (not clip.by_video)
    motion = within_reach(motion)
    windows: list[Window] = []
    rejects: list[dict[str, Any]] = []
    for piece in _pieces(motion, clip, limits):
        name = f"{clip.id}#{len(windows) + len(rejects)}"
        start = float(piece.times[0] - motion.times[0])
        seconds = max(len(piece) - 1, 0) / FPS
        values = {} if len(piece) <= limits.least_frames else _measured(piece, body)
        reasons = ["least_frames"] if not values else list(faults(values, limits))
        if reasons:
            off = {k: round(values[k], 5) for k in reasons if k in values}
            rejects.append(about | {"id": name, "seconds": seconds, "reasons": reasons} | off)
            continue
        row = about | {"id": name, "take": clip.id, "action": clip.action}
        row |= _captions(clip, piece, body, start=start, whole=seconds > 0.95 * motion.duration)
        row |= {"frames": len(piece) - 1, "seconds_from": round(start, 4)}
        own = {"features": features_of(piece, body), "hands": hands_of(piece[:-1])}
        windows.append((row, own | {"known": known, "parts": parts}))
    return windows, rejects


def _pieces(motion: Motion, clip: SourceClip, limits: Limits) -> Iterator[Motion]:
    """Even parts at 20 fps of the runs between bad frames; one frame more than they have features."""
    good = torch.ones(len(motion), dtype=torch.bool)
    for first, last in clip.bad:
        good[first:last] = False
    for first, last in runs(good.numpy()):
        run = motion[first:last].resample(FPS)
        count = max(1, -(-(len(run) - 1) // limits.most_frames))
        edges = [round(i * (len(run) - 1) / count) for i in range(count + 1)]
        for low, high in pairwise(edges):
            yield run[low : high + 1]


def _measured(piece: Motion, body: BodyModel) -> dict[str, float]:
    joints = body.joints_of(piece)[:, :JOINTS]
    return measured(joints, seen(piece), sole=body.sole_offset(piece.betas))


def _captions(
    clip: SourceClip, piece: Motion, body: BodyModel, *, start: float, whole: bool
) -> dict[str, Any]:
    """Captions that hold in a window, given and computed, and those of its mirror image."""
    length = max(piece.duration, 1 / FPS)
    inside = [
        c.text
        for c in clip.captions
        if min(c.end, start + length) - max(c.start, start) >= length / 2
    ]
    given = list(dict.fromkeys(sentences_of(inside if whole else of_part(inside))))
    joints = body.joints_of(piece)[:, :JOINTS]
    move = movement(joints, piece.rotations[:, 0], fps=piece.fps)
    new = () if clip.by_video else computed_captions(given, move)
    captions = list(dict.fromkeys((*given, *new)))
    return {
        "captions": captions,
        "mirrored_captions": [mirrored_caption(c) for c in captions],
        "given": len(given),
    }


def report_of(
    rows: Sequence[dict[str, Any]],
    rejects: Sequence[dict[str, Any]],
    *,
    bounds: Mapping[bool, Limits],
    sources: Sequence[str],
) -> dict[str, Any]:
    """Takes, clips, minutes and actions of each source and split, and every reject with its reason."""
    table = []
    for source, split in sorted({(r["source"], r["split"]) for r in rows}):
        own = [r for r in rows if (r["source"], r["split"]) == (source, split)]
        table.append({
            "source": source, "split": split, "takes": len({r["take"] for r in own}),
            "clips": len(own), "minutes": round(sum(r["frames"] for r in own) / FPS / 60, 2),
            "actions": len({r["action"] for r in own}),
            "captions": len({c for r in own for c in r["captions"]}),
            "uncaptioned": sum(not r["captions"] for r in own),
        })  # fmt: skip
    return {
        "version": humanmotion.__version__, "sources": list(sources), "fps": FPS,
        "limits": {"mocap": bounds[False].values(), "video": bounds[True].values()},
        "clips": table, "rejected": _reasons(rejects), "rejects": list(rejects),
    }  # fmt: skip


def _reasons(rejects: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """How many windows and seconds each reason threw away, by source."""
    out: dict[str, dict[str, float]] = {}
    for reject in rejects:
        for reason in reject["reasons"]:
            count = out.setdefault(f"{reject['source']}: {reason}", {"clips": 0, "seconds": 0.0})
            count["clips"] += 1
            count["seconds"] = round(count["seconds"] + reject["seconds"], 2)
    return out
