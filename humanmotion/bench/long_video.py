"""A long edited video, the whole command from pixels: does its peak memory grow, and how fast is it?

One loop of test clips is filmed, a shot each, and repeated to the length asked for. Both lengths are
reconstructed by a process of their own, as a user would run it. Some forty minutes on two cores.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from humanmotion.bench.clip_run import ClipRun, own_seconds, run_clip
from humanmotion.bench.long_clip import FPS, film_clips, repeat
from humanmotion.bench.ms_mocap import Listed, listing
from humanmotion.bench.report import Baseline, BenchReport, Row
from humanmotion.body import BodyModel

SECONDS = (60, 600)
SHOTS, SHOT_SECONDS = 6, 10
"""Of the loop that is filmed and repeated."""
QUICK_SECONDS, QUICK_SHOTS, QUICK_SHOT_SECONDS = (20, 60), 2, 5
MOST_GROWTH = 1.1
LISTED_SHOTS = 6
"""Clips that hold so many shots of ms-mocap are long enough for one of ours."""
SPLIT, SEED = "test", 0


def run(data: Path | None, *, quick: bool) -> BenchReport:
    """Film and reconstruct both lengths; raises InputError when `data` holds no motion capture."""
    chosen = listing(data, split=SPLIT, shots=(LISTED_SHOTS,))
    shots, each = (QUICK_SHOTS, QUICK_SHOT_SECONDS) if quick else (SHOTS, SHOT_SECONDS)
    lengths = QUICK_SECONDS if quick else SECONDS
    with tempfile.TemporaryDirectory(prefix="humanmotion-bench-") as scratch:
        runs = _runs(Path(scratch), chosen[:shots], frames=round(each * FPS), lengths=lengths)
    rows = length_rows(runs, lengths=lengths)
    return BenchReport.create("long", rows, seeds=[SEED], data=data, quick=quick)


def _runs(
    scratch: Path, clips: Sequence[Listed], *, frames: int, lengths: Sequence[int]
) -> list[ClipRun]:
    loop, done = scratch / "loop.mp4", []
    film_clips(loop, clips, BodyModel.load(), frames=frames, seed=SEED)
    for seconds in lengths:
        video = scratch / f"{seconds}_seconds.mp4"
        repeat(video, loop, frames=round(seconds * FPS))
        done.append(run_clip(video, scratch / f"{seconds}_seconds", seed=SEED))
    return done


def length_rows(runs: Sequence[ClipRun], *, lengths: Sequence[int]) -> list[Row]:
    """Rows of a short and a long run, their `lengths` in seconds; a failed run misses its bars."""
    rows = []
    for seconds, done in zip(lengths, runs, strict=True):
        name, ended = f"{seconds}_seconds", done.report is not None
        what = f"ends well (exit code {done.exit_code})"
        rows += [
            Row(f"{name}/finishes", what, float(ended), "", 1, ">="),
            Row(f"{name}/memory", "peak memory", done.peak_gib, "GiB"),
            Row(f"{name}/wall", "the whole command over real time",
                done.wall_seconds / seconds, "x real time"),
        ]  # fmt: skip
        if done.report is not None:
            own = own_seconds(done.report["seconds"]) / seconds
            what = "the same without detector, decoding and encoding"
            rows.append(Row(f"{name}/own", what, own, "x real time"))
    short, long = runs
    growth = long.peak_gib / short.peak_gib if long.report and short.report else float("nan")
    what = f"peak memory of {lengths[1]} s over that of {lengths[0]} s"
    peer = Baseline(f"{lengths[0]} s, GiB", short.peak_gib)
    rows.append(Row("memory/growth", what, growth, "", MOST_GROWTH, "<=", peer))
    return rows
