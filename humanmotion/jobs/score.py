"""`humanmotion score`: numbers for every clip of one system or several, never skipping one silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from humanmotion.errors import HumanMotionError, UsageError
from humanmotion.jobs.score_cache import ScoreCache
from humanmotion.jobs.score_clip import ReadOptions, read_clip
from humanmotion.jobs.score_prompts import QUALITY, Prompt, Prompts, asked_for, read_prompts
from humanmotion.jobs.score_systems import (
    ClipScore,
    System,
    SystemScores,
    find_systems,
    vote_up,
)
from humanmotion.jobs.score_truth import truth_metrics
from humanmotion.metrics.mbench_joints import joint_metrics
from humanmotion.metrics.mbench_value import MetricValue

Progress = Callable[[str, float], None]


class MoreMetrics(Protocol):
    """Metrics that need more than joints: rotations, weights or prompts."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The benchmark's groups of prompts whose clips they are of."""

    @property
    def digest(self) -> str:
        """Of all that a value depends on besides the clip and its prompt."""

    @property
    def about(self) -> dict[str, Any]:
        """What JSON tells of how the values came about."""

    def takes(self, prompt: Prompt | None) -> bool:
        """Whether they are of a clip with this prompt, or with none."""

    def of(self, path: Path, prompt: Prompt | None, /) -> dict[str, MetricValue]:
        """The values of a clip by name, those without a number with the reason."""


@dataclass(frozen=True)
class Scores:
    """All that was scored in one run."""

    systems: tuple[SystemScores, ...]
    options: ReadOptions
    prompts: Prompts | None = None
    resumed: int = 0
    """Clips whose scores an earlier run had left."""
    groups: tuple[str, ...] = (QUALITY,)
    """The benchmark's groups of prompts whose clips are scored."""
    about: dict[str, Any] = field(default_factory=dict)
    """Which weights, body and model took part."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics, in their order."""
        return tuple(dict.fromkeys(name for system in self.systems for name in system.metrics))

    @property
    def ranked(self) -> tuple[SystemScores, ...]:
        """The systems that are compared: not real motion."""
        return tuple(system for system in self.systems if not system.reference)


def score(
    paths: Sequence[str | Path],
    *,
    options: ReadOptions | None = None,
    prompts: str | Path | None = None,
    reference: str | Path | None = None,
    truth: str | Path | None = None,
    more: Sequence[MoreMetrics] = (),
    groups: Sequence[str] = (),
    cache: ScoreCache | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Score every clip in `paths`: each folder is a system, loose files are one together.

    `prompts` is the benchmark's file, which says what clips there must be; `reference` a folder of real
    motion; `truth` one of ground truth with the clips' names, for errors against it; `more` what is
    measured besides the joints; `groups` of prompts whose clips are read for a judge. A single file
    that cannot be scored raises its error; among several it is listed with its reason. Raises
    UsageError and InputError as `find_systems`, and FileFormatError for a prompt file that is none.
    """
    options = ReadOptions() if options is None else options
    _check(options, truth, more)
    asked = None if prompts is None else read_prompts(Path(prompts))
    kept = ScoreCache(None) if cache is None else cache
    truths = {} if truth is None else _by_stem(Path(truth))
    found = [(system, False) for system in find_systems([Path(path) for path in paths])]
    if reference is not None:
        (real,) = find_systems([Path(reference)])
        found.append((System(f"{real.name} (real)", real.files), True))
    run = _Run(options, truths, kept, progress or _quiet, more=tuple(more), also=tuple(groups))
    run.total = sum(len(system.files) for system, _ in found)
    scored = [run.system(system, None if real else asked, reference=real) for system, real in found]
    about = {key: value for one in more for key, value in one.about.items()}
    return Scores(tuple(scored), options, asked, run.resumed, run.groups, about)


@dataclass
class _Run:
    options: ReadOptions
    truths: dict[str, Path]
    cache: ScoreCache
    progress: Progress
    more: tuple[MoreMetrics, ...] = ()
    also: tuple[str, ...] = ()
    total: int = 0
    done: int = 0
    resumed: int = 0

    @property
    def groups(self) -> tuple[str, ...]:
        found = (QUALITY, *(group for more in self.more for group in more.groups), *self.also)
        return tuple(dict.fromkeys(found))

    def system(self, system: System, prompts: Prompts | None, *, reference: bool) -> SystemScores:
        missing: tuple[str, ...] = ()
        extra: tuple[str, ...] = ()
        if prompts is not None:
            whole = len(system.files)
            system, missing, extra = asked_for(system, prompts, groups=self.groups)
            self.total -= whole - len(system.files)
        up = None
        if self.options.up == "auto" and self.options.mode == "corrected":
            up = vote_up(system)
        alone = self.total == 1
        found = [
            (path, None if prompts is None else prompts.of(path.stem)) for path in system.files
        ]
        clips = tuple(self._clip(p, prompt, up=up, alone=alone) for p, prompt in found)
        notes = Counter(note for clip in clips for note in clip.notes)
        return SystemScores(system.name, clips, missing, extra, reference, dict(notes))

    def _clip(self, path: Path, prompt: Prompt | None, *, up: str | None, alone: bool) -> ClipScore:
        try:
            truth = self.truths.get(path.stem)
            asked = [repr(prompt), *(more.digest for more in self.more if more.takes(prompt))]
            key = self.cache.key(
                path, self.options, up=up, truth=truth, judged=bool(self.truths), metrics=asked
            )
            found = self.cache.get(key, path=path)
            if found is None:
                found = self._measured(path, prompt, up=up, truth=truth)
                self.cache.put(key, found)
            else:
                self.resumed += 1
        except HumanMotionError as error:
            if alone:
                raise
            found = ClipScore(path.stem, path, 0.0, {}, error=str(error))
        self.done += 1
        self.progress("score", self.done / max(self.total, 1))
        return found

    def _measured(
        self, path: Path, prompt: Prompt | None, *, up: str | None, truth: Path | None
    ) -> ClipScore:
        clip = read_clip(path, self.options, up=up)
        values: dict[str, MetricValue] = {}
        if prompt is None or prompt.group == QUALITY:
            values |= joint_metrics(clip.joints, mode=self.options.mode, scene=clip.scene)
        for more in self.more:
            if more.takes(prompt):
                values |= more.of(path, prompt)
        if self.truths:
            real = None if truth is None else read_clip(truth, self.options)
            values |= truth_metrics(clip, real)
        return ClipScore(path.stem, path, clip.seconds, values, clip.notes)


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; --truth takes one with clips of the same names")
    (system,) = find_systems([folder])
    return {path.stem: path for path in system.files}


def _check(options: ReadOptions, truth: str | Path | None, more: Sequence[MoreMetrics]) -> None:
    if options.mode == "corrected":
        return
    if more:
        raise UsageError(
            "released mode is of joints alone: the published code fits SMPL to them for what needs a "
            "mesh; leave --mode released out"
        )
    for name, given in (("floor", options.floor), ("truth", truth)):
        if given is not None:
            raise UsageError(f"--{name} has no meaning in released mode; leave it out")
    if options.up != "auto" or options.fps is not None:
        raise UsageError("released mode takes files as they are; leave --up and --fps out")


def _quiet(_stage: str, _share: float) -> None:
    """No progress is shown."""
