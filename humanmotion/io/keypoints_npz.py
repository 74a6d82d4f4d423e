"""keypoints.npz, version 1: our own file for one person's 2D keypoints (docs/formats.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from humanmotion.errors import FileFormatError
from humanmotion.files import read_npz, write_npz
from humanmotion.io.fields import Arrays, naming, number, numbers, words
from humanmotion.keypoints import Keypoints

VERSION = 1
MAX_PIXELS = 1 << 20
"""Longest side of a picture that is taken for one."""
KEYS = (
    "keypoints_version", "xy", "confidence", "times", "joint_set", "width", "height", "xyz",
)  # fmt: skip


def read_keypoints_npz(path: str | Path) -> Keypoints:
    """The keypoints of one person; raises FileFormatError naming the key that is wrong."""
    arrays = read_npz(path, keys=KEYS)
    version = number(arrays, "keypoints_version", path=path)
    if version != VERSION:
        raise FileFormatError(
            f"{path} is version {version:g} of keypoints.npz; this program reads {VERSION}"
        )
    xy = numbers(arrays, "xy", ("T", "J", 2), path=path)
    frames, joints = xy.shape[:2]
    with naming(path):
        return Keypoints(
            xy=xy,
            confidence=numbers(arrays, "confidence", (frames, joints), path=path),
            times=numbers(arrays, "times", (frames,), path=path, dtype=torch.float64),
            joint_set=words(arrays, "joint_set", path=path, default=""),
            width=_pixels(arrays, "width", path),
            height=_pixels(arrays, "height", path),
            xyz=numbers(arrays, "xyz", (frames, joints, 3), path=path) if "xyz" in arrays else None,
        )


def _pixels(arrays: Arrays, key: str, path: str | Path) -> int:
    size = number(arrays, key, path=path)
    if not 0 < size <= MAX_PIXELS or size != int(size):
        raise FileFormatError(f"{path}: {key} is {size:g}, expected a whole number of pixels")
    return int(size)


def write_keypoints_npz(path: str | Path, keypoints: Keypoints) -> None:
    """Write the keypoints of one person, atomically."""
    arrays: dict[str, NDArray[Any]] = {
        "keypoints_version": np.array(VERSION),
        "xy": keypoints.xy.float().cpu().numpy(),
        "confidence": keypoints.confidence.float().cpu().numpy(),
        "times": keypoints.times.double().cpu().numpy(),
        "joint_set": np.array(keypoints.joint_set),
        "width": np.array(keypoints.width),
        "height": np.array(keypoints.height),
    }
    if keypoints.xyz is not None:
        arrays["xyz"] = keypoints.xyz.float().cpu().numpy()
    write_npz(path, arrays)
