"""motion.npz, version 1: our own file, one person each (schema in docs/formats.md).

Numbers are float32, times float64. Strings are numpy text, free notes one JSON string.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanmotion.camera import Camera
from humanmotion.errors import FileFormatError, UsageError
from humanmotion.files import parse_json, read_npz, write_npz
from humanmotion.io.fields import Arrays, naming, number, numbers, words
from humanmotion.motion import JOINTS, POSE_FIELDS, Motion

VERSION = 1
CAMERA_KEYS = ("K", "R_w2c", "t_w2c")
_FRAME_FIELDS = {
    **{name: 3 * joints for name, joints in POSE_FIELDS.items()},
    "expression": 10,
    "transl": 3,
    "confidence": JOINTS,
    "contact": 2,
}
REQUIRED_KEYS = ("version", "fps", "times", "joints_present", "betas", *_FRAME_FIELDS)
KEYS = (*REQUIRED_KEYS, "body_id", "body_sha256", "shot_id", *CAMERA_KEYS, "meta")
"""Every key of version 1; any other is ignored on reading and named by `describe`."""


def read_motion(path: str | Path) -> Motion:
    """The motion of a motion.npz; raises FileFormatError naming the key that is wrong."""
    arrays = _read(path)
    times = numbers(arrays, "times", ("T",), path=path, dtype=torch.float64)
    frames = len(times)
    tracks = {
        key: numbers(arrays, key, (frames, size), path=path) for key, size in _FRAME_FIELDS.items()
    }
    meta = _meta(arrays, path)
    if "K" in arrays:
        # The picture's size belongs to the camera; see write_motion.
        meta = {key: value for key, value in meta.items() if key not in ("width", "height")}
    with naming(path):
        return Motion(
            fps=number(arrays, "fps", path=path),
            times=times,
            betas=numbers(arrays, "betas", (10,), path=path),
            joints_present=numbers(
                arrays, "joints_present", (JOINTS,), path=path, dtype=torch.bool
            ),
            shot_id=_shot_id(arrays, frames, path),
            body_id=words(arrays, "body_id", path=path, default=""),
            body_sha256=words(arrays, "body_sha256", path=path, default=""),
            meta=meta,
            **tracks,
        )


def read_camera(path: str | Path) -> Camera | None:
    """The camera path `(T)` of a motion.npz, or None where it holds none.

    Raises FileFormatError when only a part of it is there.
    """
    arrays = _read(path)
    if not any(key in arrays for key in CAMERA_KEYS):
        return None
    frames = len(numbers(arrays, "times", ("T",), path=path))
    meta = _meta(arrays, path)
    width, height = meta.get("width"), meta.get("height")
    if not isinstance(width, int) or not isinstance(height, int):
        raise FileFormatError(f"{path} has cameras, but no picture width and height in meta")
    with naming(path):
        return Camera(
            K=numbers(arrays, "K", (frames, 3, 3), path=path),
            R_w2c=numbers(arrays, "R_w2c", (frames, 3, 3), path=path),
            t_w2c=numbers(arrays, "t_w2c", (frames, 3), path=path),
            width=width,
            height=height,
        )


def write_motion(path: str | Path, motion: Motion, *, camera: Camera | None = None) -> None:
    """Write motion.npz version 1, atomically.

    With a camera (one pose a frame, else UsageError) its picture size is kept in `meta` as
    width and height. Raises OutputError when the file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "version": np.array(VERSION, np.int64),
        "fps": np.array(motion.fps, np.float64),
        "times": _array(motion.times.double()),
        "body_id": np.array(motion.body_id, np.str_),
        "body_sha256": np.array(motion.body_sha256, np.str_),
        "joints_present": _array(motion.joints_present),
        "betas": _array(motion.betas.float()),
    }
    arrays |= {key: _array(getattr(motion, key).float()) for key in _FRAME_FIELDS}
    if motion.shot_id.any():
        arrays["shot_id"] = _array(motion.shot_id)
    meta = dict(motion.meta)
    if camera is not None:
        if len(camera) != len(motion):
            raise UsageError(f"the camera has {len(camera)} frames, the motion {len(motion)}")
        arrays |= {key: _array(getattr(camera, key).float()) for key in CAMERA_KEYS}
        meta |= {"width": camera.width, "height": camera.height}
    arrays["meta"] = np.array(_json(meta), np.str_)
    write_npz(path, arrays)


def _read(path: str | Path) -> Arrays:
    arrays = read_npz(path, keys=KEYS)
    version = number(arrays, "version", path=path)
    if version != VERSION:
        raise FileFormatError(
            f"{path} is version {version:g} of motion.npz; this program reads version {VERSION}"
        )
    return arrays


def _meta(arrays: Arrays, path: str | Path) -> dict[str, Any]:
    meta = parse_json(words(arrays, "meta", path=path, default="{}"), f"{path}: meta")
    if not isinstance(meta, dict):
        raise FileFormatError(f"{path}: meta must be a JSON object, not {type(meta).__name__}")
    return meta


def _shot_id(arrays: Arrays, frames: int, path: str | Path) -> Tensor:
    if "shot_id" not in arrays:
        return torch.zeros(frames, dtype=torch.long)
    return numbers(arrays, "shot_id", (frames,), path=path, dtype=torch.long)


def _array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().numpy()


def _json(meta: dict[str, Any]) -> str:
    try:
        return json.dumps(meta, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"meta cannot be stored as JSON: {error}") from error
