"""What `generate` is given besides prompts: keyframes, a path, a reference, of any of our formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.generation.control import Control
from humanmotion.generation.sampler import FILE_FPS, TextToMotion
from humanmotion.io.convert import read_any
from humanmotion.io.waypoints_csv import read_path_csv, read_targets_csv
from humanmotion.motion import Motion


@dataclass(frozen=True)
class Given:
    """Files besides prompts."""

    keyframes: str | Path | None
    path: str | Path | None
    targets: str | Path | None
    reference: str | Path | None

    @property
    def controlled(self) -> bool:
        """Whether anything is to be hit."""
        return any(x is not None for x in (self.keyframes, self.path, self.targets))

    def titles(self, prompts: Sequence[str], *, sequence: bool) -> list[str]:
        """What the samples are called after."""
        if not prompts and self.reference is not None:
            return [Path(self.reference).stem]
        return ["; ".join(prompts)] if sequence else list(prompts)

    def check(
        self,
        prompts: Sequence[str],
        *,
        seconds: float | Sequence[float] | None,
        sequence: bool,
        mirror: bool,
        body: str | Path | None,
    ) -> None:
        """Raise UsageError for what would undo each other, and where nothing says what is wanted."""
        if self.reference is not None:
            self._check_reference(prompts, seconds, sequence)
        elif not prompts:
            raise UsageError(
                'no prompt given; describe a movement, as "a person walks in a circle", or give '
                "a motion or a video as reference"
            )
        if not self.controlled:
            return
        if sequence:
            raise UsageError(
                "keyframes, paths and targets are for single motions, of at most 10 s; "
                "leave --sequence out"
            )
        if mirror:
            raise UsageError(
                "a mirrored motion would no longer hit its keyframes, path or targets; "
                "leave --mirror out"
            )
        if body is not None:
            raise UsageError(
                "keyframes, paths and targets are hit on the default body; leave --body out, and "
                "put the result onto the other body with humanmotion convert --body"
            )

    def _check_reference(
        self, prompts: Sequence[str], seconds: float | Sequence[float] | None, sequence: bool
    ) -> None:
        if len(prompts) > 1 or sequence:
            raise UsageError(
                f"{len(prompts)} prompts for one reference given; give one, or none, "
                "and leave --sequence out"
            )
        if seconds is not None:
            raise UsageError("a reference says how long the motion is; leave --seconds out")
        if self.controlled:
            raise UsageError(
                "a reference and keyframes, a path or targets given; leave one of them out: frames "
                "of a motion are hit exactly with --keyframes alone"
            )


def read_control(body: BodyModel, given: Given) -> tuple[Control | None, tuple[str, ...]]:
    """What is to be hit, from files, and notes on how they were read; None where no file is given.

    A path is a CSV of seconds,x,y, or a motion whose pelvis is followed; targets are a CSV. Raises
    InputError for a bad file, UsageError for what cannot be hit.
    """
    if not given.controlled:
        return None, ()
    frames = None if given.keyframes is None else keyframes_in(given.keyframes, body)
    points, notes = ([], ()) if given.path is None else path_in(given.path, body)
    targets = [] if given.targets is None else read_targets_csv(given.targets)
    control = Control.of(body, keyframes=frames, path=points, targets=targets)
    return control, (*([] if frames is None else _notes(frames)), *notes)


def in_style(make: TextToMotion, style: str | Path | None, strength: float | None) -> TextToMotion:
    """`make` in the style of a motion file, if one is given; raises what its reader raises."""
    if style is None:
        return make
    motion = read_any(style, body=make.body)
    return make.in_style_of(motion, strength=1.0 if strength is None else strength)


def keyframes_in(path: str | Path, body: BodyModel) -> Motion:
    """The frames of a motion file, at most 30 a second; raises what its reader raises."""
    motion = read_any(path, body=body)
    steps = motion.times.diff()
    if len(steps) and float(steps.min()) < 0.99 / FILE_FPS:
        return motion.resample(FILE_FPS)
    return motion


def path_in(
    path: str | Path, body: BodyModel
) -> tuple[list[tuple[float, float, float]], tuple[str, ...]]:
    """Waypoints (seconds, x, y) of a CSV, or of a motion's pelvis at 30 fps, and notes on reading."""
    if Path(path).suffix.lower() == ".csv":
        return read_path_csv(path), ()
    motion = read_any(path, body=body).resample(FILE_FPS)
    if not len(motion):
        raise UsageError(f"{path} has no frames; a path needs one or more")
    pelvis = body.joints_of(motion)[:, 0, :2]
    times = motion.times - motion.times[:1]
    return [(t, x, y) for t, (x, y) in zip(times.tolist(), pelvis.tolist(), strict=True)], _notes(
        motion
    )


def _notes(motion: Motion) -> tuple[str, ...]:
    return tuple(motion.meta.get("notes", ()))
