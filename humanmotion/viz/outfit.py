"""Simple clothes for a body: one colour a vertex, so that a person detector sees a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from humanmotion.body import BodyModel
from humanmotion.joint_sets import SMPLX_JOINTS
from humanmotion.viz.mesh import Array, Rgb

_BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
"""MediaPipe face-mesh points along both brows and around the lips."""
_STROKE_METRES, _STROKE_FADE_METRES = 0.003, 0.006
_SHORT_SLEEVE = 0.55
"""Share of the upper arm that the shirt covers."""


@dataclass(frozen=True)
class Outfit:
    """Colours in sRGB, [0, 1]."""

    skin: Rgb = (0.80, 0.60, 0.49)
    hair: Rgb = (0.20, 0.13, 0.09)
    shirt: Rgb = (0.72, 0.20, 0.19)
    trousers: Rgb = (0.16, 0.22, 0.38)
    shoes: Rgb = (0.12, 0.12, 0.13)
    lips: Rgb = (0.66, 0.36, 0.34)


def outfit_colors(body: BodyModel, outfit: Outfit | None = None) -> Array:
    """Colours `(V, 3)` float32 of a dressed body: short-sleeved shirt, trousers, shoes, hair.

    Regions follow from the joint that leads a vertex and its place in the rest pose; brows and lips
    come with a body that has face landmarks.
    """
    wear = outfit or Outfit()
    rest = body.template.cpu().numpy()
    joints = body.rest_joints().detach().cpu().numpy()
    part = body.weights.argmax(1).cpu().numpy()
    colors = np.tile(np.array(wear.skin, np.float32), (len(rest), 1))
    masks = {
        "shirt": _shirt(rest, joints, part),
        "trousers": _led(part, "pelvis", "hip", "knee") & ~_above_belt(rest, joints),
        "shoes": _led(part, "foot", "ankle") & (rest[:, 1] < _height(joints, "ankle") + 0.03),
        "hair": _hair(rest, joints, part),
    }
    masks["trousers"] |= _led(part, "ankle") & ~masks["shoes"]
    for name, mask in masks.items():
        colors[mask] = getattr(wear, name)
    _paint_face(colors, body, wear, rest)
    _paint_eyes(colors, rest, part)
    return colors


def _led(part: Array, *words: str) -> Array:
    """Vertices led by a joint whose name holds one of the words, `(V)` bool."""
    hits = [i for i, name in enumerate(SMPLX_JOINTS) if any(word in name for word in words)]
    return np.isin(part, hits)


def _height(joints: Array, word: str) -> float:
    return float(np.mean([joints[i, 1] for i, name in enumerate(SMPLX_JOINTS) if word in name]))


def _above_belt(rest: Array, joints: Array) -> Array:
    return rest[:, 1] > joints[0, 1] + 0.04


def _shirt(rest: Array, joints: Array, part: Array) -> Array:
    shoulder, elbow = (
        abs(joints[SMPLX_JOINTS.index(name), 0]) for name in ("left_shoulder", "left_elbow")
    )
    sleeve = shoulder + _SHORT_SLEEVE * (elbow - shoulder)
    trunk = _led(part, "spine", "collar", "shoulder", "neck") & (np.abs(rest[:, 0]) < sleeve)
    trunk |= _led(part, "pelvis", "hip") & _above_belt(rest, joints)
    # The collar is a plane through the neck that lies lower in front.
    neck = joints[SMPLX_JOINTS.index("neck")]
    return trunk & (rest[:, 1] < neck[1] + 0.02 - 0.45 * (rest[:, 2] - neck[2]))


def _hair(rest: Array, joints: Array, part: Array) -> Array:
    """The scalp: behind the ears and above the forehead."""
    head = _led(part, "head", "jaw", "eye")
    if not head.any():
        return head
    low, high = rest[head].min(0), rest[head].max(0)
    eyes = joints[SMPLX_JOINTS.index("left_eye_smplhf")]
    height = (rest[:, 1] - eyes[1]) / max(high[1] - eyes[1], 1e-6)
    back = (high[2] - rest[:, 2]) / (high[2] - low[2])
    # A hairline that runs from the crown of the forehead down behind the ears.
    line = head & ((height > 0.62) | (back > 0.55) & (height > -0.15) | (back > 0.72))
    # Ears stand out sideways from the head above them.
    wide = np.abs(rest[head & (height > 0.3), 0]).max(initial=0.0)
    line &= np.abs(rest[:, 0]) <= wide
    neck = joints[SMPLX_JOINTS.index("neck"), 1]
    return line & (rest[:, 1] > neck + 0.04)


def _paint_face(colors: Array, body: BodyModel, wear: Outfit, rest: Array) -> None:
    if "face" not in body.landmark_sets or not body.face_mesh_ids:
        return
    points = body.landmark_skin("face").template.cpu().numpy()
    place = {mesh_id: points[i] for i, mesh_id in enumerate(body.face_mesh_ids)}
    for ids, color, strength in ((_LIPS, wear.lips, 0.8), (_BROWS, wear.hair, 0.55)):
        strokes = np.array([place[i] for i in ids if i in place])
        if len(strokes):
            gap = np.linalg.norm(rest[:, None] - strokes, axis=-1).min(1)
            paint = strength * np.clip(1 - (gap - _STROKE_METRES) / _STROKE_FADE_METRES, 0, 1)
            colors += (np.array(color) - colors) * paint[:, None]


def _paint_eyes(colors: Array, rest: Array, part: Array) -> None:
    for name in ("left_eye_smplhf", "right_eye_smplhf"):
        ball = np.flatnonzero(part == SMPLX_JOINTS.index(name))
        if not len(ball):
            continue
        colors[ball] = 0.92
        middle = rest[ball].mean(0)
        radius = np.abs(rest[ball] - middle).max()
        across = np.hypot(*(rest[ball, :2] - middle[:2]).T)
        iris = (rest[ball, 2] > middle[2]) & (across < 0.5 * radius)
        colors[ball[iris]] = (0.22, 0.15, 0.10)
