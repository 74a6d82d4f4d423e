"""A posed skeleton of another program onto the body's joints, by rest-pose bone directions.

Per joint, world rotations follow `G = G_file A`, where `A` turns the body's rest pose onto the
file's: one turn of the whole body for trunk, collars and feet (how a spine curves or a collar
slopes is anatomy, not pose), and for thighs, shins, upper arms and forearms the smallest turn that
makes the bone directions equal. So those bones point exactly where the file's do, in every frame.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS
from humanmotion.rotations import between_vectors, geodesic_distance

_LIMB_CHILD = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}
_SNAP = 0.5
"""Radians: a rest pose this near to straight axes is meant to be on them (trunks lean a little)."""
_HALF_TURN_COSINE = -0.95


def rest_turns(body_rest: Tensor, file_rest: Tensor, where: dict[str, int]) -> Tensor:
    """`A` `(55, 3, 3)` for each joint, from rest joints `(55, 3)` (y up) and `(J, 3)`.

    `where` gives the file's index of the joints it has.
    """
    whole = _whole_turn(body_rest, file_rest, where)
    turns = [whole] * len(SMPLX_JOINTS)
    for joint, name in enumerate(SMPLX_JOINTS):
        child = _child(name)
        if child in where and name in where:
            own = whole @ (body_rest[SMPLX_JOINTS.index(child)] - body_rest[joint])
            theirs = file_rest[where[child]] - file_rest[where[name]]
            turns[joint] = _smallest(own, theirs, whole[:, 0]) @ whole
        elif joint >= 20 and joint not in (22, 23, 24):
            # Hands and fingertips continue the bone before them.
            turns[joint] = turns[SMPLX_PARENTS[joint]]
    return torch.stack(turns)


def local_rotations(world: Tensor, turns: Tensor, where: dict[str, int]) -> Tensor:
    """Local rotations `(T, 55, 3, 3)` from the file's world rotations `(T, J, 3, 3)`.

    Joints the file lacks stay at rest against their parent. The first is the root's, in the file's
    world.
    """
    placed: list[Tensor] = []
    local: list[Tensor] = []
    eye = torch.eye(3, dtype=world.dtype).expand(len(world), 3, 3)
    for joint, (name, parent) in enumerate(zip(SMPLX_JOINTS, SMPLX_PARENTS, strict=True)):
        before = placed[parent] if parent >= 0 else eye
        placed.append(world[:, where[name]] @ turns[joint] if name in where else before)
        local.append(before.mT @ placed[-1])
    return torch.stack(local, 1)


def leg_length(rest: Tensor, where: dict[str, int]) -> float:
    """Hip-knee-ankle length, mean of both legs, in the units of `rest` `(J, 3)`."""
    legs = [
        (rest[where[f"{side}_{upper}"]] - rest[where[f"{side}_{lower}"]]).norm()
        for side in ("left", "right")
        for upper, lower in (("hip", "knee"), ("knee", "ankle"))
    ]
    return float(sum(legs)) / 2


def _child(name: str) -> str:
    side, _, part = name.partition("_")
    if part in _LIMB_CHILD:
        return f"{side}_{_LIMB_CHILD[part]}"
    return f"{name[:-1]}{int(name[-1]) + 1}" if name in SMPLX_JOINTS[25:] and name[-1] < "3" else ""


def _whole_turn(body_rest: Tensor, file_rest: Tensor, where: dict[str, int]) -> Tensor:
    """The turn from the body's rest axes (x left, y up) to the file's."""
    ours = dict(zip(SMPLX_JOINTS, range(len(SMPLX_JOINTS)), strict=True))
    turn = _trunk_axes(file_rest, where) @ _trunk_axes(body_rest, ours).mT
    straight = torch.stack([m for m in _axis_turns() if torch.linalg.det(m) > 0])
    gaps = geodesic_distance(straight, turn.expand_as(straight))
    return straight[gaps.argmin()] if float(gaps.min()) < _SNAP else turn


def _trunk_axes(rest: Tensor, where: dict[str, int]) -> Tensor:
    """Columns left, up, forward of a skeleton at rest, `(3, 3)`."""
    hips = (rest[where["left_hip"]] + rest[where["right_hip"]]) / 2
    up = torch.nn.functional.normalize(rest[where["head"]] - hips, dim=-1)
    left = rest[where["left_hip"]] - rest[where["right_hip"]]
    left = torch.nn.functional.normalize(left - (left @ up) * up, dim=-1)
    return torch.stack((left, up, torch.linalg.cross(left, up)), -1)


def _axis_turns() -> list[Tensor]:
    """The signed permutation matrices, mirrors included."""
    eye = torch.eye(3, dtype=torch.float64)
    return [
        eye[list(order)] * torch.tensor(signs, dtype=torch.float64)[:, None]
        for order in itertools.permutations(range(3))
        for signs in itertools.product((1.0, -1.0), repeat=3)
    ]


def _smallest(own: Tensor, theirs: Tensor, lateral: Tensor) -> Tensor:
    """The smallest turn of direction `own` onto `theirs`; half turns go about the body's side.

    Skeletons that rest with all bones along one axis have legs opposite to ours; only a turn about
    the knee's own axis keeps the knee bending forward.
    """
    if float(torch.nn.functional.cosine_similarity(own, theirs, dim=0)) < _HALF_TURN_COSINE:
        half = 2 * torch.outer(lateral, lateral) - torch.eye(3, dtype=own.dtype)
        return between_vectors(half @ own, theirs) @ half
    return between_vectors(own, theirs)
