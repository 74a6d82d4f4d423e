"""keypoints.npz, version 1: our own file for one person's 2D keypoints (docs/formats.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from humanmotion.errors import FileFormatError
from humanmotion.files import read_npz, write_npz
from humanmotion.io.fields import naming, number, numbers, words
from humanmotion.keypoints import Keypoints

VERSION = 1
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
            width=int(number(arrays, "width", path=path)),
            height=int(number(arrays, "height", path=path)),
            xyz=numbers(arrays, "xyz", (frames, joints, 3), path=path) if "xyz" in arrays else None,
        )


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
