"""Motion-capture folders: `index.jsonl` beside npz shards, 30 fps, z up, metres.

A shard holds, per clip, `<id>/poses` int16 `(T, 66)` (22 local rotation vectors, step pi/32767),
`<id>/pelvis` int16 `(T, 3)` (pelvis joint, step 0.5 mm, relative to `<id>/origin`) and, where the
source has them, `<id>/hands` `(T, 90)` and `<id>/face` `(T, 9)` in the step of the poses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import read_npz, read_text
from humanmotion.metrics.contact import stance_sole_height
from humanmotion.motion import Motion

FPS = 30.0
SOURCE_LEG_METRES = 0.855
"""Hip-knee-ankle length that every clip of these folders was scaled to."""
_ANGLE_STEP = np.pi / 32767
_PELVIS_STEP = 1 / 2000


@dataclass(frozen=True)
class Clip:
    """One clip as its folder describes it."""

    folder: Path
    id: str
    split: str
    shard: str
    text: str
    bad: tuple[tuple[int, int], ...]
    """Frame ranges [start, end) with jumps no body makes."""
    excluded: bool
    """Not for training, says the index."""


def read_index(path: str | Path) -> list[dict[str, Any]]:
    """Rows of an `index.jsonl`; raises FileFormatError naming the line that is not JSON."""
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        try:
            rows.append(json.loads(line)) if line.strip() else None
        except ValueError as error:
            raise FileFormatError(f"{path} line {number} is not JSON: {error}") from error
    return rows


def list_clips(folder: str | Path, *, split: str) -> list[Clip]:
    """Clips of one motion-capture folder in one split, in index order."""
    folder = Path(folder)
    rows = [r for r in read_index(folder / "index.jsonl") if r.get("split") == split]
    return [
        Clip(
            folder=folder,
            id=row["id"],
            split=split,
            shard=row["shard"],
            text=row.get("text") or "",
            bad=tuple((int(a), int(b)) for a, b in row.get("bad") or ()),
            excluded=bool(row.get("exclude")),
        )
        for row in rows
    ]


def load_clip(clip: Clip, body: BodyModel) -> Motion:
    """A clip on a body: the pelvis path scaled to its legs, median stance sole at height 0."""
    members = ("poses", "pelvis", "origin", "hands", "face")
    arrays = read_npz(clip.folder / clip.shard, keys=[f"{clip.id}/{m}" for m in members])
    for member in members[:3]:
        if f"{clip.id}/{member}" not in arrays:
            raise InputError(
                f"{clip.folder / clip.shard} holds no clip {clip.id}: no {clip.id}/{member}"
            )
    get = {m: arrays.get(f"{clip.id}/{m}") for m in members}
    rotvec, present = _rotvec(get)
    pelvis = get["pelvis"] * _PELVIS_STEP + get["origin"]  # type: ignore[operator]
    path = torch.from_numpy(pelvis).float() * (float(body.leg_length()) / SOURCE_LEG_METRES)
    motion = Motion.create(
        rotvec,
        path - body.rest_joints()[0],
        fps=FPS,
        joints_present=present,
        confidence=present.float().expand(len(rotvec), -1).clone(),
        body_id=body.body_id,
        body_sha256=body.sha256,
        meta={"source": f"{clip.folder.name}/{clip.id}", "text": clip.text},
    )
    lift = stance_sole_height(body.joints_of(motion), sole=body.sole_offset(), fps=FPS)
    drop = torch.tensor((0.0, 0.0, float(lift)))
    return Motion.create(
        rotvec,
        motion.transl - drop,
        fps=FPS,
        joints_present=present,
        confidence=motion.confidence,
        body_id=body.body_id,
        body_sha256=body.sha256,
        meta=motion.meta,
    )


def _rotvec(get: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    frames = len(get["poses"])
    full, present = np.zeros((frames, 55, 3), np.float32), np.zeros(55, bool)
    for name, first, count in (("poses", 0, 22), ("face", 22, 3), ("hands", 25, 30)):
        if get[name] is not None:
            values = get[name].astype(np.float32) * np.float32(_ANGLE_STEP)
            full[:, first : first + count] = values.reshape(frames, count, 3)
            present[first : first + count] = True
    return torch.from_numpy(full), torch.from_numpy(present)


def good_frames(clip: Clip, frames: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """`(frames,)` bool: outside the ranges the index lists as bad."""
    good = np.ones(frames, bool)
    for start, stop in clip.bad:
        good[start:stop] = False
    return good


def runs(good: np.ndarray[Any, np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    """Starts and ends [start, end) of the runs of true values of `good` `(frames,)`."""
    edges = np.flatnonzero(np.diff(np.r_[False, good, False].astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def motion_folders(data: str | Path) -> Iterator[Path]:
    """Sub-folders of `data` (or `data` itself) that hold an index with motion shards."""
    data = Path(data)
    for folder in (data, *sorted(p for p in data.iterdir() if p.is_dir())):
        if (folder / "index.jsonl").exists() and list(folder.glob("shard_*.npz")):
            yield folder
