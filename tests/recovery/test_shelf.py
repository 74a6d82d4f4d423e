"""What is put on a shelf, or among the sightings of a person, stays as it was."""

from __future__ import annotations

import numpy as np

from humanmotion.recovery.appearance import Piece
from humanmotion.recovery.detection import PersonBox, Sighting
from humanmotion.recovery.shelf import ROOM, Shelf


def test_every_array_stays_what_it_was() -> None:
    shelf, values = Shelf(), np.random.default_rng(0).normal(size=(3 * ROOM + 1, 4, 2))
    kept = []
    for row in values:
        given = row.copy()
        kept.append(shelf.put(given))
        given[:] = -1
    assert np.array_equal(np.stack(kept), values)
    assert len({id(place.base) for place in kept}) == 4


def test_a_piece_keeps_what_was_seen_and_its_parts_share_it() -> None:
    rng, piece, seen = np.random.default_rng(1), Piece(), {}
    for frame in range(10):
        xy, xyz = (rng.random((5, n)).astype(np.float32) for n in (2, 3))
        confidence, sides = rng.random((2, 5)).astype(np.float32)
        seen[frame] = Sighting(xy, confidence, xyz, sides, PersonBox(1.0, 2.0, 3.0, 0.0, 1.0))
        piece.add(frame, seen[frame], np.full_like(piece.colours, frame))
    for part in (piece, *piece.split([4])):
        for frame, sighting in part.sightings.items():
            for name in ("xy", "confidence", "xyz", "sides"):
                kept, given = getattr(sighting, name), getattr(seen[frame], name)
                assert kept.dtype == np.float32
                assert np.allclose(kept, given, atol=0 if name == "xy" else 5e-4)
            assert sighting.box == seen[frame].box
    first, second = piece.split([4])
    assert sorted(first.sightings) == [0, 1, 2, 3] and np.allclose(first.colours, 6)
    assert np.allclose(first.colours + second.colours, piece.colours)
    assert np.shares_memory(first.sightings[0].xy, piece.sightings[0].xy)
