"""Room for arrays of one shape that are kept while others come and go: for long, or for a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ROOM = 64
"""Arrays that lie together."""


class Shelf:
    """Keeps copies of arrays side by side.

    Each by itself, they would lie between what comes and goes with every picture, in holes that grow
    to half of their own size over a long video.
    """

    def __init__(self) -> None:
        self._room: Array | None = None
        self._used = 0

    def put(self, values: Array) -> Array:
        """A copy of `values` that lies here; all are of one shape and type."""
        if self._room is None or self._used == ROOM:
            self._room, self._used = np.zeros((ROOM, *values.shape), values.dtype), 0
        place = self._room[self._used]
        place[...] = values
        self._used += 1
        return place


class RecentPictures:
    """The last pictures, copied into memory that is taken once.

    Kept themselves, each would be freed long after its neighbours in memory were: a hole that the
    next picture no longer fits into, some 0.8 MB more with every picture of 720p.
    """

    def __init__(self, count: int) -> None:
        self._room: Array | None = None
        self._frames: deque[int] = deque(maxlen=count)
        self._count = count

    def add(self, frame: int, image: Array) -> None:
        """Take the next picture; one of another size begins anew."""
        if self._room is None or self._room.shape[1:] != image.shape:
            self.clear()
            self._room = np.zeros((self._count, *image.shape), np.uint8)
        self._room[frame % self._count] = image
        self._frames.append(frame)

    def backwards(self) -> Iterator[tuple[int, Array]]:
        """Number and picture, the last one first."""
        if self._room is not None:
            for frame in reversed(self._frames):
                yield frame, self._room[frame % self._count]

    def clear(self) -> None:
        """Forget all."""
        self._frames.clear()
