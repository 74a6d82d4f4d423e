"""`humanmotion demo`: film the default body, reconstruct the film, compare with what was filmed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from humanmotion.body import BodyModel
from humanmotion.files import read_json, writable_folder
from humanmotion.io.cameras_json import read_cameras_json
from humanmotion.io.npz import read_motion, write_motion
from humanmotion.jobs.demo_clip import DemoClip, film, make_demo_clip
from humanmotion.jobs.exports import check_targets
from humanmotion.jobs.reconstruct import reconstruct
from humanmotion.jobs.stages import Progress, silent
from humanmotion.metrics import cut_yaw_error, foot_sliding, pa_mpjpe, rte, wa_mpjpe

SECONDS = 4.0
SIZE = (960, 540)
BODY_JOINTS = 22


def render_demo_clip(
    video: str | Path, *, seconds: float = SECONDS, size: tuple[int, int] = SIZE, shots: int = 2
) -> DemoClip:
    """Film the demo's walk to `video` and return the truth; shots 1 or 2, size (width, height)."""
    body = BodyModel.load()
    clip = make_demo_clip(body, seconds=seconds, size=size, shots=shots)
    film(clip, body, Path(video), progress=lambda share: None)
    return clip


def run_demo(
    output: str | Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Make the clip, reconstruct it into `output`, and say how far it is from the truth.

    Raises what `reconstruct` raises. Returns numbers with their units in their names.
    """
    folder = writable_folder(output)
    video = folder / "demo.mp4"
    check_targets(folder, video=video, overwrite=overwrite, more=("demo.mp4", "truth.npz"))
    body = BodyModel.load()
    clip = make_demo_clip(body, seconds=SECONDS, size=SIZE)
    film(clip, body, video, progress=lambda share: progress("film", share))
    write_motion(folder / "truth.npz", clip.motion, camera=clip.camera)
    files = reconstruct(video, output=folder, seed=seed, overwrite=overwrite, progress=progress)
    report = read_json(files.report_json)
    found = [cut["frame"] for cut in report["cuts"]]
    return {
        "folder": str(folder),
        "overlay": str(files.overlay),
        "report": str(files.report_html),
        "cuts_found": found,
        "cuts_true": list(clip.cuts),
        **compare(clip, folder, body),
    }


def compare(clip: DemoClip, folder: Path, body: BodyModel) -> dict[str, float]:
    """Errors of a reconstruction of `clip` in `folder`, in the units of the names."""
    ours = read_motion(folder / "motion.npz")
    camera, _ = read_cameras_json(folder / "cameras.json")
    frames = min(len(ours), len(clip.motion))
    mine = body.joints_of(ours)[:frames, :BODY_JOINTS]
    true = body.joints_of(clip.motion)[:frames, :BODY_JOINTS]
    seen_from, filmed_from = camera.R_w2c[:frames].mT, clip.camera.R_w2c[:frames].mT
    yaw = cut_yaw_error(seen_from, filmed_from, cuts=clip.cuts)
    slide = foot_sliding(mine, clip.motion.contact[:frames])
    return {
        "pose_error_mm": 1000 * float(pa_mpjpe(mine, true).mean()),
        "world_error_mm": 1000 * float(wa_mpjpe(mine, true, chunk=None, scale=False).mean()),
        "root_path_error_mm": 1000 * float(rte(mine[:, 0], true[:, 0]).mean()),
        "yaw_error_at_cut_deg": max((math.degrees(v) for v in yaw.tolist()), default=0.0),
        "sliding_in_true_contacts_mm_per_frame": 1000 * float(slide),
    }
