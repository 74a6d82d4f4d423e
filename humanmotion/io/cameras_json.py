"""cameras.json, version 1: a camera path as text, for people and for other programs.

`{"version": 1, "width", "height", "frames": [{"time", "K", "R_w2c", "t_w2c"}, ...]}`;
OpenCV axes, metres, world z up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanmotion.camera import Camera
from humanmotion.checks import check_times
from humanmotion.errors import FileFormatError, UsageError
from humanmotion.files import read_json, write_json
from humanmotion.io.fields import naming

VERSION = 1


def read_cameras_json(path: str | Path) -> tuple[Camera, Tensor]:
    """The camera and its times `(T)` in seconds; raises FileFormatError for anything else."""
    value = read_json(path)
    if not isinstance(value, dict) or value.get("version") != VERSION or "frames" not in value:
        raise FileFormatError(f"{path} is not a cameras.json of version {VERSION}")
    frames = value["frames"]
    try:
        K, R, t = (torch.tensor([f[k] for f in frames]).float() for k in ("K", "R_w2c", "t_w2c"))
        times = torch.tensor([float(f["time"]) for f in frames], dtype=torch.float64)
        width, height = int(value["width"]), int(value["height"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FileFormatError(f"{path} is a damaged cameras.json: {error!r}") from error
    with naming(path):
        check_times(times, len(frames))
        return Camera(K=K, R_w2c=R, t_w2c=t, width=width, height=height), times


def write_cameras_json(
    path: str | Path, camera: Camera, *, times: Tensor, notes: dict[str, Any] | None = None
) -> None:
    """Write the camera with its `times` `(T)`, atomically; `notes` are kept under "notes"."""
    if len(times) != len(camera):
        raise UsageError(f"{len(times)} times given for {len(camera)} camera frames")
    rows = zip(
        times.tolist(), camera.K.tolist(), camera.R_w2c.tolist(), camera.t_w2c.tolist(), strict=True
    )
    frames = [{"time": t, "K": k, "R_w2c": r, "t_w2c": x} for t, k, r, x in rows]
    head = {"version": VERSION, "world": "z up, metres", "camera": "OpenCV, world to camera"}
    head |= {"width": camera.width, "height": camera.height}
    write_json(path, head | ({"notes": notes} if notes else {}) | {"frames": frames})
