"""Which BVH joint is which of ours: by SMPL-X name, or by the names other programs use."""

from __future__ import annotations

from humanmotion.io.bvh_text import BvhSkeleton
from humanmotion.joint_sets import SMPLX_JOINTS

_LIMBS = {
    # The word that can mean one joint only comes first: "shoulder" is a collar to Mixamo and the
    # joint after it to SMPL. Then Mixamo / MotionBuilder / CMU, DAZ and Poser, Unreal, Rigify.
    "hip": ("upleg", "thigh", "upperleg", "hip"),
    "knee": ("knee", "shin", "calf", "lowerleg", "leg"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toes", "ball", "foot"),
    "collar": ("collar", "clavicle", "collarbone", "shoulder"),
    "shoulder": ("shldr", "upperarm", "uparm", "arm", "shoulder"),
    "elbow": ("elbow", "forearm", "lowerarm", "lowarm"),
    "wrist": ("wrist", "hand"),
}
NEEDED = (
    "left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "right_shoulder", "right_elbow", "right_wrist",
    "head",
)  # fmt: skip
"""Joints without which a skeleton is not taken for a person."""


def match_joints(skeleton: BvhSkeleton) -> dict[str, int]:
    """Our joint name to index in the file, for every joint that was recognised.

    Limbs, head and fingers go by name; pelvis, spine and neck by where the limbs hang, since
    programs count them differently: a chain of n spine joints gives its first, middle and last.
    """
    plain = {_plain(name): i for i, name in reversed(list(enumerate(skeleton.names)))}
    own = {name: plain[_plain(name)] for name in SMPLX_JOINTS if _plain(name) in plain}
    if set(SMPLX_JOINTS[:22]) <= set(own):
        return own
    found = _limbs(plain) | _fingers(plain)
    if "head" in plain:
        found["head"] = plain["head"]
    if all(name in found for name in NEEDED):
        found |= _trunk(skeleton, found)
    return found


def _plain(name: str) -> str:
    """Lower-case letters and digits after a namespace or a common rig prefix."""
    short = "".join(c for c in name.rsplit(":", 1)[-1].lower() if c.isalnum())
    for prefix in ("mixamorig", "bip001", "bip01", "def", "mavg", "favg"):
        if short.startswith(prefix) and len(short) > len(prefix):
            return short[len(prefix) :]
    return short


def _limbs(plain: dict[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for side in ("left", "right"):
        for limb, words in _LIMBS.items():
            used = set(found.values())
            for word in words:
                forms = (side + word, side[0] + word, word + side, word + side[0])
                places = [plain[form] for form in forms if form in plain]
                if places and places[0] not in used:
                    found[f"{side}_{limb}"] = places[0]
                    break
    return found


def _fingers(plain: dict[str, int]) -> dict[str, int]:
    found = {}
    for name in SMPLX_JOINTS[25:]:
        side, finger = name.split("_")
        short = f"{side[0]}{finger}"
        for form in (f"{side}hand{finger}", f"{side}{finger}", short, f"{finger}{side[0]}"):
            if form in plain:
                found[name] = plain[form]
                break
    return found


def _trunk(skeleton: BvhSkeleton, found: dict[str, int]) -> dict[str, int]:
    parents = skeleton.parents
    pelvis = _common(_up(parents, found["left_hip"]), _up(parents, found["right_hip"]))
    chest = _common(_up(parents, found["left_shoulder"]), _up(parents, found["right_shoulder"]))
    trunk, chain = {"pelvis": pelvis}, [chest, *_up(parents, chest)]
    # In DAZ's skeleton the pelvis is a branch beside the spine, not below it.
    base = pelvis if pelvis in chain else _common(_up(parents, pelvis), chain)
    spine = list(reversed(chain[: chain.index(base)])) if base in chain else []
    if len(spine) > 1:
        trunk["spine1"] = spine[0]
    if len(spine) > 2:
        trunk["spine2"] = spine[(len(spine) - 1) // 2]
    if spine:
        trunk["spine3"] = spine[-1]
    neck = [j for j in _up(parents, found["head"]) if j not in chain]
    return trunk | ({"neck": neck[0]} if neck else {})


def _up(parents: list[int], joint: int) -> list[int]:
    """Ancestors of a joint, nearest first."""
    out = []
    while (joint := parents[joint]) >= 0:
        out.append(joint)
    return out


def _common(a: list[int], b: list[int]) -> int:
    return next((joint for joint in a if joint in b), 0)
