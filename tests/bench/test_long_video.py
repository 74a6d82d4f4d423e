"""bench long: a loop is filmed and repeated to the frame, and growing memory misses the bar."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from humanmotion.bench import long_clip
from humanmotion.bench.clip_run import OWN_STAGES, ClipRun
from humanmotion.bench.long_video import length_rows
from humanmotion.bench.ms_mocap import Listed
from humanmotion.body import BodyModel
from humanmotion.io.video import read_frames
from humanmotion.jobs.data import Clip
from humanmotion.jobs.demo_motion import walking_motion

BODY = BodyModel.load()


def _run(peak_gib: float, *, failed: bool = False) -> ClipRun:
    report = {"seconds": dict.fromkeys(OWN_STAGES, 10.0)}
    return ClipRun(Path(), int(failed), peak_gib, 120.0, None if failed else report)


@pytest.mark.parametrize(
    ("short", "long", "holds"),
    [
        (_run(1.0), _run(1.09), True), (_run(1.0), _run(1.2), False),
        (_run(1.0), _run(0.5, failed=True), False), (_run(1.0, failed=True), _run(0.5), False),
    ],
)  # fmt: skip
def test_memory_that_grows_or_a_run_that_fails_misses_the_bar(short, long, holds) -> None:
    rows = {row.id: row for row in length_rows([short, long], lengths=(60, 600))}
    assert rows["memory/growth"].passed is holds
    assert rows["60_seconds/finishes"].passed is (short.exit_code == 0)
    assert rows["60_seconds/wall"].value == 2.0
    if long.report:
        assert rows["600_seconds/own"].value == pytest.approx(0.1)
    else:
        assert math.isnan(rows["memory/growth"].value)


def test_a_loop_of_shots_is_filmed_and_repeated_to_the_frame(tmp_path, monkeypatch) -> None:
    motion = walking_motion(BODY, seconds=1.0)
    monkeypatch.setattr(long_clip, "load_clip", lambda clip, body: motion)
    monkeypatch.setattr(long_clip, "SIZE", (320, 180))
    clip = Listed(Clip(tmp_path, "walk", "test", "", "", (), False), 6)
    loop, video = tmp_path / "loop.mp4", tmp_path / "video.mp4"
    long_clip.film_clips(loop, [clip, clip], BODY, frames=3, seed=0)
    long_clip.repeat(video, loop, frames=14)
    with closing(read_frames(video)) as reader:
        pictures = [picture.astype(float) for _, picture in reader]
    assert len(pictures) == 14 and pictures[0].shape == (180, 320, 3)

    def apart(a: int, b: int) -> float:
        return float(np.abs(pictures[a] - pictures[b]).mean())

    # The same comes again after six frames; over the cut between two shots it does not.
    assert apart(0, 6) < 4 < apart(2, 3)
    assert apart(1, 13) < 4
