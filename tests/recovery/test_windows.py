"""Windows hold every frame once, and a fit cut into them is the fit."""

from __future__ import annotations

import pytest

from humanmotion.recovery.windows import FRAMES, OVERLAP, windows


@pytest.mark.parametrize("frames", [0, 1, FRAMES, FRAMES + 1, 18_000, 18_001])
def test_every_frame_is_kept_once_and_no_window_is_long(frames) -> None:
    kept = []
    for window in windows(frames):
        solved = range(frames)[window.solved]
        assert len(solved) <= FRAMES + 2 * OVERLAP
        kept += solved[window.own]
        assert not solved or (solved[0] == 0 or window.own.start == OVERLAP)
    assert kept == list(range(frames))
