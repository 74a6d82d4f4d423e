"""One person's sightings by frame, kept small: of a long video they are most of what is held."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

import numpy as np

from humanmotion.recovery.detection import PersonBox, Sighting
from humanmotion.recovery.shelf import Kept, Shelf

_POINT_BYTES = 2 * 4 + 5 * 2


class Sightings(MutableMapping[int, Sighting]):
    """A dict of sightings, which lie on a shelf.

    Pixels are kept in single precision, metres and confidences in half: to half a millimetre at a
    metre, which no detector knows.
    """

    def __init__(self, shelf: Shelf | None = None) -> None:
        self.shelf = Shelf() if shelf is None else shelf
        self._kept: dict[int, tuple[Kept, PersonBox]] = {}

    def __setitem__(self, frame: int, seen: Sighting) -> None:
        parts = (seen.xyz, seen.confidence[:, None], seen.sides[:, None])
        rest = np.concatenate(parts, 1).astype(np.float16)
        kept = self.shelf.put(seen.xy.astype(np.float32).tobytes() + rest.tobytes())
        self._kept[frame] = (kept, seen.box)

    def __getitem__(self, frame: int) -> Sighting:
        kept, box = self._kept[frame]
        found, points = kept.read(), kept.size // _POINT_BYTES
        xy = np.frombuffer(found, np.float32, 2 * points).reshape(points, 2)
        half = np.frombuffer(found, np.float16, offset=xy.nbytes).reshape(points, 5)
        rest = half.astype(np.float32)
        return Sighting(xy, rest[:, 3], rest[:, :3], rest[:, 4], box)

    def __delitem__(self, frame: int) -> None:
        del self._kept[frame]

    def __contains__(self, frame: object) -> bool:
        return frame in self._kept

    def __iter__(self) -> Iterator[int]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def share(self, frame: int, other: Sightings) -> None:
        """Hold what `other` holds of a frame, in the same place."""
        self._kept[frame] = other._kept[frame]

    def __or__(self, other: Sightings) -> Sightings:
        both = Sightings(self.shelf)
        both._kept = self._kept | other._kept
        return both
