"""What joints without a header must show before they are scored: a person's size, order and sides."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.named_points import NamedPoint, set_points
from humanmotion.body.skeleton import ANKLES, HIPS, KNEES
from humanmotion.errors import UsageError
from humanmotion.jobs.joint_checks import check_sides, metres_per_unit, up_axis
from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS

LEAST_JOINTS = 8
"""Fewer do not say what a person does."""
ODD_BONE = 2.5
"""A bone longer or shorter than a person's by this, once all are brought to one size, is none."""
MOST_ODD = 0.2
"""Share of odd bones above which the joints are in another order."""
MISUNIT = 8.0
"""From here on a bone is no bone at all: its end is in other units."""
_LOOKED_AT = 200
"""Frames, evenly spread, that checks look at."""


def points_of(names: Sequence[str], body: BodyModel) -> list[NamedPoint]:
    """The body's own joints of these names."""
    known = set_points(body, "smplx_55")
    return [known[name] for name in names]


def up_of(joints: Tensor, body: BodyModel) -> str | None:
    """The axis along which a person of 22 joints `(T, 22, 3)` mostly stands; None if unclear."""
    return up_axis(_few(joints).float(), points_of(SMPLX_JOINTS[:22], body), body)


def in_metres(
    joints: Tensor, names: Sequence[str], body: BodyModel, *, source: object
) -> tuple[Tensor, tuple[str, ...]]:
    """Joints `(T, L, 3)` in metres, and a note where they were not; UsageError where none fits."""
    unit = metres_per_unit(_few(joints).float(), points_of(names, body), body, source=source)
    word = {1.0: "metres", 0.01: "centimetres", 0.001: "millimetres"}[unit]
    return joints * unit, () if unit == 1.0 else (f"its numbers are taken as {word}",)


def check_body(joints: Tensor, names: Sequence[str], body: BodyModel, *, source: object) -> None:
    """Raise UsageError unless joints `(T, L, 3)`, metres, z up, are a person's by these names.

    A joint in other units, another order, left and right swapped, or a mirrored body.
    """
    few = _few(joints)
    pairs, share = _bone_shares(few, names, body)
    if len(share):
        relative = share / share.median()
        away = torch.maximum(relative, 1 / relative.clamp(min=1e-9))
        odd = away > ODD_BONE
        if float(odd.double().mean()) > MOST_ODD:
            raise UsageError(
                f"{int(odd.sum())} of {len(odd)} bones of {source} have no person's length: its joints "
                f"are not in the order of SMPL's 22 ({', '.join(SMPLX_JOINTS[:4])}, ...); reorder them"
            )
        if float(away.max()) > MISUNIT:
            bone = int(away.argmax())
            a, b = (names[i] for i in pairs[bone])
            raise UsageError(
                f"{b} of {source} is {float(relative[bone]):.3g} times as far from {a} as a person's: "
                "some of its numbers are in other units; bring all joints to metres"
            )
    check_sides(few.float(), points_of(names, body), source=source)


def leg_share(joints: Tensor, body: BodyModel) -> float:
    """Leg length of joints `(T, 22, 3)` over the body's; 1 where legs are not seen."""
    hip, knee, ankle = (_few(joints)[:, list(pair)] for pair in (HIPS, KNEES, ANKLES))
    length = ((hip - knee).norm(dim=-1) + (knee - ankle).norm(dim=-1)).nanmedian()
    return float(length / body.leg_length()) if bool(length.isfinite()) else 1.0


def _bone_shares(
    joints: Tensor, names: Sequence[str], body: BodyModel
) -> tuple[list[tuple[int, int]], Tensor]:
    """Pairs of joints `(parent, child)` and their median distance over the body's own."""
    index = {name: i for i, name in enumerate(names)}
    bones = [
        (SMPLX_JOINTS[parent], name)
        for name, parent in zip(SMPLX_JOINTS[1:22], SMPLX_PARENTS[1:22], strict=True)
    ]
    known = [(a, b) for a, b in bones if a in index and b in index]
    rest = body.rest_joints().double()
    shares = [
        (joints[:, index[b]] - joints[:, index[a]]).norm(dim=-1).median()
        / (rest[SMPLX_JOINTS.index(b)] - rest[SMPLX_JOINTS.index(a)]).norm()
        for a, b in known
    ]
    pairs = [(index[a], index[b]) for a, b in known]
    return pairs, torch.stack(shares) if shares else torch.zeros(0)


def _few(joints: Tensor) -> Tensor:
    return joints[:: max(1, len(joints) // _LOOKED_AT)]
