"""The files of one reconstruction: motion, GLB, BVH, cameras, overlay video, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.camera import Camera
from humanmotion.files import write_json
from humanmotion.io.bvh import write_bvh
from humanmotion.io.gltf import glb_bytes, write_glb
from humanmotion.io.npz import write_motion
from humanmotion.io.video import read_frames, write_video
from humanmotion.recovery.result import Reconstruction
from humanmotion.viz.overlay import overlay_frames


@dataclass(frozen=True)
class ReconstructionFiles:
    """Paths of what a reconstruction wrote."""

    folder: Path
    motions: tuple[Path, ...]
    glb: Path
    bvh: Path
    cameras: Path
    overlay: Path
    report_html: Path
    report_json: Path


def write_cameras(path: Path, camera: Camera, *, times: Tensor, shot_id: Tensor) -> None:
    """`cameras.json`: one entry a frame, OpenCV convention, world z up in metres."""
    frames = [
        {
            "time": float(times[i]),
            "shot": int(shot_id[i]),
            "K": camera.K[i].tolist(),
            "R_w2c": camera.R_w2c[i].tolist(),
            "t_w2c": camera.t_w2c[i].tolist(),
        }
        for i in range(len(camera))
    ]
    head: dict[str, Any] = {
        "convention": "OpenCV: x right, y down, z forward; x_cam = R_w2c x_world + t_w2c; "
        "metres, world z up, floor at z = 0; K in pixels of the upright image",
        "width": camera.width,
        "height": camera.height,
    }
    write_json(path, head | {"frames": frames})
