"""What is scored: systems (a folder each, or the loose files together) and the clips in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from humanmotion.errors import HumanMotionError, InputError, UsageError
from humanmotion.io.convert import MOTION_FORMATS
from humanmotion.io.sniff import sniff
from humanmotion.jobs.score_clip import ENDINGS, file_up
from humanmotion.metrics.mbench_value import MetricValue

LOOSE = "files"
VOTERS = 20
"""Clips whose pose says which way is up in all of a system's npy files."""


@dataclass(frozen=True)
class System:
    """One source of clips."""

    name: str
    files: tuple[Path, ...]
    """Sorted, of different stems."""


@dataclass(frozen=True)
class ClipScore:
    """What one file scored."""

    stem: str
    path: Path
    seconds: float
    values: dict[str, MetricValue]
    notes: tuple[str, ...] = ()
    error: str | None = None
    """Why the file could not be scored at all."""


@dataclass(frozen=True)
class SystemScores:
    """All clips of one system."""

    name: str
    clips: tuple[ClipScore, ...]
    missing: tuple[str, ...] = ()
    """Ids that the prompts ask for and the system lacks."""
    extra: tuple[str, ...] = ()
    """Stems that no prompt asks for; not scored."""
    reference: bool = False
    """Real motion, which is shown and not ranked."""
    notes: dict[str, int] = field(default_factory=dict)
    """What was assumed in reading, and of how many clips."""

    @property
    def failed(self) -> tuple[ClipScore, ...]:
        """Clips that could not be scored at all."""
        return tuple(clip for clip in self.clips if clip.error is not None)

    def numbers(self, metric: str) -> dict[str, float]:
        """Value of a metric by stem, of the clips that have one."""
        found = {clip.stem: clip.values.get(metric) for clip in self.clips}
        return {s: v.value for s, v in found.items() if v is not None and v.value is not None}

    def without(self, metric: str) -> dict[str, str]:
        """Why a metric has no value, by stem, of the scored clips that have none."""
        found = {clip.stem: clip.values.get(metric) for clip in self.clips}
        return {s: v.reason for s, v in found.items() if v is not None and v.reason is not None}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics that any clip was asked for, in their order."""
        return tuple(dict.fromkeys(name for clip in self.clips for name in clip.values))


def find_systems(paths: Sequence[Path]) -> tuple[System, ...]:
    """A system for each folder, and one for all files that are named alone.

    Raises UsageError without paths, for folders of one name and two files of one stem in a system,
    InputError where nothing is there or a folder holds no motion.
    """
    if not paths:
        raise UsageError("no path given to score; give motion files, or folders of them")
    folders = [path for path in paths if path.is_dir()]
    loose = [path for path in paths if not path.is_dir()]
    for path in loose:
        if not path.exists():
            raise InputError(f"{path} does not exist; give a motion file or a folder of them")
    systems = [System(_name(path), _motions(path)) for path in folders]
    if loose:
        systems.append(System(LOOSE, tuple(sorted(loose))))
    names = [system.name for system in systems]
    if len(set(names)) < len(names):
        # Submissions tend to lie in folders of one name within those of their systems.
        names = [f"{path.resolve().parent.name}/{path.resolve().name}" for path in folders]
        names += [LOOSE] if loose else []
    if len(set(names)) < len(names):
        raise UsageError(f"two systems are called {max(names, key=names.count)}; rename a folder")
    named = tuple(System(n, s.files) for n, s in zip(names, systems, strict=True))
    for system in named:
        _check_stems(system)
    return named


def vote_up(system: System) -> str | None:
    """Which way most of a system's npy files have up; None where none of them shows it."""
    files = [path for path in system.files if path.suffix.lower() == ".npy"]
    votes: Counter[str] = Counter()
    for path in files[:: max(1, len(files) // VOTERS)]:
        try:
            found = file_up(path)
        except HumanMotionError:
            continue  # Whatever is wrong with the file is said when it is scored.
        if found is not None:
            votes[found] += 1
    return votes.most_common(1)[0][0] if votes else None


def _name(folder: Path) -> str:
    return folder.resolve().name or str(folder)


def _motions(folder: Path) -> tuple[Path, ...]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and p.is_file())
    found = tuple(p for p in files if p.suffix.lower() != ".npz" or _is_motion(p))
    if not found:
        raise InputError(
            f"folder {folder} holds no motions; scored are files that end in {', '.join(ENDINGS)}"
        )
    return found


def _is_motion(path: Path) -> bool:
    """Whether an npz holds a motion; one that cannot be told is kept, to be named when it fails."""
    try:
        return sniff(path) in MOTION_FORMATS
    except HumanMotionError:
        return True


def _check_stems(system: System) -> None:
    stems = Counter(path.stem for path in system.files)
    twice = [stem for stem, count in stems.items() if count > 1]
    if twice:
        raise UsageError(
            f"{system.name} has two files called {twice[0]}; clips are told apart by their names, so "
            "rename one"
        )
