"""Reconstruct real footage and measure what can be measured: against a reference, a calibration, time.

Every clip of `videos/index.jsonl` is reconstructed by a process of its own, as a user would run it, so
that its peak memory and time are its own. Reference landmarks are a multi-view triangulation of the
same detector, not ground truth; figures against them say how well one view does what four views do.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from humanmotion.bench.clip_run import OWN_STAGES, ClipRun, own_seconds, run_clip
from humanmotion.bench.detector_errors import (
    MADE_UP_SEEDS,
    Misses,
    all_missed,
    compare,
    detector_rows,
    gathered,
    made_up_misses,
)
from humanmotion.bench.prior_gain import PARTS, ViewGain, gain_rows, reconstruct_without
from humanmotion.bench.real_pairs import RealView, is_calibrated_view, pair_rows, real_view
from humanmotion.bench.recovery_truth import (
    ALIGNED,
    calibrated_camera,
    heading_errors,
    landmark_errors_mm,
    reference_frames,
    reference_pixels,
    w_mpjpe_mm,
)
from humanmotion.bench.report import Baseline, BenchReport, Row
from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.jobs.data import read_index
from humanmotion.jobs.demo import render_demo_clip
from humanmotion.jobs.fit import load_prior
from humanmotion.jobs.fit_person import Learnt
from humanmotion.jobs.lifter_weights import load_lifter
from humanmotion.jobs.refiner_weights import load_refiner
from humanmotion.recovery.quality import QualityName

QUICK_CLIPS = 2
SPEED_SECONDS = 10.0
SPEED_SIZE = (1280, 720)
SPEED_BARS: dict[QualityName, float] = {"draft": 1.0, "standard": 3.0}
"""Own time over real time at each quality."""
SEED = 0


def run(data: Path | None, *, quick: bool) -> BenchReport:
    """Reconstruct the videos under `data` and a rendered 720p clip; raises InputError without any."""
    folder = videos_folder(data)
    clips = listed_videos(folder / "index.jsonl")
    for clip in filter(is_calibrated_view, clips):
        calibrated_camera(clip, folder)
    if quick:
        # The shortest files say most per second of waiting.
        clips = sorted(clips, key=lambda c: (folder / c["file"]).stat().st_size)[:QUICK_CLIPS]
    rows: list[Row] = []
    gains: list[ViewGain] = []
    views: list[RealView] = []
    misses: list[Misses] = []
    with tempfile.TemporaryDirectory(prefix="humanmotion-bench-") as scratch:
        for clip in clips:
            done = run_clip(folder / clip["file"], Path(scratch) / clip["id"], seed=SEED)
            own = _gains(clip, folder, done)
            gains += own
            rows += _clip_rows(clip, folder, done, gain=own[-1] if own else None)
            if is_calibrated_view(clip):
                views.append(real_view(clip, folder, done.folder if done.report else None))
                misses.append(_misses(clip, folder, views[-1]))
        rows += gain_rows(gains) + _pair_rows(views) + _detector_rows(misses, data, quick=quick)
        if not quick:
            rows += _speed_rows(Path(scratch))
    return BenchReport.create("recovery", rows, seeds=[SEED], data=data, quick=quick)


def _misses(clip: dict[str, Any], folder: Path, view: RealView) -> Misses:
    """Of the detector in one view; a run that failed missed the person in all frames."""
    if view.keypoints is None:
        return all_missed(reference_frames(clip, folder))
    true = reference_pixels(clip, folder)[: len(view.keypoints)]
    return compare(view.keypoints[: len(true)], true)


def _detector_rows(misses: Sequence[Misses], data: Path | None, *, quick: bool) -> list[Row]:
    if not misses:
        return []
    where = f"calibrated views: {len(misses)}"
    seeds = MADE_UP_SEEDS[:1] if quick else MADE_UP_SEEDS
    made_up = made_up_misses(data, BodyModel.load(), seeds=seeds)
    return detector_rows("real", where, found=gathered(misses), made_up=made_up)


def _pair_rows(views: Sequence[RealView]) -> list[Row]:
    learnt = Learnt(load_prior(), load_lifter(), load_refiner())
    return pair_rows(views, BodyModel.load(), learnt)


def videos_folder(data: Path | None) -> Path:
    """Where the listed videos of a data folder lie; raises InputError when it has none."""
    for folder in () if data is None else (data / "videos", data):
        if (folder / "index.jsonl").exists():
            return folder
    raise InputError(
        "this bench needs videos: give --data a folder with videos/index.jsonl "
        "(fields id, file, cuts, camera_motion, and where known calibration, reference)"
    )


def listed_videos(index: Path) -> list[dict[str, Any]]:
    """Clips of the index; raises InputError when it lists none, or one without a name or file."""
    clips = read_index(index)
    for number, clip in enumerate(clips, 1):
        if not (isinstance(clip, dict) and clip.get("id") and clip.get("file")):
            raise InputError(f"{index} row {number} needs the fields id and file")
        if not (index.parent / clip["file"]).is_file():
            raise InputError(f"{index} row {number} names {clip['file']}, which is not there")
    if not clips:
        raise InputError(f"{index} lists no video")
    return clips


def _is_view(clip: dict[str, Any]) -> bool:
    """Whether this is a whole view with a reference, not an edit of several."""
    return bool(clip.get("reference") and not clip.get("cuts"))


def _gains(clip: dict[str, Any], folder: Path, done: ClipRun) -> list[ViewGain]:
    """Errors without each learnt part beside those of the run itself; a failed run's are all NaN."""
    if not _is_view(clip):
        return []
    if done.report is None:
        none = torch.tensor([math.nan])
        return [ViewGain(part, clip["reference"], none, none) for part in PARTS]
    fitted, out = landmark_errors_mm(clip, folder, done.folder), []
    for part in PARTS:
        output = done.folder.with_name(f"{done.folder.name}-without-{part.replace(' ', '-')}")
        plain = reconstruct_without(
            folder / clip["file"], part, done=done.folder, output=output, seed=SEED
        )
        without = landmark_errors_mm(clip, folder, plain)
        out.append(ViewGain(part, clip["reference"], without, fitted))
    return out


def _clip_rows(
    clip: dict[str, Any], folder: Path, done: ClipRun, *, gain: ViewGain | None
) -> list[Row]:
    name = clip["id"]
    rows = [_finishes(name, done),
            Row(f"{name}/memory", "peak memory", done.peak_gib, "GiB", 3.0, "<=")]  # fmt: skip
    if done.report is not None:
        frames = done.report["frames"]
        rows += [
            Row(f"{name}/seconds/{stage}", f"{stage}, {frames} frames",
                done.report["seconds"][stage], "s")
            for stage in OWN_STAGES
        ]  # fmt: skip
    return rows + _picture_rows(clip, done) + _truth_rows(clip, folder, done, gain=gain)


def _finishes(name: str, done: ClipRun) -> Row:
    what = f"ends well (exit code {done.exit_code})"
    return Row(f"{name}/finishes", what, float(done.report is not None), "", 1, ">=")


def _picture_rows(clip: dict[str, Any], done: ClipRun) -> list[Row]:
    """What the clip's index knows of the pictures: cuts, the camera, and the detector's keypoints.

    A run that failed misses every bar that it was measured for.
    """
    name, failed = clip["id"], done.report is None
    report: dict[str, Any] = done.report or {"cuts": [], "shots": []}
    rows = []
    if clip.get("cuts") is not None:
        found, true = {cut["frame"] for cut in report["cuts"]}, set(clip["cuts"])
        what = f"cuts missed or invented (truth {sorted(true)}, found {sorted(found)})"
        wrong = math.nan if failed else len(found ^ true)
        rows.append(Row(f"{name}/cuts", what, wrong, "", 0, "<="))
    error = math.nan if failed else report["quality"]["reprojection_percent"]
    # The bar is for a calibrated view as it was shot; half-second shots of an edit are only shown.
    bar: Sequence[Any] = (2.0, "<=") if _is_view(clip) else ()
    what = "median distance to the detector's confident keypoints"
    rows.append(Row(f"{name}/reprojection", what, error, "% of height", *bar))
    if clip.get("camera_motion"):
        kinds = {shot["camera"] for shot in report["shots"]}
        what = f"camera found {clip['camera_motion']} (found {', '.join(sorted(kinds))})"
        rows.append(Row(f"{name}/camera", what, float(kinds == {clip["camera_motion"]}), ""))
    return rows


def _truth_rows(
    clip: dict[str, Any], folder: Path, done: ClipRun, *, gain: ViewGain | None
) -> list[Row]:
    """What a calibration and a reference from several views know."""
    name, failed, rows = clip["id"], done.report is None, []
    if clip.get("reference"):
        rows.append(_landmark_row(clip, folder, done, gain=gain))
        if clip.get("cuts"):
            rows.append(_world_row(clip, folder, done))
    if clip.get("calibration") and clip.get("shots"):
        rows += [
            Row(f"{name}/yaw_error/{cut}", f"yaw error at the cut (said {sigma:.0f} deg)",
                error, "deg")
            for cut, error, sigma in ([] if failed else heading_errors(clip, folder, done.folder))
        ]  # fmt: skip
        step = math.nan if failed else 100 * done.largest_seam_metres()
        rows.append(Row(f"{name}/seam", "largest step of the pelvis over a cut", step,
                        "cm", 10.0, "<="))  # fmt: skip
    return rows


def _landmark_row(
    clip: dict[str, Any], folder: Path, done: ClipRun, *, gain: ViewGain | None
) -> Row:
    if gain is not None:
        error = gain.fitted
    elif done.report is None:
        error = torch.tensor([math.nan])
    else:
        error = landmark_errors_mm(clip, folder, done.folder)
    frames = int(torch.isfinite(error).sum())
    what = f"PA-MPJPE, 12 landmarks, median of {frames} frames"
    value = float(error.nanmedian())
    if gain is None:
        return Row(f"{clip['id']}/pa_mpjpe", what, value, "mm")
    peer = Baseline(f"without the {gain.part}", float(gain.without.nanmedian()))
    return Row(f"{clip['id']}/pa_mpjpe", what, value, "mm", 75.0, "<=", peer)


def _world_row(clip: dict[str, Any], folder: Path, done: ClipRun) -> Row:
    failed = done.report is None
    error = math.nan if failed else float(w_mpjpe_mm(clip, folder, done.folder).mean())
    what = f"W-MPJPE of the whole edit, 12 landmarks, aligned on its first {ALIGNED} frames, mean"
    return Row(f"{clip['id']}/w_mpjpe", what, error, "mm")


def _speed_rows(scratch: Path) -> list[Row]:
    video = scratch / "speed.mp4"
    render_demo_clip(video, seconds=SPEED_SECONDS, size=SPEED_SIZE, shots=1)
    done = run_clip(video, scratch / "speed", seed=SEED)
    if done.report is None:
        return [_finishes("speed", done)]
    duration = done.report["frames"] / done.report["fps"]
    rows = [Row("speed/all", "the whole command over real time",
                done.wall_seconds / duration, "x real time")]  # fmt: skip
    rows += [
        Row(f"speed/seconds/{name}", name, spent, "s")
        for name, spent in done.report["seconds"].items()
    ]
    return rows + [_quality_row(video, done, quality, bar) for quality, bar in SPEED_BARS.items()]


def _quality_row(video: Path, standard: ClipRun, quality: QualityName, bar: float) -> Row:
    """Speed at one quality; `standard` is a run that was made already."""
    done = standard
    if quality != "standard":
        output = standard.folder.with_name(f"{standard.folder.name}-{quality}")
        done = run_clip(video, output, seed=SEED, quality=quality)
    value = math.nan
    if done.report is not None:
        duration = done.report["frames"] / done.report["fps"]
        value = own_seconds(done.report["seconds"]) / duration
    what = f"{quality}: own time over real time, 720p (detector, decoding, encoding left out)"
    return Row(f"speed/{quality}", what, value, "x real time", bar, "<=")
