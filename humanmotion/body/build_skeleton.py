"""Joints of the default body: their places in the source mesh, and its way from A-pose to T-pose.

The rest bones must point where the project's motion data expects (an SMPL-X T-pose), yet lie
inside the body. So the limbs are turned into the T-pose, and then all joints are placed by one
linear least-squares problem: bone directions fixed, lengths free, anatomical joints as targets.
"""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
from scipy.spatial.transform import Rotation

from humanmotion.body.build_source import Floats, Source
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS

INDEX = {name: i for i, name in enumerate(SMPLX_JOINTS)}
FINGERS = ("index", "middle", "pinky", "ring", "thumb")
OTHER_SIDE = [
    INDEX[name.replace("left", "*").replace("right", "left").replace("*", "right")]
    for name in SMPLX_JOINTS
]
"""The joint on the other side of each joint; middle joints are their own."""
FINGER_ENDS = [INDEX[f"{side}_{f}3"] for side in ("left", "right") for f in FINGERS]
"""Joints of the last finger bones, in the order in which finger tips are listed."""

# Direction of each bone of the left side from its parent: (x, y, z), scaled freely.
_REST = {
    "left_hip": (0.4708, -0.8559, -0.2140),
    "left_knee": (0.1288, -0.9914, -0.0243),
    "left_ankle": (-0.0631, -0.9965, -0.0541),
    "left_foot": (0.3008, -0.4345, 0.8490),
    "spine1": (0.0000, 0.9764, -0.2160),
    "spine2": (0.0000, 0.9988, -0.0482),
    "spine3": (0.0000, 0.9308, 0.3657),
    "neck": (0.0000, 0.9861, -0.1663),
    "head": (0.0000, 0.9907, 0.1359),
    "left_collar": (0.4677, 0.8758, -0.1194),
    "left_shoulder": (0.9026, 0.4207, -0.0918),
    "left_elbow": (0.9777, -0.1803, -0.1075),
    "left_wrist": (0.9989, 0.0292, -0.0365),
}
# How strongly each anatomical joint attracts the placed one; the others weigh 0.3.
_PULL = dict.fromkeys(("pelvis", "spine1", "spine2", "spine3", "hip", "neck"), 0.5)
_PULL |= dict.fromkeys(("knee", "ankle", "shoulder", "elbow", "wrist"), 3.0)
_PULL |= {"foot": 0.7, "head": 1.0}
# Height of the trunk's joints between hips (0) and neck (1); the rig spaces its own otherwise.
_TRUNK = {"pelvis": 0.20, "spine1": 0.37, "spine2": 0.60, "spine3": 0.70}
# Directions the flesh of the left limbs takes. They differ a little from the bones', which lie off
# the limb's axis at hip and shoulder: following the bones would bend knees and elbows sideways.
_FLESH = {"hip": (0.07, -1.0, -0.01), "knee": (-0.04, -1.0, -0.05)}
_FLESH |= {"shoulder": (1.0, -0.15, -0.09), "elbow": (1.0, 0.0, -0.04), "wrist": (1.0, -0.02, 0.0)}
_COLLAR_RAISE = np.radians(10)
_TOE_OUT = np.radians(14)
# Left finger directions in the flat hand: degrees towards the thumb's side.
_SPLAY = {"index": 5.0, "middle": 0.0, "ring": -5.0, "pinky": -11.0}
_DROOP = (2.0, 4.0, 6.0)
_THUMB_RAISE = np.radians(22)


def joint_map() -> dict[str, dict[str, list[str]]]:
    """The shipped table from SMPL-X joints to rig bones and from rig bones to joints."""
    text = resources.files("humanmotion").joinpath("body/joint_map.json").read_text("utf-8")
    table: dict[str, dict[str, list[str]]] = json.loads(text)
    return table


def source_joints(source: Source, vertices: Floats) -> Floats:
    """Anatomical joints (65, 3) of a shaped source mesh: the 55, then finger tips.

    Tips are those of left index, middle, pinky, ring, thumb, then right.
    """
    bones = joint_map()["joint_from_bone_heads"]
    heads = [[source.bone_end(b, "head") for b in bones[name]] for name in SMPLX_JOINTS]
    joints = [np.mean([vertices[ids].mean(0) for ids in ends], 0) for ends in heads]
    tips = [bones[f"{side}_{f}3"][0] for side in ("left", "right") for f in FINGERS]
    joints += [vertices[source.bone_end(bone, "tail")].mean(0) for bone in tips]
    return np.array(joints)


def rest_directions() -> dict[str, Floats]:
    """Unit direction of the bone that ends in each of the 21 body joints below the pelvis."""
    out = {}
    for name, direction in _REST.items():
        unit = np.array(direction, float) / np.linalg.norm(direction)
        out[name] = unit
        if name.startswith("left"):
            out[name.replace("left", "right")] = unit * [-1, 1, 1]
    return out


def rest_rotations(joints: Floats) -> Floats:
    """World rotations (55, 3, 3) that take each segment from the source pose to the T-pose."""
    out = np.tile(np.eye(3), (len(SMPLX_JOINTS), 1, 1))
    flip = np.diag([-1.0, 1.0, 1.0])
    for side in ("left", "right"):
        # The right side is the left side seen in a mirror.
        local = joints if side == "left" else joints @ flip
        for name, rotation in (_arm(local, side) | _leg(local, side)).items():
            out[INDEX[name]] = rotation if side == "left" else flip @ rotation @ flip
    return out


def _arm(joints: Floats, side: str) -> dict[str, Floats]:
    at = {n: joints[INDEX[f"{side}_{n}"]] for n in ("shoulder", "elbow", "wrist")}
    middle, index, pinky = (joints[INDEX[f"{side}_{f}1"]] for f in ("middle", "index", "pinky"))
    upper, lower = at["elbow"] - at["shoulder"], at["wrist"] - at["elbow"]
    # The elbow's hinge becomes vertical, so the forearm flexes forwards; the palm looks down.
    hinge, down = np.cross(upper, lower), np.array([0.0, -1.0, 0.0])
    hand = _turn(middle - at["wrist"], index - pinky, _FLESH["wrist"], (0, 0, 1))
    out = {
        f"{side}_collar": Rotation.from_rotvec([0, 0, _COLLAR_RAISE]).as_matrix(),
        f"{side}_shoulder": _turn(upper, hinge, _FLESH["shoulder"], down),
        f"{side}_elbow": _turn(lower, hinge, _FLESH["elbow"], down),
        f"{side}_wrist": hand,
    }
    return out | _fingers(joints, side, hand)


def _fingers(joints: Floats, side: str, hand: Floats) -> dict[str, Floats]:
    thumb = Rotation.from_rotvec([-_THUMB_RAISE, 0, 0]).as_matrix() @ hand
    out = {f"{side}_thumb{i}": thumb for i in (1, 2, 3)}
    for finger, splay in _SPLAY.items():
        tip = joints[len(SMPLX_JOINTS) + FINGERS.index(finger) + 5 * (side == "right")]
        chain = [*(joints[INDEX[f"{side}_{finger}{i}"]] for i in (1, 2, 3)), tip]
        a = np.radians(splay)
        for i, droop in enumerate(np.radians(_DROOP)):
            aim = (np.cos(droop) * np.cos(a), -np.sin(droop), np.cos(droop) * np.sin(a))
            out[f"{side}_{finger}{i + 1}"] = _swing(hand @ (chain[i + 1] - chain[i]), aim) @ hand
    return out


def _leg(joints: Floats, side: str) -> dict[str, Floats]:
    hip, knee, ankle, foot = (
        joints[INDEX[f"{side}_{n}"]] for n in ("hip", "knee", "ankle", "foot")
    )
    ahead = foot - ankle
    yaw = _TOE_OUT - np.arctan2(ahead[0], ahead[2])
    # The turn of the foot is shared out along the leg, so that no part is wrung.
    thigh, shank, sole = (
        Rotation.from_rotvec([0, share * yaw, 0]).as_matrix() for share in (0.3, 0.7, 1.0)
    )
    return {
        f"{side}_hip": _swing(thigh @ (knee - hip), _FLESH["hip"]) @ thigh,
        f"{side}_knee": _swing(shank @ (ankle - knee), _FLESH["knee"]) @ shank,
        f"{side}_ankle": sole,
        f"{side}_foot": sole,
    }


def _swing(start: Floats, aim: object) -> Floats:
    a = start / np.linalg.norm(start)
    b = np.asarray(aim, float) / np.linalg.norm(np.asarray(aim, float))
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    angle = np.arctan2(sine, a @ b)
    return np.asarray(Rotation.from_rotvec(axis * (angle / max(sine, 1e-12))).as_matrix())


def _turn(along: Floats, across: Floats, to_along: object, to_across: object) -> Floats:
    return _frame(to_along, to_across) @ _frame(along, across).T


def _frame(along: object, across: object) -> Floats:
    x = np.asarray(along, float) / np.linalg.norm(np.asarray(along, float))
    y = np.asarray(across, float) - x * (x @ np.asarray(across, float))
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], 1)


def place_joints(joints: Floats, rotations: Floats) -> tuple[Floats, Floats]:
    """Joints of the T-pose (55, 3) and the places (55, 3) they come from in the source pose.

    Chaining the anatomical joints with `rotations` gives the targets of the 22 body joints, which
    get `rest_directions` exactly; hand and face joints stay where they are in the flesh.
    """
    rest = np.zeros((len(SMPLX_JOINTS), 3))
    target = _chain(joints[:22], rotations)
    hips, neck = target[[INDEX["left_hip"], INDEX["right_hip"]]].mean(0), target[INDEX["neck"]]
    for name, height in _TRUNK.items():
        target[INDEX[name]] = hips + height * (neck - hips)
    rest[:22] = _fit_lengths(target)
    origin = rest.copy()
    for j in range(1, len(SMPLX_JOINTS)):
        parent = SMPLX_PARENTS[j]
        if j < 22:
            origin[j] = origin[parent] + rotations[parent].T @ (rest[j] - rest[parent])
        else:
            origin[j] = joints[j]
            rest[j] = rest[parent] + rotations[parent] @ (joints[j] - origin[parent])
    return rest, origin


def _chain(joints: Floats, rotations: Floats) -> Floats:
    out = joints.copy()
    for j in range(1, len(joints)):
        parent = SMPLX_PARENTS[j]
        out[j] = out[parent] + rotations[parent] @ (joints[j] - joints[parent])
    return out


def _fit_lengths(target: Floats) -> Floats:
    """Joints (22, 3) closest to `target` whose bones have exactly the rest directions."""
    count = len(target)
    directions = rest_directions()
    path = np.zeros((count, 3, 3 + count - 1))  # joint = path @ (root, bone lengths)
    path[:, :, :3] = np.eye(3)
    for j in range(1, count):
        path[j] += path[SMPLX_PARENTS[j]] * (np.arange(3 + count - 1) >= 3)
        path[j, :, 2 + j] = directions[SMPLX_JOINTS[j]]
    pull = np.array([_PULL.get(name.split("_")[-1], 0.3) for name in SMPLX_JOINTS[:count]])
    system = (path * pull[:, None, None]).reshape(3 * count, -1)
    solution = np.linalg.lstsq(system, (target * pull[:, None]).ravel(), rcond=None)[0]
    return np.asarray(path @ solution)
