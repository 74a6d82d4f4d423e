"""Reconstructions against what a multi-camera set-up knows: landmarks in 3D, and camera headings."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.files import read_json, read_npz
from humanmotion.io.cameras_json import read_cameras_json
from humanmotion.io.npz import read_motion
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.metrics import heading, pa_mpjpe
from humanmotion.rotations import wrap_angle

LANDMARKS = tuple(
    f"{side}_{part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)


def landmark_errors_mm(clip: dict[str, Any], videos: Path, result: Path) -> Tensor:
    """PA-MPJPE in mm over LANDMARKS of each frame of the reference `(F)`.

    NaN where the reference lacks one of them or the video has no such frame. Frame `f` of the
    reference is frame `f + frame_offset` of the video.
    """
    body = BodyModel.load()
    motion = read_motion(result / "motion.npz")
    columns = [JOINT_SETS["mediapipe_33"].index(name) for name in LANDMARKS]
    ours = body.landmarks(
        "mediapipe_33", motion.rotations, betas=motion.betas, transl=motion.transl
    )[:, columns]
    theirs = torch.from_numpy(read_npz(videos / clip["reference"])["xyz"]).float()[:, columns]
    shift = clip.get("frame_offset") or 0
    frames = torch.arange(len(theirs))[: max(0, len(ours) - shift)]
    frames = frames[torch.isfinite(theirs[frames]).all(-1).all(-1)]
    out = torch.full((len(theirs),), torch.nan)
    out[frames] = 1000 * pa_mpjpe(ours[frames + shift], theirs[frames])
    return out


def heading_errors(
    clip: dict[str, Any], videos: Path, result: Path
) -> list[tuple[int, float, float]]:
    """For each true cut that was found: its frame, the yaw error and the stated sigma, degrees."""
    cameras = read_json(videos / clip["calibration"])["cameras"]
    shots = read_json(videos / clip["shots"])["shots"]
    said = {cut["frame"]: cut for cut in read_json(result / "report.json")["cuts"]}
    camera, _ = read_cameras_json(result / "cameras.json")
    ours = heading(camera.R_w2c.transpose(-1, -2))
    out = []
    for before, after in pairwise(shots):
        cut = int(after["edit_frames"][0])
        if cut not in said:
            continue
        true = [heading(torch.tensor(cameras[s["camera"]]["R"]).T) for s in (before, after)]
        error = wrap_angle((ours[cut] - ours[cut - 1]) - (true[1] - true[0]))
        out.append((cut, math.degrees(abs(float(error))), said[cut]["yaw_sigma_deg"]))
    return out
