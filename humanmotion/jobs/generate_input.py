"""What `generate` is given besides prompts: keyframes, a path, read from any of our formats."""

from __future__ import annotations

from pathlib import Path

from humanmotion.body import BodyModel
from humanmotion.errors import UsageError
from humanmotion.generation.control import Control
from humanmotion.generation.sampler import FILE_FPS
from humanmotion.io.convert import read_any
from humanmotion.io.waypoints_csv import read_path_csv
from humanmotion.motion import Motion


def read_control(
    body: BodyModel, *, keyframes: str | Path | None, path: str | Path | None
) -> tuple[Control | None, tuple[str, ...]]:
    """What is to be hit, from files, and notes on how they were read; None where no file is given.

    A path is a CSV of seconds,x,y, or a motion whose pelvis is followed. Raises InputError for a bad
    file, UsageError for what cannot be hit.
    """
    if keyframes is None and path is None:
        return None, ()
    frames = None if keyframes is None else keyframes_in(keyframes, body)
    points, notes = ([], ()) if path is None else path_in(path, body)
    control = Control.of(body, keyframes=frames, path=points)
    return control, (*([] if frames is None else _notes(frames)), *notes)


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
