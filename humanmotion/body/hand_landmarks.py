"""The 21 hand landmarks of a body that comes without a table of them, from its finger joints.

A detector sees them beside the joints and short of the finger tips: the offsets below are those of
the default body's table, which was fitted to MediaPipe's hand detector on renders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from humanmotion.body.file_checks import Array
from humanmotion.body.skeleton import JOINTS
from humanmotion.body.smplx_file import BodyArrays
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS, SMPLX_PARENTS

_SEEN = {
    "wrist": (12.8, -11.1, 4.0),
    "thumb1": (-1.4, -10.8, 8.2), "thumb2": (4.1, -4.4, 1.5),
    "thumb3": (1.9, -1.8, -4.6), "thumb4": (-4.4, -1.1, -1.1),
    "index1": (-6.3, -4.5, -3.2), "index2": (-2.0, 1.3, 1.0),
    "index3": (-0.8, -1.4, 0.7), "index4": (-3.5, 0.9, 1.7),
    "middle1": (-4.2, -7.8, 0.8), "middle2": (-1.1, -4.5, 1.8),
    "middle3": (-2.2, -3.8, 1.5), "middle4": (-9.3, -2.8, 0.8),
    "ring1": (-2.6, -8.5, 0.7), "ring2": (-1.6, -2.0, -0.6),
    "ring3": (-2.6, -4.0, 2.5), "ring4": (-12.0, -4.3, 2.9),
    "pinky1": (-1.9, -2.0, 2.2), "pinky2": (0.5, -1.7, -0.1),
    "pinky3": (-0.5, -1.9, 1.5), "pinky4": (-4.1, -2.3, 3.8),
}  # fmt: skip
"""Left landmark minus joint (of the 4th minus the finger's tip), in mm of the T-pose."""
_PALM_METRES = 0.1004
"""Wrist to first middle-finger joint of the body that the offsets were measured on."""
_OFFICIAL_VERTICES = 10475
_OFFICIAL_TIPS = {
    "left": {"thumb": 5361, "index": 4933, "middle": 5058, "ring": 5169, "pinky": 5286},
    "right": {"thumb": 8079, "index": 7669, "middle": 7794, "ring": 7905, "pinky": 8022},
}
"""Vertices of SMPL-X's own mesh that smplx takes for finger tips."""


@dataclass(frozen=True)
class HandPlaces:
    """The 21 landmarks of one hand, in the detector's order."""

    rows: Array
    """`(21, V)`: the mean of vertices each lies at, but for its shift."""
    shift: Array
    """`(21, 3)` metres of the T-pose."""
    weights: Array
    """`(21, 55)`: joints that carry it."""


def has_fingers(body: BodyArrays, side: str) -> bool:
    """Whether the file has the 15 finger joints of that side."""
    return bool(body.joints_present[_joint(side, "thumb3")])


def hand_places(body: BodyArrays, side: str) -> HandPlaces:
    """Landmarks of the `side` hand ("left" or "right") of a body that has fingers."""
    names = [n.split("_hand_")[1] for n in JOINT_SETS["mediapipe_543"] if f"{side}_hand_" in n]
    joints = body.regressor @ body.template
    palm = np.linalg.norm(joints[_joint(side, "middle1")] - joints[_joint(side, "wrist")])
    mirror = np.array((1.0 if side == "left" else -1.0, 1.0, 1.0))
    shift = np.array([_SEEN[name] for name in names]) / 1000 * mirror * (palm / _PALM_METRES)
    rows = np.zeros((len(names), len(body.template)), np.float32)
    weights = np.zeros((len(names), JOINTS), np.float32)
    for i, name in enumerate(names):
        if name.endswith("4"):
            rows[i] = _tip(body, joints, side=side, finger=name[:-1])
            weights[i, _joint(side, f"{name[:-1]}3")] = 1.0
        else:
            joint = _joint(side, name)
            rows[i] = body.regressor[joint]
            # The skin over a joint is carried by both of its bones.
            weights[i, [joint, SMPLX_PARENTS[joint]]] = 0.5
    return HandPlaces(rows, shift.astype(np.float32), weights)


def _joint(side: str, name: str) -> int:
    return SMPLX_JOINTS.index(f"{side}_{name}")


def _tip(body: BodyArrays, joints: Array, *, side: str, finger: str) -> Array:
    """Shares of the vertices `(V)` in the finger's end."""
    second, last = _joint(side, f"{finger}2"), _joint(side, f"{finger}3")
    led = np.flatnonzero(body.weights.argmax(1) == last)
    if not len(led):
        # No skin of its own: as far beyond the last joint as that is beyond the one before.
        beyond: Array = 2 * body.regressor[last] - body.regressor[second]
        return beyond
    known = _OFFICIAL_TIPS[side][finger]
    if len(body.template) != _OFFICIAL_VERTICES or known not in led:
        along = joints[last] - joints[second]
        known = int(led[np.argmax(body.template[led] @ along)])
    out = np.zeros(len(body.template), np.float32)
    out[known] = 1.0
    return out
