"""Reconstruct real footage and measure what can be measured: against a reference, a calibration, time.

Every clip of `videos/index.jsonl` is reconstructed by a process of its own, as a user would run it, so
that its peak memory and time are its own. Reference landmarks are a multi-view triangulation of the
same detector, not ground truth; figures against them say how well one view does what four views do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from humanmotion.bench.clip_run import OWN_STAGES, ClipRun, own_seconds, run_clip
from humanmotion.bench.recovery_truth import heading_errors, landmark_error_mm
from humanmotion.bench.report import BenchReport, Row
from humanmotion.errors import InputError
from humanmotion.jobs.data import read_index
from humanmotion.jobs.demo import render_demo_clip

QUICK_CLIPS = 3
SPEED_SECONDS = 10.0
SPEED_SIZE = (1280, 720)
SEED = 0


def run(data: Path | None, *, quick: bool) -> BenchReport:
    """Reconstruct the videos under `data` and a rendered 720p clip; raises InputError without any."""
    folder = _videos(data)
    clips = read_index(folder / "index.jsonl")
    if quick:
        # The shortest files say most per second of waiting.
        clips = sorted(clips, key=lambda c: (folder / c["file"]).stat().st_size)[:QUICK_CLIPS]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="humanmotion-bench-") as scratch:
        for clip in clips:
            rows += _clip_rows(clip, folder, Path(scratch) / clip["id"])
        if not quick:
            rows += _speed_rows(Path(scratch))
    return BenchReport.create("recovery", rows, seeds=[SEED], data=data, quick=quick)


def _videos(data: Path | None) -> Path:
    for folder in () if data is None else (data / "videos", data):
        if (folder / "index.jsonl").exists():
            return folder
    raise InputError(
        "bench recovery needs videos: give --data a folder with videos/index.jsonl "
        "(fields id, file, cuts, camera_motion, and where known calibration, reference)"
    )


def _clip_rows(clip: dict[str, Any], folder: Path, output: Path) -> list[Row]:
    name = clip["id"]
    done = run_clip(folder / clip["file"], output, seed=SEED)
    rows = [
        Row(f"{name}/finishes", "exit code of the command", done.exit_code, "", 0, "<="),
        Row(f"{name}/memory", "peak memory", done.peak_gib, "GiB", 3.0, "<="),
    ]
    if done.report is None:
        return rows
    frames = done.report["frames"]
    rows += [
        Row(
            f"{name}/seconds/{stage}",
            f"{stage}, {frames} frames",
            done.report["seconds"][stage],
            "s",
        )
        for stage in OWN_STAGES
    ]
    rows += _cut_rows(clip, done)
    what = "median distance to the detector's confident keypoints"
    error = done.report["quality"]["reprojection_percent"]
    # The bar is for a calibrated view as it was shot; half-second shots of an edit are only shown.
    if clip.get("reference") and not clip["cuts"]:
        rows.append(Row(f"{name}/reprojection", what, error, "% of height", 2.0, "<="))
    else:
        rows.append(Row(f"{name}/reprojection", what, error, "% of height"))
    kinds = {s["camera"] for s in done.report["shots"]}
    what = f"camera found {clip['camera_motion']} (found {', '.join(sorted(kinds))})"
    rows.append(Row(f"{name}/camera", what, float(kinds == {clip["camera_motion"]}), ""))
    return rows + _truth_rows(clip, folder, done)


def _cut_rows(clip: dict[str, Any], done: ClipRun) -> list[Row]:
    assert done.report is not None
    found = {cut["frame"] for cut in done.report["cuts"]}
    wrong = len(found ^ set(clip["cuts"]))
    what = f"cuts missed or invented (truth {clip['cuts']}, found {sorted(found)})"
    return [Row(f"{clip['id']}/cuts", what, wrong, "", 0, "<=")]


def _truth_rows(clip: dict[str, Any], folder: Path, done: ClipRun) -> list[Row]:
    rows = []
    if clip.get("reference"):
        error, frames = landmark_error_mm(clip, folder, done.folder)
        bar: Sequence[Any] = () if clip["cuts"] else (75.0, "<=")
        what = f"PA-MPJPE, 12 landmarks, median of {frames} frames"
        rows.append(Row(f"{clip['id']}/pa_mpjpe", what, error, "mm", *bar))
    if clip.get("calibration") and clip.get("shots"):
        rows += [
            Row(f"{clip['id']}/yaw_error/{cut}", f"yaw error at the cut (said {sigma:.0f} deg)",
                error, "deg")
            for cut, error, sigma in heading_errors(clip, folder, done.folder)
        ]  # fmt: skip
        rows.append(Row(f"{clip['id']}/seam", "largest step of the pelvis over a cut",
                        100 * done.largest_seam_metres(), "cm", 10.0, "<="))  # fmt: skip
    return rows


def _speed_rows(scratch: Path) -> list[Row]:
    video = scratch / "speed.mp4"
    render_demo_clip(video, seconds=SPEED_SECONDS, size=SPEED_SIZE, shots=1)
    done = run_clip(video, scratch / "speed", seed=SEED)
    if done.report is None:
        return [Row("speed/finishes", "exit code of the command", done.exit_code, "", 0, "<=")]
    ours = own_seconds(done.report["seconds"])
    duration = done.report["frames"] / done.report["fps"]
    what = "own time over real time, 720p (detector, boxes, decoding, encoding left out)"
    rows = [Row("speed/own", what, ours / duration, "x real time", 0.5, "<=")]
    rows.append(Row("speed/all", "the whole command over real time",
                    done.wall_seconds / duration, "x real time"))  # fmt: skip
    rows += [
        Row(f"speed/seconds/{name}", name, spent, "s")
        for name, spent in done.report["seconds"].items()
    ]
    return rows
