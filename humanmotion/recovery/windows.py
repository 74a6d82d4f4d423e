"""A long clip in overlapping windows, so that a fit's memory does not grow with the clip."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

FRAMES = 600
"""Solved at once at most; memory and cache misses grow with it, joins between windows shrink."""
OVERLAP = 15
"""Frames a window borrows from its neighbours so that its own ends are well held."""


@dataclass(frozen=True)
class Window:
    """Frames `start` to `stop - 1` of a clip, solved with some of their neighbours."""

    start: int
    stop: int
    solved: slice
    """Of the clip."""

    @property
    def own(self) -> slice:
        """Of the frames solved, those that are kept."""
        return slice(self.start - self.solved.start, self.stop - self.solved.start)


def windows(frames: int) -> list[Window]:
    """Windows of about equal length over so many frames; at least one."""
    count = max(1, -(-frames // FRAMES))
    edges = [frames * i // count for i in range(count + 1)]
    return [
        Window(a, b, slice(max(a - OVERLAP, 0), min(b + OVERLAP, frames)))
        for a, b in pairwise(edges)
    ]
