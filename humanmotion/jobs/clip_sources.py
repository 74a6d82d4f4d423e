"""Where clips come from: our data folders, folders of AMASS npz and BVH files, and videos.

Our folders say splits, actions and captions in `index.jsonl` and `texts.jsonl`. Of other files the
caption is a `.txt` beside them (a sentence a line; HumanML3D's marks behind `#` are dropped), else the
words of the name, and the split goes by the hash of their folder, which is mostly one person.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from humanmotion.body import BodyModel
from humanmotion.errors import FileFormatError, InputError
from humanmotion.files import existing_file, read_text, sha256
from humanmotion.generation.captions import action_label, clean_caption
from humanmotion.io.convert import MOTION_FORMATS, read_any
from humanmotion.io.npz import read_motion
from humanmotion.io.sniff import VIDEO_ENDINGS, sniff
from humanmotion.jobs.data import Clip, list_clips, load_clip, motion_folders, read_index
from humanmotion.motion import Motion

ON_REQUEST = {"bandai_nc": "CC BY-NC 4.0, research only", "cmu_extra": "val and test only"}
"""Sets that a folder of sets does not stand for; each must be named, and why."""
VAL_SHARE, TEST_SHARE = 50, 100
"""Of 1000 hashes of folders, those for val and for test."""
ENDINGS = (".npz", ".bvh", *VIDEO_ENDINGS)


@dataclass(frozen=True)
class SourceCaption:
    """A caption, and from when to when it holds, in seconds."""

    text: str
    start: float = 0.0
    end: float = float("inf")


@dataclass(frozen=True)
class SourceClip:
    """One take as its source describes it; `load` reads its motion."""

    id: str
    source: str
    split: str
    action: str
    captions: tuple[SourceCaption, ...]
    load: Callable[[BodyModel], Motion] = field(compare=False)
    file: Path
    """What `load` reads; its hash tells whether a kept result still holds."""
    bad: tuple[tuple[int, int], ...] = ()
    """Frame ranges [start, end) with jumps no body makes."""
    excluded: bool = False
    by_video: bool = False
    """Seen by a camera: where it went in the world is not trusted (ViMoGen, section 4)."""


def list_sources(paths: list[Path], *, work: Path) -> tuple[list[SourceClip], tuple[str, ...]]:
    """Clips of all sources in their order, and notes for the user, each one line.

    Videos are reconstructed into folders within `work`. Raises InputError for a source without
    motion, or two of one name.
    """
    clips, notes = [], []
    for path in paths:
        found, said = _listed(path, work)
        if not found:
            raise InputError(
                f"{path} holds no motion; give data folders with index.jsonl, folders or files of "
                f"AMASS npz or BVH, or videos ({', '.join(ENDINGS)})"
            )
        clips += found
        notes += said
    twice = [name for name, count in Counter(clip.id for clip in clips).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} is given twice; name each source once")
    return clips, tuple(notes)


def _listed(path: Path, work: Path) -> tuple[list[SourceClip], list[str]]:
    if not path.is_dir():
        existing_file(path)
        return [_of_file(path, path.parent, work)], []
    folders = list(motion_folders(path))
    if not folders:
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
        return [_of_file(file, path, work) for file in files], []
    left = [f for f in folders if f != path and f.name in ON_REQUEST]
    notes = [f"{f} was left out ({ON_REQUEST[f.name]}); name it to take it" for f in left]
    return [c for f in folders if f not in left for c in _of_folder(f)], notes


def _of_folder(folder: Path) -> Iterator[SourceClip]:
    rows = {row["id"]: row for row in read_index(folder / "index.jsonl")}
    captions = _captions_of(folder)
    splits = list(dict.fromkeys(str(row.get("split")) for row in rows.values()))
    for clip in (c for split in splits for c in list_clips(folder, split=split)):
        action = rows[clip.id].get("action") or action_label(clip.text)
        fallback = (SourceCaption(clean_caption(clip.text)),) if clip.text else ()
        yield SourceClip(
            id=f"{folder.name}/{clip.id}", source=folder.name, split=clip.split, action=action,
            captions=captions.get(clip.id, fallback), load=_loader(clip),
            file=folder / clip.shard, bad=clip.bad, excluded=clip.excluded,
        )  # fmt: skip


def _loader(clip: Clip) -> Callable[[BodyModel], Motion]:
    return lambda body: load_clip(clip, body)


def _captions_of(folder: Path) -> dict[str, tuple[SourceCaption, ...]]:
    path, found = folder / "texts.jsonl", dict[str, list[SourceCaption]]()
    for row in read_index(path) if path.exists() else []:
        found.setdefault(row["id"], []).extend(_timed(row))
    return {name: tuple(dict.fromkeys(captions)) for name, captions in found.items()}


def _timed(row: dict[str, Any]) -> list[SourceCaption]:
    start, end = float(row.get("start_s", 0)), float(row.get("end_s", "inf"))
    return [SourceCaption(clean_caption(c), start, end) for c in row["captions"]]


def _of_file(path: Path, root: Path, work: Path) -> SourceClip:
    place = path.relative_to(root)
    name = f"{root.resolve().name}/{place.with_suffix('').as_posix()}"
    words = clean_caption(" ".join(re.findall(r"[A-Za-z]+", path.stem)))
    video = path.suffix.lower() in VIDEO_ENDINGS
    return SourceClip(
        id=name, source=root.resolve().name, split=_split(place.parent.as_posix()),
        action=action_label(words), captions=_beside(path, words),
        load=_video_loader(path, work / name) if video else _file_loader(path),
        file=path, by_video=video,
    )  # fmt: skip


def _beside(path: Path, words: str) -> tuple[SourceCaption, ...]:
    text = path.with_suffix(".txt")
    if text.exists():
        lines = [clean_caption(line.split("#")[0]) for line in read_text(text).splitlines()]
        return tuple(SourceCaption(line) for line in dict.fromkeys(lines) if line)
    return (SourceCaption(words),) if words else ()


def _split(folder: str) -> str:
    number = int(hashlib.sha256(f"humanmotion-split-{folder}".encode()).hexdigest()[:8], 16) % 1000
    return "val" if number < VAL_SHARE else "test" if number < TEST_SHARE else "train"


def _file_loader(path: Path) -> Callable[[BodyModel], Motion]:
    def load(body: BodyModel) -> Motion:
        if (kind := sniff(path)) not in MOTION_FORMATS:
            raise FileFormatError(f"{path} is a {kind} file, which holds no joint rotations")
        return read_any(path, body=body)

    return load


def _video_loader(path: Path, folder: Path) -> Callable[[BodyModel], Motion]:
    """The most prominent person of a video; a second call takes what the first one wrote."""

    def load(body: BodyModel) -> Motion:
        from humanmotion.jobs.reconstruct import reconstruct

        done, stamp = folder / "report.json", folder / "source.sha256"
        if not done.exists() or not stamp.exists() or read_text(stamp) != sha256(path):
            reconstruct(path, output=folder, overwrite=True)
            stamp.write_text(sha256(path), encoding="utf-8")
        return read_motion(folder / "motion.npz")

    return load
