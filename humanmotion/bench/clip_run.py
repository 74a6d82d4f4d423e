"""One reconstruction in a process of its own, with its peak memory and wall time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanmotion.body import BodyModel
from humanmotion.files import read_json
from humanmotion.io.npz import read_motion
from humanmotion.recovery.quality import QualityName

OWN_STAGES = ("people", "shots", "camera", "pose", "world", "export")
LEFT_OUT = (
    "people/models", "people/decode", "people/boxes", "people/keypoints", "camera/decode",
    "export/decode", "export/encode",
)  # fmt: skip
"""Parts that belong to the detector and the video codec."""
_KIB = 1 / 1024**2


@dataclass(frozen=True)
class ClipRun:
    """What one run of the command left."""

    folder: Path
    exit_code: int
    peak_gib: float
    wall_seconds: float
    report: dict[str, Any] | None
    """`report.json`, or None when the command failed."""

    def largest_seam_metres(self) -> float:
        """Largest step of the pelvis from the last frame of a shot to the first of the next."""
        motion = read_motion(self.folder / "motion.npz")
        pelvis = BodyModel.load().joints_of(motion)[:, 0]
        cuts = (motion.shot_id.diff() != 0).nonzero()[:, 0]
        steps = (pelvis[cuts + 1] - pelvis[cuts]).norm(dim=-1)
        return float(steps.max()) if len(steps) else 0.0


def run_clip(video: Path, output: Path, *, seed: int, quality: QualityName = "standard") -> ClipRun:
    """Run `humanmotion reconstruct` on a video; stderr is kept in `output`'s log beside it."""
    command = [sys.executable, "-m", "humanmotion", "reconstruct", str(video), "-o", str(output)]
    command += ["--seed", str(seed), "--quality", quality, "--quiet"]
    log = output.with_suffix(".log")
    started = time.perf_counter()
    with log.open("wb") as stream:
        child = subprocess.Popen(command, stdout=stream, stderr=stream)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    report = read_json(output / "report.json") if child.returncode == 0 else None
    return ClipRun(
        folder=output,
        exit_code=child.returncode,
        peak_gib=usage.ru_maxrss * _KIB,
        wall_seconds=time.perf_counter() - started,
        report=report,
    )


def own_seconds(seconds: Mapping[str, float]) -> float:
    """Time of all stages without the parts that belong to the detector and the video codec."""
    return sum(seconds[s] for s in OWN_STAGES) - sum(seconds.get(p, 0.0) for p in LEFT_OUT)
