"""Landmark tables of the default body: what detectors look for, as weighted means of vertices.

Face points come from the shipped table that ties MediaPipe's 468 face-mesh points to the source
mesh (measured on renders of the average head). Limb points start from the joints and are shifted to
where MediaPipe's pose and hand detectors see them on renders of this body.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from humanmotion.body.build_regressor import convex_weights
from humanmotion.body.build_skeleton import FINGERS, INDEX
from humanmotion.body.build_source import Floats, Ints
from humanmotion.joint_sets import JOINT_SETS, SMPLX_JOINTS

VERTICES_PER_LANDMARK = 8
# MediaPipe face-mesh points behind the landmarks of the face.
_ON_FACE = {
    "nose": (4,),
    "left_eye_inner": (362,),
    "left_eye": (386, 374),
    "left_eye_outer": (263,),
    "left_mouth": (291,),
    "right_eye_inner": (133,),
    "right_eye": (159, 145),
    "right_eye_outer": (33,),
    "right_mouth": (61,),
}
# Landmarks of the hand named in the pose sets: knuckles of little finger, index finger and thumb.
_KNUCKLES = {"pinky": "pinky1", "index": "index1", "thumb": "thumb2"}
# Where MediaPipe's pose detector sees a landmark, in mm of the T-pose from the joint or the feature
# (left side; x mirrored on the right), and the joint whose motion it follows. Medians over 900
# renders of random bodies in motion-capture poses from all sides.
_SEEN: dict[str, tuple[str, tuple[float, float, float]]] = {
    "nose": ("head", (0.0, 6.8, -21.5)),
    "eye_inner": ("head", (-1.2, 4.1, -12.2)),
    "eye": ("head", (-5.5, 2.6, -19.7)),
    "eye_outer": ("head", (-7.0, 3.4, -18.6)),
    "mouth": ("head", (-4.7, 7.6, -11.1)),
    "ear": ("head", (-28.7, 3.1, 34.8)),
    "shoulder": ("shoulder", (-8.8, -10.3, -1.9)),
    "elbow": ("elbow", (6.1, -5.3, 13.1)),
    "wrist": ("wrist", (3.6, -7.8, 8.3)),
    "pinky": ("wrist", (-3.1, -8.9, 27.7)),
    "index": ("wrist", (-18.8, -9.1, -13.5)),
    "thumb": ("wrist", (8.2, 4.1, -30.1)),
    "hip": ("pelvis", (-0.7, 27.0, 16.2)),
    "knee": ("knee", (-5.2, 4.1, -9.4)),
    "ankle": ("ankle", (8.0, 23.7, 7.0)),
    "heel": ("ankle", (-6.0, 1.7, 17.7)),
    "big_toe": ("foot", (20.1, 10.3, -24.4)),
    # The same of its hand detector, over 489 close-ups; the 4th point of a finger is its tip.
    "hand_wrist": ("wrist", (12.9, -11.2, 3.8)),
    "hand_thumb1": ("thumb1", (-0.7, -11.5, 7.5)),
    "hand_thumb2": ("thumb2", (7.9, -4.3, 4.4)),
    "hand_thumb3": ("thumb3", (3.9, -3.2, -7.6)),
    "hand_thumb4": ("thumb3", (-5.0, 1.4, -3.5)),
    "hand_index1": ("index1", (-2.8, -6.6, -3.3)),
    "hand_index2": ("index2", (2.4, -7.1, -0.6)),
    "hand_index3": ("index3", (1.6, -4.9, 0.4)),
    "hand_index4": ("index3", (-8.1, 0.0, -0.7)),
    "hand_middle1": ("middle1", (-4.2, -7.8, 0.8)),
    "hand_middle2": ("middle2", (1.7, -5.7, 1.3)),
    "hand_middle3": ("middle3", (0.8, -6.0, 3.2)),
    "hand_middle4": ("middle3", (-8.9, 0.0, 0.7)),
    "hand_ring1": ("ring1", (-3.1, -8.3, 0.7)),
    "hand_ring2": ("ring2", (2.4, -6.6, 0.0)),
    "hand_ring3": ("ring3", (3.0, -4.5, 0.8)),
    "hand_ring4": ("ring3", (-11.2, -1.6, 3.2)),
    "hand_pinky1": ("pinky1", (5.5, -5.2, -0.5)),
    "hand_pinky2": ("pinky2", (2.3, -4.4, -0.5)),
    "hand_pinky3": ("pinky3", (3.4, -6.1, 0.4)),
    "hand_pinky4": ("pinky3", (-5.5, -0.5, 2.4)),
}
# How many of the outermost vertices make up a landmark: an ear is wide, a toe is not.
_OUTERMOST = {"ear": 40, "heel": 8, "big_toe": 8}
_HAND_ORDER = ("thumb", "index", "middle", "ring", "pinky")


@dataclass(frozen=True)
class BodySamples:
    """The template (shape 0) and sampled bodies that landmarks are followed over."""

    vertices: Floats
    """(S, V, 3) in the T-pose."""
    joints: Floats
    """(S, 65, 3): the 55 joints, then left and right finger tips."""
    weights: Floats
    """(V, 55) skin weights."""
    source_vertices: Ints
    """(V,) source vertex of each vertex."""
    source_mirror: Ints
    """(N,) the other side of each source vertex."""

    @property
    def mirror(self) -> Ints:
        """(V,) the vertex on the other side of each vertex."""
        position = np.zeros(len(self.source_mirror), np.int64)
        position[self.source_vertices] = np.arange(len(self.source_vertices))
        return position[self.source_mirror[self.source_vertices]]


@dataclass(frozen=True)
class FaceTable:
    """MediaPipe face-mesh points on the body's skin."""

    vertices: Ints
    """(468, 3)."""
    weights: Floats
    """(468, 3)."""
    ibug_68: tuple[int, ...]
    """Face-mesh index of each of the 68 points of the iBUG scheme."""


def face_table(source_vertices: Ints) -> FaceTable:
    """The shipped face table in the numbering of a body made of `source_vertices`."""
    text = resources.files("humanmotion").joinpath("body/face_landmarks.json").read_text("utf-8")
    table = json.loads(text)
    points = np.array(table["points"])
    position = np.argsort(source_vertices, kind="stable")
    ids = position[np.searchsorted(source_vertices[position], points[:, :3].astype(np.int64))]
    weights = np.concatenate([points[:, 3:], 1 - points[:, 3:].sum(1, keepdims=True)], 1)
    weights = np.maximum(weights, 0)
    return FaceTable(ids, weights / weights.sum(1, keepdims=True), tuple(table["ibug_68"]))


def landmark_tables(samples: BodySamples) -> dict[str, NDArray[np.int32] | NDArray[np.float32]]:
    """The npz keys `landmark_SET_vertices` (L, k) and `landmark_SET_weights` (L, k)."""
    face = face_table(samples.source_vertices)
    named = _named_points(samples, face)
    seen = {name: _as_seen(samples, name, row) for name, row in named.items()}
    # COCO's limb landmarks are taken to be where MediaPipe's are; its face points are exact.
    body = {name: row for name, row in seen.items() if name not in _ON_FACE and "ear" not in name}
    sets = {
        "mediapipe33": [seen[n] for n in JOINT_SETS["mediapipe_33"]],
        "coco17": [(named | body)[n] for n in JOINT_SETS["coco_17"]],
    }
    for side in ("left", "right"):
        sets[f"hand21_{side}"] = [seen[n] for n in _hand_names(side)]
    sets["face"] = [(face.vertices[i], face.weights[i]) for i in face.ibug_68]
    out: dict[str, NDArray[np.int32] | NDArray[np.float32]] = {}
    for key, rows in sets.items():
        width = max(len(ids) for ids, _ in rows)
        ids = np.array([np.resize(i, width) for i, _ in rows])
        weights = np.array([np.pad(w, (0, width - len(w))) for _, w in rows])
        out[f"landmark_{key}_vertices"] = ids.astype(np.int32)
        out[f"landmark_{key}_weights"] = weights.astype(np.float32)
    out["landmark_face_mediapipe_ids"] = np.array(face.ibug_68, np.int32)
    return out


def _as_seen(samples: BodySamples, name: str, row: tuple[Ints, Floats]) -> tuple[Ints, Floats]:
    """A landmark moved to where the detector sees it, made of vertices its joint leads."""
    side, _, part = name.rpartition("_") if "_" not in name else name.partition("_")
    lead, shift = _SEEN[part]
    joint = INDEX.get(f"{side}_{lead}", INDEX.get(lead, 0))
    mirror = np.array([-1.0 if side == "right" else 1.0, 1.0, 1.0])
    path = np.einsum("k,ska->sa", row[1], samples.vertices[:, row[0]])
    return convex_weights(
        path + np.array(shift) / 1000 * mirror,
        samples.vertices,
        keep=VERTICES_PER_LANDMARK,
        candidates=200,
        allowed=samples.weights[:, joint] > 0.2,
    )


def _hand_names(side: str) -> list[str]:
    return [n for n in JOINT_SETS["mediapipe_543"] if n.startswith(f"{side}_hand_")]


def _named_points(samples: BodySamples, face: FaceTable) -> dict[str, tuple[Ints, Floats]]:
    out = {name: _mean_of(face, ids) for name, ids in _ON_FACE.items()}
    for side in ("left", "right"):
        for name, path in _limb_points(samples, side).items():
            out[f"{side}_{name}"] = convex_weights(
                path, samples.vertices, keep=VERTICES_PER_LANDMARK
            )
    return out


def _mean_of(face: FaceTable, mesh_ids: tuple[int, ...]) -> tuple[Ints, Floats]:
    ids = np.concatenate([face.vertices[i] for i in mesh_ids])
    return ids, np.concatenate([face.weights[i] for i in mesh_ids]) / len(mesh_ids)


def _limb_points(samples: BodySamples, side: str) -> dict[str, Floats]:
    """Paths (S, 3) over the samples of the limb landmarks of one side."""
    joint = {n: samples.joints[:, INDEX[f"{side}_{n}"]] for n in _side_joints(side)}
    tips = len(SMPLX_JOINTS) + 5 * (side == "right") + np.arange(5)
    tip = dict(zip(FINGERS, np.moveaxis(samples.joints[:, tips], 1, 0), strict=True))
    out = {n: joint[n] for n in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")}
    out |= {name: joint[source] for name, source in _KNUCKLES.items()}
    out["hand_wrist"] = joint["wrist"]
    for finger in _HAND_ORDER:
        out |= {f"hand_{finger}{i}": joint[f"{finger}{i}"] for i in (1, 2, 3)}
        out[f"hand_{finger}4"] = tip[finger]
    return out | _extremities(samples, side)


def _side_joints(side: str) -> list[str]:
    return [n.removeprefix(f"{side}_") for n in SMPLX_JOINTS if n.startswith(side)]


def _extremities(samples: BodySamples, side: str) -> dict[str, Floats]:
    """Ear, heel and big toe: outermost skin points of the template, followed over the samples."""
    template, joints = samples.vertices[0], samples.joints[0]
    sign = 1 if side == "left" else -1
    eye = joints[INDEX[f"{side}_eye_smplhf"]]
    ankle = joints[INDEX[f"{side}_ankle"]]
    on_side = template[:, 0] * sign > 0
    low = on_side & (template[:, 1] < ankle[1])
    beside_eye = np.abs(template[:, 1] - eye[1] + 0.02) < 0.03
    head = on_side & beside_eye & (np.abs(template[:, 0]) < 0.12)
    inner = low & (template[:, 0] * sign < ankle[0] * sign + 0.04)
    reach = {
        "ear": np.where(head, template[:, 0] * sign, -9),
        "heel": np.where(low, -template[:, 2], -9),
        "big_toe": np.where(inner, template[:, 2], -9),
    }
    most = {n: np.argsort(-reach[n], kind="stable")[:count] for n, count in _OUTERMOST.items()}
    return {name: samples.vertices[:, ids].mean(1) for name, ids in most.items()}
