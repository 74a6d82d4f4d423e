"""Landmarks: places on the body that a detector names, as virtual vertices of the skin.

A landmark's template, blend shapes and skin weights are the weighted means of those of its few
vertices, so it moves and differentiates like a vertex at a thousandth of the mesh's cost. Pose
correctives are left out: they shift skin by millimetres where detectors err by centimetres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from humanmotion.body.file_checks import Array
from humanmotion.body.hand_landmarks import hand_places, has_fingers
from humanmotion.body.smplx_file import BodyArrays
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS


@dataclass(frozen=True)
class LandmarkSkin:
    """`L` virtual vertices."""

    template: Tensor
    """`(L, 3)` metres."""
    shapedirs: Tensor
    """`(L, 3, 10)`."""
    exprdirs: Tensor
    """`(L, 3, 10)`."""
    weights: Tensor
    """`(L, 55)`."""


def landmark_skins(body: BodyArrays) -> dict[str, LandmarkSkin]:
    """Landmark set to its skin: the file's own tables, or places found on the rest pose.

    Hands are found where the body has fingers; a face is never found, only given by the file.
    """
    skins = {name: _from_vertices(body, *table) for name, table in body.landmarks.items()}
    for name in ("mediapipe_33", "coco_17"):
        if name not in skins:
            skins[name] = _from_rest_pose(body, JOINT_SETS[name])
    for side in ("left", "right"):
        if f"hand21_{side}" not in skins and has_fingers(body, side):
            hand = hand_places(body, side)
            skin = _from_rows(body, hand.rows, hand.weights)
            skins[f"hand21_{side}"] = replace(
                skin, template=skin.template + torch.from_numpy(hand.shift)
            )
    return skins


def _from_vertices(body: BodyArrays, ids: Array, shares: Array) -> LandmarkSkin:
    def mean(values: Array) -> Tensor:
        return torch.from_numpy(np.einsum("lk,lk...->l...", shares, values[ids]))

    return LandmarkSkin(
        mean(body.template), mean(body.shapedirs), mean(body.exprdirs), mean(body.weights)
    )


def _from_rows(body: BodyArrays, rows: Array, weights: Array) -> LandmarkSkin:
    """Landmarks at means `(L, V)` of vertices that follow joints by other weights `(L, 55)`."""

    def place(values: Array) -> Tensor:
        return torch.from_numpy(np.tensordot(rows, values, 1))

    return LandmarkSkin(
        place(body.template), place(body.shapedirs), place(body.exprdirs), torch.from_numpy(weights)
    )


def _from_rest_pose(body: BodyArrays, names: tuple[str, ...]) -> LandmarkSkin:
    """Each landmark is either a joint or the vertex that lies where the landmark should."""
    finder = _RestPose(body)
    sources = [finder.vertex(name) for name in names]
    joints = [_JOINT_OF.get(name, 0) for name in names]
    rows = np.zeros((len(names), len(body.template)), np.float32)
    weights = np.zeros((len(names), len(SMPLX_JOINTS)), np.float32)
    for i, (vertex, joint) in enumerate(zip(sources, joints, strict=True)):
        if vertex is None:
            rows[i], weights[i, joint] = body.regressor[joint], 1.0
        else:
            rows[i, vertex], weights[i] = 1.0, body.weights[vertex]
    return _from_rows(body, rows, weights)


_LIMB_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_JOINT_OF = {
    f"{side}_{part}": SMPLX_JOINTS.index(f"{side}_{part}")
    for side in ("left", "right")
    for part in _LIMB_JOINTS
}
"""Landmarks that are taken to be joints when no table says better."""


class _RestPose:
    """Finds landmark vertices on a T-pose (y up, facing +z, left is +x) by where they must lie."""

    def __init__(self, body: BodyArrays) -> None:
        self._points = body.template
        self._joints = body.regressor @ body.template
        self._part = body.weights.argmax(1)
        head = self._of("head", "jaw", "left_eye_smplhf", "right_eye_smplhf")
        middle = head[np.abs(self._points[head, 0]) < 0.015]
        self._head = head
        self._nose = self._best(middle if len(middle) else head, lambda p: p[:, 2])

    def vertex(self, name: str) -> int | None:
        """Index of the landmark's vertex, or None when it is a joint."""
        if name in _JOINT_OF:
            return None
        if name == "nose":
            return self._nose
        side, part = name.split("_", 1)
        sign = 1.0 if side == "left" else -1.0
        if part == "ear":
            return self._best(self._head, lambda p: sign * p[:, 0])
        if part in _FACE_OFFSETS:
            return self._on_face(_FACE_OFFSETS[part], sign)
        if part in ("heel", "big_toe"):
            forward = 1.0 if part == "big_toe" else -1.0
            foot = self._of(f"{side}_ankle", f"{side}_foot")
            return self._best(foot, lambda p: forward * p[:, 2] - 0.2 * p[:, 1])
        return self._on_hand(side, part, sign)

    def _of(self, *joints: str) -> Array:
        wanted = [SMPLX_JOINTS.index(joint) for joint in joints]
        found = np.flatnonzero(np.isin(self._part, wanted))
        # A file in which a joint leads no vertex still gets an answer, if a poor one.
        return found if len(found) else np.arange(len(self._points))

    def _best(self, among: Array, score: Callable[[Array], Array]) -> int:
        return int(among[int(np.argmax(score(self._points[among])))])

    def _on_face(self, offset: tuple[float, float], sign: float) -> int:
        x, y = sign * offset[0], self._points[self._nose, 1] + offset[1]

        # Near the spot seen from the front, and in front rather than on the back of the head.
        def score(p: Array) -> Array:
            aside: Array = np.hypot(p[:, 0] - x, p[:, 1] - y)
            return 0.3 * p[:, 2] - aside

        return self._best(self._head, score)

    def _on_hand(self, side: str, part: str, sign: float) -> int:
        fingers = [f"{side}_{f}{i}" for f in _FINGERS for i in (1, 2, 3)]
        hand = self._of(f"{side}_wrist", *fingers)
        wrist = self._joints[SMPLX_JOINTS.index(f"{side}_wrist")]
        reach = float((sign * (self._points[hand, 0] - wrist[0])).max())
        x, y, z = (reach * share for share in _KNUCKLES[part])
        spot = wrist + np.array((sign * x, y, z), np.float32)
        return self._best(hand, lambda p: -np.linalg.norm(p - spot, axis=1))


_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_FACE_OFFSETS = {
    "eye_inner": (0.017, 0.033),
    "eye": (0.031, 0.033),
    "eye_outer": (0.045, 0.033),
    "mouth": (0.025, -0.033),
}
"""Metres aside of the middle line and above the tip of the nose, as on the default body."""
_KNUCKLES = {
    "thumb": (0.22, -0.14, 0.3),
    "index": (0.5, -0.07, 0.17),
    "pinky": (0.4, -0.06, -0.16),
}
"""Outwards, up and forward of the wrist in lengths of the hand, as on the default body."""
