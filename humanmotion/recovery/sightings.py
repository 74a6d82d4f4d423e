"""One person's sightings by frame, kept small: of a long video they are most of what is held."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

import numpy as np

from humanmotion.recovery.detection import PersonBox, Sighting
from humanmotion.recovery.shelf import Array, Shelf


class Sightings(MutableMapping[int, Sighting]):
    """A dict of sightings; all have the same points.

    Pixels are kept in single precision, metres and confidences in half: to half a millimetre at a
    metre, which no detector knows.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Array, Array, PersonBox]] = {}
        self._pixels, self._rest = Shelf(), Shelf()

    def __setitem__(self, frame: int, seen: Sighting) -> None:
        parts = (seen.xyz, seen.confidence[:, None], seen.sides[:, None])
        rest = np.concatenate(parts, 1).astype(np.float16)
        pixels = self._pixels.put(seen.xy.astype(np.float32))
        self._kept[frame] = (pixels, self._rest.put(rest), seen.box)

    def __getitem__(self, frame: int) -> Sighting:
        xy, rest, box = self._kept[frame]
        rest = rest.astype(np.float32)
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
        both = Sightings()
        both._kept = self._kept | other._kept
        return both
