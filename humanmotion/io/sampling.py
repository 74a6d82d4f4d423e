"""Even sampling, for formats that store a frame rate and no time stamps."""

from __future__ import annotations

import torch

from humanmotion.errors import UsageError
from humanmotion.motion import MAX_FRAMES, Motion

TOLERANCE_FRAMES = 0.1
"""Time stamps this close (in frames) to an even grid are rounding, not a variable rate."""

FILLED_FRAMES = 20_000
"""Frames that may be made to fill gaps in any motion: 11 minutes at 30 fps."""
GROWTH = 20
"""And for each frame there is; a few frames hours apart are no movement to be written out."""


def is_even(motion: Motion) -> bool:
    """Whether the time stamps are those of the nominal frame rate."""
    grid = torch.arange(len(motion), dtype=motion.times.dtype) / motion.fps
    gap = (motion.times - motion.times[:1] - grid).abs() * motion.fps
    return len(motion) == 0 or float(gap.max()) <= TOLERANCE_FRAMES


def evenly_sampled(motion: Motion) -> Motion:
    """The motion at its nominal rate: itself where it is even already, else resampled.

    Raises UsageError, naming the longest gap, where that would make far more frames than there are
    (see FILLED_FRAMES and GROWTH), or more than MAX_FRAMES.
    """
    if is_even(motion):
        return motion
    most = min(MAX_FRAMES, FILLED_FRAMES + GROWTH * len(motion))
    if motion.duration * motion.fps > most:
        steps = motion.times.diff()
        raise UsageError(
            f"the motion has {len(motion)} frames over {motion.duration:.0f} s; evenly at "
            f"{motion.fps:g} fps that is more than {most}, so cut it at its longest gap, "
            f"{float(steps.max()):.0f} s after frame {int(steps.argmax())}"
        )
    return motion.resample(motion.fps)


def require_frames(motion: Motion, format_name: str) -> None:
    """Raises UsageError for a motion without frames, which `format_name` cannot hold."""
    if not len(motion):
        raise UsageError(f"the motion has no frames; {format_name} needs at least one")
