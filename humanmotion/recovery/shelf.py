"""Room for many small arrays of one shape that are kept while others come and go."""

from __future__ import annotations

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
