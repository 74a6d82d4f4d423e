"""One command in a process of its own: what it leaves, what it needs, what it says when it fails."""

from __future__ import annotations

import pytest

from humanmotion.bench.clip_run import LEFT_OUT, OWN_STAGES, own_seconds, run_clip
from humanmotion.jobs.demo import render_demo_clip


def test_own_time_leaves_out_the_detector_and_the_codec() -> None:
    seconds = dict.fromkeys(OWN_STAGES, 10.0) | dict.fromkeys(LEFT_OUT, 1.0)
    assert own_seconds(seconds | {"people/content": 5.0}) == 60.0 - len(LEFT_OUT)
    assert own_seconds(dict.fromkeys(OWN_STAGES, 0.5)) == 3.0


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    render_demo_clip(path, seconds=0.4, size=(480, 270), shots=1)
    return path


def test_a_run_is_measured(video, tmp_path) -> None:
    run = run_clip(video, tmp_path / "out", seed=0)
    assert run.exit_code == 0, (tmp_path / "out.log").read_text()
    assert run.report["frames"] == 12
    assert 0.1 < run.peak_gib < 3
    spent = own_seconds(run.report["seconds"])
    assert 0 < spent < run.wall_seconds
    assert run.largest_seam_metres() == 0.0


def test_a_failed_run_is_told(tmp_path) -> None:
    run = run_clip(tmp_path / "none.mp4", tmp_path / "out", seed=0)
    assert run.exit_code == 1 and run.report is None
    lines = (tmp_path / "out.log").read_text().strip().splitlines()
    assert len(lines) == 1 and "none.mp4 does not exist" in lines[0]
