"""Reconstructions against what a multi-camera set-up knows: landmarks in 3D, and camera headings."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.errors import InputError
from humanmotion.files import read_json, read_npz
from humanmotion.io.cameras_json import read_cameras_json
from humanmotion.io.npz import read_motion
from humanmotion.joint_sets import JOINT_SETS
from humanmotion.metrics import heading, pa_mpjpe, w_mpjpe
from humanmotion.rotations import wrap_angle

LANDMARKS = tuple(
    f"{side}_{part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)

ALIGNED = 10
"""Frames at its beginning that a whole edit is aligned on."""


def landmark_errors_mm(clip: dict[str, Any], videos: Path, result: Path) -> Tensor:
    """PA-MPJPE in mm over LANDMARKS of each frame of the reference `(F)`.

    NaN where the reference lacks one of them or the video has no such frame. Frame `f` of the
    reference is frame `f + frame_offset` of the video.
    """
    ours, theirs, whole = _landmarks(clip, videos, result)
    out = torch.full(whole.shape, torch.nan)
    out[whole] = 1000 * pa_mpjpe(ours, theirs)
    return out


def _landmarks(clip: dict[str, Any], videos: Path, result: Path) -> tuple[Tensor, Tensor, Tensor]:
    """LANDMARKS `(n, 12, 3)` of the result and of the reference in the frames of it that are whole and
    filmed `(F)` bool."""
    body = BodyModel.load()
    motion = read_motion(result / "motion.npz")
    columns = [JOINT_SETS["mediapipe_33"].index(name) for name in LANDMARKS]
    ours = body.landmarks(
        "mediapipe_33", motion.rotations, betas=motion.betas, transl=motion.transl
    )[:, columns]
    theirs = torch.from_numpy(read_npz(videos / clip["reference"])["xyz"]).float()[:, columns]
    shift = clip.get("frame_offset") or 0
    whole = torch.isfinite(theirs).all(-1).all(-1)
    whole[max(0, len(ours) - shift) :] = False
    frames = whole.nonzero()[:, 0]
    return ours[frames + shift], theirs[frames], whole


def w_mpjpe_mm(clip: dict[str, Any], videos: Path, result: Path) -> Tensor:
    """W-MPJPE in mm over LANDMARKS of each frame that the reference has whole `(n)`.

    The whole edit is aligned by one similarity on the first ALIGNED of those frames.
    """
    ours, theirs, _ = _landmarks(clip, videos, result)
    if len(ours) < ALIGNED:
        return torch.full((1,), torch.nan)
    return 1000 * w_mpjpe(ours, theirs, chunk=None, first=ALIGNED)


def calibrated_camera(clip: dict[str, Any], videos: Path) -> dict[str, Any]:
    """The calibration of the clip's camera; raises InputError when it lacks K, R or t."""
    path, name = videos / clip["calibration"], clip["camera"]
    camera: dict[str, Any] = read_json(path).get("cameras", {}).get(name, {})
    missing = [part for part in ("K", "R", "t") if part not in camera]
    if missing:
        raise InputError(f"{path}: camera {name!r} lacks {', '.join(missing)}; it needs K, R and t")
    return camera


def reference_pixels(clip: dict[str, Any], videos: Path) -> Tensor:
    """Where the clip's calibrated camera sees the reference `(F, 33, 2)`; NaN where that has a gap."""
    camera = calibrated_camera(clip, videos)
    K, R, t = (np.array(camera[name], np.float64) for name in ("K", "R", "t"))
    dist = np.array(camera.get("dist", ()), np.float64)
    points = read_npz(videos / clip["reference"])["xyz"].astype(np.float64)
    pixels, _ = cv2.projectPoints(points.reshape(-1, 3), cv2.Rodrigues(R)[0], t, K, dist)
    return torch.from_numpy(pixels).float().reshape(*points.shape[:2], 2)


def reference_frames(clip: dict[str, Any], videos: Path) -> int:
    """How many frames of the clip's reference are whole."""
    points = read_npz(videos / clip["reference"])["xyz"]
    return int(np.isfinite(points).all((1, 2)).sum())


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
