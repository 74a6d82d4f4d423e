"""What `generate` writes: one file for each sample, and a page that shows them all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import OutputError, UsageError
from humanmotion.files import writable_folder
from humanmotion.io.convert import MOTION_ENDINGS, write_any
from humanmotion.io.gltf import glb_bytes
from humanmotion.io.targets import check_file
from humanmotion.jobs.view import motions_report
from humanmotion.motion import Motion
from humanmotion.viz.page import write_page

FOLDER_ENDING = ".glb"
"""Of files in a folder, whose format no name says."""
_SLUG = 40
_SHOWN = 48


@dataclass(frozen=True)
class SampleFiles:
    """Where each sample goes; in the order of the prompts, `num` a prompt."""

    motions: tuple[Path, ...]
    page: Path | None
    """None for a single motion."""


def sample_files(output: str | Path, prompts: Sequence[str], *, num: int) -> SampleFiles:
    """Names for `num` samples of each prompt.

    A path with a motion's ending is the file itself, or with several samples the beginning of their
    names, the page beside them; any other is a folder. Raises UsageError for an ending no motion can
    have.
    """
    path, several = Path(output), num * len(prompts) > 1
    ending = next((e for e in MOTION_ENDINGS if path.name.lower().endswith(e)), None)
    if ending is None or path.is_dir():
        if path.suffix and not path.is_dir():
            raise UsageError(
                f"{path} cannot hold a motion; accepted endings are {', '.join(MOTION_ENDINGS)}; "
                "a name without any is a folder"
            )
        names = _names(prompts, num=num)
        return SampleFiles(
            tuple(path / f"{name}{FOLDER_ENDING}" for name in names), path / "index.html"
        )
    if not several:
        return SampleFiles((path,), None)
    stem, own = path.name[: -len(ending)], path.name[-len(ending) :]
    count = num * len(prompts)
    width = len(str(count))
    motions = tuple(path.with_name(f"{stem}_{i:0{width}}{own}") for i in range(1, count + 1))
    return SampleFiles(motions, path.with_name(f"{stem}.html"))


def _names(prompts: Sequence[str], *, num: int) -> list[str]:
    """From the prompts' words; numbered where one would not tell them apart."""
    found = []
    for i, prompt in enumerate(prompts, 1):
        plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
        words = "-".join(re.findall(r"[a-z0-9]+", plain))[:_SLUG].strip("-") or "motion"
        head = f"{i:0{len(str(len(prompts)))}}-{words}" if len(prompts) > 1 else words
        found += [f"{head}_{k:0{len(str(num))}}" if num > 1 else head for k in range(1, num + 1)]
    return found


def check_samples(files: SampleFiles, *, overwrite: bool) -> None:
    """Raise OutputError, before anything is made, where something is in the way or not writable."""
    pages = [] if files.page is None else [files.page]
    for path in (*files.motions, *pages):
        check_file(path, overwrite=overwrite)
    folder = files.motions[0].parent
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; name a folder, or a file with a motion's ending")
    writable_folder(folder)


def write_samples(
    files: SampleFiles, motions: Sequence[Motion], *, body: BodyModel, overwrite: bool
) -> None:
    """Write every motion by its ending, and the page if there is to be one."""
    for path, motion in zip(files.motions, motions, strict=True):
        write_any(path, motion, body=body, overwrite=overwrite)
    if files.page is None:
        return
    pairs = [(motion, body) for motion in motions]
    names = _legend(motions)
    report = motions_report(pairs, names)
    facts = [
        (name, f"{value}; {path.name}")
        for (name, value), path in zip(report.facts, files.motions, strict=True)
    ]
    notes = dict.fromkeys(note for motion in motions for note in motion.meta.get("notes", ()))
    write_page(
        files.page,
        title="; ".join(dict.fromkeys(str(motion.meta["text"]) for motion in motions))[:200],
        glb=glb_bytes(pairs, names=names),
        report=replace(report, facts=facts, warnings=tuple(notes)),
        side_by_side=True,
        overwrite=overwrite,
    )


def _legend(motions: Sequence[Motion]) -> list[str]:
    """The prompt of each motion, numbered: several may have the same."""
    texts = [str(motion.meta["text"]) for motion in motions]
    shown = [text if len(text) <= _SHOWN else f"{text[:_SHOWN].rstrip()}…" for text in texts]
    return [f"{i} {text}" for i, text in enumerate(shown, 1)]
