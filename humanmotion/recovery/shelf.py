"""Room for what is kept while others come and go: on disk for long, in memory for a while."""

from __future__ import annotations

import errno
import os
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from humanmotion.errors import OutputError

Array = NDArray[Any]


class Shelf:
    """Keeps bytes in a temporary file, gone with it: a long video's memory is that of a short one."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._end = 0

    def put(self, values: bytes) -> Kept:
        """Take `values` in; raises OutputError when the disk is full."""
        place = self._end
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed below
                # With the last thing that lies here.
                finalize(self, self._file.close)
            self._file.seek(place)
            if self._file.write(values) < len(values):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise OutputError(
                "no room in the folder of temporary files for what is seen in the video: "
                f"{error.strerror}; free some, or name another folder in TMPDIR"
            ) from error
        self._end += len(values)
        return Kept(self, place, len(values))

    def get(self, place: int, size: int) -> bytes:
        """The `size` bytes at a place."""
        assert self._file is not None
        self._file.seek(place)
        return self._file.read(size)


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes that lie on a shelf."""

    shelf: Shelf
    place: int
    size: int

    def read(self) -> bytes:
        """What was put there."""
        return self.shelf.get(self.place, self.size)


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
