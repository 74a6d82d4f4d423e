"""Which rows of a joint set are the body itself, and which are each other's mirror image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from humanmotion.joint_sets import JOINT_SETS

Rows = NDArray[np.int64]
_BODY = {*JOINT_SETS["mediapipe_33"], *JOINT_SETS["openpose_25"]}
_LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_OTHER = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class BodyRows:
    """Rows of one joint set."""

    body: Rows
    """The body's own points: no finger, no face mesh."""
    mirrored: Rows
    """For each of `body`, the row of the same point on the other side of the body."""
    torso: Rows
    """Shoulders and hips, in order around."""
    thighs: tuple[Rows, Rows]
    """Hip and knee of each side."""
    limbs: Rows
    """Shoulder, elbow, wrist, hip, knee and ankle of the left and right side, `(6, 2)`."""


@lru_cache
def body_rows(joint_set: str) -> BodyRows:
    """The rows for a joint set that names shoulders, hips and knees."""
    names = JOINT_SETS[joint_set]
    body = [i for i, name in enumerate(names) if name in _BODY]
    return BodyRows(
        body=np.array(body),
        mirrored=np.array([names.index(mirrored_name(names[i])) for i in body]),
        torso=_find(names, "left_shoulder right_shoulder right_hip left_hip"),
        thighs=(_find(names, "left_hip left_knee"), _find(names, "right_hip right_knee")),
        limbs=np.stack([_find(names, f"left_{part} right_{part}") for part in _LIMBS]),
    )


def mirrored_name(name: str) -> str:
    """The same point's name on the other side; points on the middle line keep theirs."""
    side, _, rest = name.partition("_")
    return f"{_OTHER[side]}_{rest}" if side in _OTHER else name


def _find(names: tuple[str, ...], wanted: str) -> Rows:
    return np.array([names.index(name) for name in wanted.split()])
