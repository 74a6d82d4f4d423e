"""What is put on a shelf, or among the sightings of a person, stays as it was."""

from __future__ import annotations

import errno
import tempfile

import numpy as np
import pytest

from humanmotion.errors import OutputError
from humanmotion.recovery.appearance import Piece
from humanmotion.recovery.detection import PersonBox, Sighting
from humanmotion.recovery.shelf import Shelf


def test_everything_stays_what_it_was_and_nothing_is_left_behind(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shelf, rng = Shelf(), np.random.default_rng(0)
    given = [rng.bytes(int(n)) for n in rng.integers(1, 5000, 200)]
    kept = [shelf.put(values) for values in given]
    for number in rng.permutation(len(given)):
        assert kept[number].read() == given[number]
    late = shelf.put(b"late")
    assert (late.read(), kept[0].read()) == (b"late", given[0])
    # Without a name already: nothing is left even if the program is killed.
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told(monkeypatch) -> None:
    class Full:
        def seek(self, place): ...

        def close(self): ...

        def write(self, values):
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.room

    for room in (0, 3):
        Full.room = room
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
        with pytest.raises(OutputError, match="No space left on device; free some, or") as error:
            Shelf().put(b"values")
        assert "\n" not in str(error.value)


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
    joined = first.sightings | second.sightings
    assert sorted(joined) == list(range(10)) and np.array_equal(joined[7].xy, seen[7].xy)
