"""Points of a key frame over a shot: of a long reign, evenly strewn frames stand for all."""

from __future__ import annotations

import numpy as np
import pytest

from humanmotion.recovery.background import Segment


@pytest.mark.parametrize(("most", "kept"), [(None, 10), (10, 10), (9, 5), (3, 3), (1, 1)])
def test_so_many_frames_at_most_are_stacked(most, kept) -> None:
    points = np.zeros((4, 2), np.float32)
    segment = Segment(3, points, np.arange(4), -1, None, np.eye(3))
    for frame in range(3, 13):
        segment.add(frame, points + frame, np.ones(4, np.bool_))
    frames, xy, seen = segment.stacked(most=most)
    assert len(frames) == kept and frames[0] == 3 and len(set(np.diff(frames))) <= 1
    assert xy.shape == (kept, 4, 2) and seen.shape == (kept, 4)
    assert np.array_equal(xy[:, 0, 0], frames)
