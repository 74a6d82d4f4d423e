"""ViMoGen's 276 numbers a frame at 20 fps, both ways, for any skeleton (arXiv 2510.26794; its code).

Per frame: local rotations of the 21 joints below the root, joint positions and how they move to the
next frame, the root's orientation and its change, smplx's `transl` and its change. Metres, z up.
Rotations are written as their first two columns **row by row** (r11 r12 r21 r22 r31 r32), unlike the
rest of this package. `rest` `(55, 3)` are the rest joints of the body, whose pelvis is `transl`'s
offset. A feature frame needs its successor: T + 1 poses give T frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from humanmotion.body import BodyModel
from humanmotion.body.kinematics import joint_positions
from humanmotion.body.skeleton import HIPS
from humanmotion.errors import UsageError
from humanmotion.motion import MIRROR_JOINTS, Motion
from humanmotion.rotations import matrix_to_rotvec, sixd_to_matrix

FPS = 20.0
SIZE = 276
JOINTS = 22
POSE = slice(0, 126)
"""Local rotations of joints 1 to 21."""
POSITIONS = slice(126, 192)
VELOCITIES = slice(192, 258)
"""Metres per frame."""
ORIENT = slice(258, 264)
TURN = slice(264, 270)
"""The root's change in the world, `R[t + 1] R[t]^T`."""
TRANSL = slice(270, 273)
STEP = slice(273, 276)
ROOT = slice(258, 276)
REFERENCE = [*range(POSE.start, POSE.stop), *range(ORIENT.start, TURN.stop)]
"""The 138 numbers of a reference motion: local pose and how the root is turned."""

Floor = Literal["world", "lowest", "pelvis"]
"""What becomes height 0: the world's own floor, the clip's lowest joint, or frame 0's pelvis."""
Decoding = Literal["absolute", "integrated"]


@dataclass(frozen=True)
class Place:
    """Where a canonical motion lies in the world: `p_world = turn @ p + origin`."""

    turn: Tensor
    """About z `(..., 3, 3)`."""
    origin: Tensor
    """Metres `(..., 3)`."""


def rowwise_sixd(matrix: Tensor) -> Tensor:
    """`(..., 3, 3)` to `(..., 6)`: the first two columns, flattened row by row."""
    return matrix[..., :2].flatten(-2)


def rowwise_matrix(sixd: Tensor) -> Tensor:
    """`(..., 6)` in that order to the rotation `(..., 3, 3)` that Gram-Schmidt makes of it."""
    return sixd_to_matrix(sixd.unflatten(-1, (3, 2)).transpose(-1, -2).flatten(-2))


def canonical(
    rotations: Tensor, transl: Tensor, *, rest: Tensor, floor: Floor = "world"
) -> tuple[Tensor, Tensor, Place]:
    """Rotations `(..., T, 22, 3, 3)` and `transl` `(..., T, 3)` in the frame of their first pose.

    Its x runs from the left to the right hip along the floor, y ahead, and the first pelvis lies over
    the origin (DART, Zhao et al. 2025). The third result leads back.
    """
    first = body_joints(rotations[..., 0, :, :, :], transl[..., 0, :], rest=rest)
    pelvis = rest[0].to(transl)
    turn = _facing(first)
    origin = first[..., 0, :].clone()
    if floor == "world":
        origin[..., 2] = 0
    elif floor == "lowest":
        joints = body_joints(rotations, transl, rest=rest)
        origin[..., 2] = joints[..., 2].amin((-1, -2))
    back = turn.mT[..., None, :, :]
    root = back @ rotations[..., 0, :, :]
    moved = (back @ (transl + pelvis - origin[..., None, :])[..., None])[..., 0] - pelvis
    whole = torch.cat((root[..., None, :, :], rotations[..., 1:, :, :]), -3)
    return whole, moved, Place(turn, origin)


def _facing(joints: Tensor) -> Tensor:
    """Columns x, y, z `(..., 3, 3)` of the frame of a pose's joints `(..., 22, 3)`."""
    left, right = HIPS
    across = joints[..., right, :2] - joints[..., left, :2]
    length = across.norm(dim=-1, keepdim=True)
    # Exactly one hip over the other no direction is meant; any is right.
    aside = across.new_tensor((1.0, 0.0)).expand_as(across)
    x, y = torch.where(length > 1e-6, across / length.clamp(min=1e-6), aside).unbind(-1)
    none, one = torch.zeros_like(x), torch.ones_like(x)
    rows = torch.stack((x, -y, none, y, x, none, none, none, one), -1)
    return rows.unflatten(-1, (3, 3))


def body_joints(rotations: Tensor, transl: Tensor, *, rest: Tensor) -> Tensor:
    """Joints `(..., 22, 3)` of poses `(..., 22, 3, 3)` at `transl` `(..., 3)`, metres."""
    return joint_positions(rotations, rest[:JOINTS].to(rotations)) + transl[..., None, :]


def encode(rotations: Tensor, transl: Tensor, *, rest: Tensor) -> Tensor:
    """Features `(..., T, 276)` of `T + 1` poses: rotations `(..., T + 1, 22, 3, 3)` and `transl`.

    Nothing is moved: see `canonical`. Raises UsageError for fewer than two poses.
    """
    if rotations.shape[-4] < 2:
        raise UsageError(f"{rotations.shape[-4]} poses given; features need two or more")
    joints = body_joints(rotations, transl, rest=rest).flatten(-2)
    root = rotations[..., 0, :, :]
    now = slice(None, -1)
    return torch.cat(
        (
            rowwise_sixd(rotations[..., now, 1:, :, :]).flatten(-2),
            joints[..., now, :], joints.diff(dim=-2),
            rowwise_sixd(root[..., now, :, :]),
            rowwise_sixd(root[..., 1:, :, :] @ root[..., now, :, :].mT),
            transl[..., now, :], transl.diff(dim=-2),
        ), -1,
    )  # fmt: skip


def decode(features: Tensor, *, decoding: Decoding = "absolute") -> tuple[Tensor, Tensor]:
    """Rotations `(..., T, 22, 3, 3)` and `transl` `(..., T, 3)` of features `(..., T, 276)`.

    "integrated" adds up the root's changes from frame 0 on, as the published evaluation does;
    "absolute" reads the root of each frame. Raises UsageError for another number of features.
    """
    check_features(features)
    pose = rowwise_matrix(features[..., POSE].unflatten(-1, (JOINTS - 1, 6)))
    root, transl = rowwise_matrix(features[..., ORIENT]), features[..., TRANSL]
    if decoding == "integrated":
        root = _turned_on(root[..., 0, :, :], rowwise_matrix(features[..., TURN]))
        way = features[..., :-1, STEP].cumsum(-2)
        transl = torch.cat((transl[..., :1, :], transl[..., :1, :] + way), -2)
    return torch.cat((root[..., None, :, :], pose), -3), transl


def _turned_on(first: Tensor, changes: Tensor) -> Tensor:
    """Orientations `(..., T, 3, 3)` from the first `(..., 3, 3)` by changes `(..., T, 3, 3)`."""
    found = [first]
    for change in changes.unbind(-3)[:-1]:
        found.append(change @ found[-1])
    return torch.stack(found, -3)


@dataclass(frozen=True)
class Gaps:
    """How far what features say in several ways lies apart: metres `(...)`, joint mean, worst frame."""

    integrated: Tensor
    """Between the joints of the two decodings."""
    positions: Tensor
    """Between the joint positions as written and those of the absolute decoding."""


def self_consistency(features: Tensor, *, rest: Tensor) -> Gaps:
    """The gaps of features `(..., T, 276)`; real motion has none, generated motion drifts."""
    joints = body_joints(*decode(features), rest=rest)
    added = body_joints(*decode(features, decoding="integrated"), rest=rest)
    written = features[..., POSITIONS].unflatten(-1, (JOINTS, 3))
    gap = [(joints - other).norm(dim=-1).mean(-1).amax(-1) for other in (added, written)]
    return Gaps(integrated=gap[0], positions=gap[1])


def check_features(features: Tensor) -> None:
    """Raise UsageError unless these are `(..., T, 276)` with a frame or more, and finite."""
    if features.ndim < 2 or features.shape[-1] != SIZE or not features.shape[-2]:
        raise UsageError(f"features have shape {tuple(features.shape)}, expected (..., T, {SIZE})")
    if not bool(torch.isfinite(features).all()):
        raise UsageError("features hold values that are not finite")


def place_of(features: Tensor) -> Place:
    """Where the first pose of features `(..., T, 276)` stands: over which point, facing where."""
    joints = features[..., 0, POSITIONS].unflatten(-1, (JOINTS, 3))
    return Place(_facing(joints), joints[..., 0, :] * joints.new_tensor((1.0, 1.0, 0.0)))


def inverse(place: Place) -> Place:
    """The place that leads back: seen from both in turn, a motion is where it was."""
    back = place.turn.mT
    return Place(back, -(back @ place.origin[..., None])[..., 0])


def recanonical(features: Tensor, *, rest: Tensor) -> Tensor:
    """Features of a window `(..., T, 276)` in the frame of its own first pose; heights are kept."""
    return seen_from(features, place_of(features), rest=rest)


def seen_from(features: Tensor, place: Place, *, rest: Tensor) -> Tensor:
    """Features `(..., T, 276)` of the same motion in a frame that lies at `place`.

    The same as encoding its poses anew, but no successor of the last frame is needed.
    """
    turn, origin = place.turn[..., None, :, :], place.origin[..., None, :]
    joints = features[..., POSITIONS].unflatten(-1, (JOINTS, 3))
    pelvis = rest[0].to(features)

    def turned(vectors: Tensor) -> Tensor:
        return (vectors.unflatten(-1, (-1, 3)) @ turn).flatten(-2)

    change = turn.mT @ rowwise_matrix(features[..., TURN]) @ turn
    parts = {
        "pose": features[..., POSE],
        "positions": turned((joints - origin[..., None, :]).flatten(-2)),
        "velocities": turned(features[..., VELOCITIES]),
        "orient": (turn.mT @ features[..., ORIENT].unflatten(-1, (3, 2))).flatten(-2),
        "change": rowwise_sixd(change),
        "transl": turned(features[..., TRANSL] + pelvis - origin) - pelvis,
        "step": turned(features[..., STEP]),
    }
    return torch.cat(tuple(parts.values()), -1)


def mirrored(features: Tensor) -> Tensor:
    """Features `(..., T, 276)` of the motion in a mirror: left and right swap, x turns to -x.

    Exact for a body that is symmetric at rest.
    """
    vector = features.new_tensor((-1.0, 1.0, 1.0))
    # Of M R M the entries change sign by row and by column.
    sixd = features.new_tensor((1.0, -1.0, -1.0, 1.0, -1.0, 1.0))
    joints = list(MIRROR_JOINTS[:JOINTS])
    below = [joint - 1 for joint in joints[1:]]

    def swapped(part: slice, order: list[int], sign: Tensor) -> Tensor:
        values = features[..., part].unflatten(-1, (-1, len(sign)))
        return (values[..., order, :] * sign).flatten(-2)

    return torch.cat(
        (
            swapped(POSE, below, sixd), swapped(POSITIONS, joints, vector),
            swapped(VELOCITIES, joints, vector), swapped(ORIENT, [0], sixd),
            swapped(TURN, [0], sixd), swapped(TRANSL, [0], vector), swapped(STEP, [0], vector),
        ), -1,
    )  # fmt: skip


def features_of(motion: Motion, body: BodyModel, *, floor: Floor = "world") -> Tensor:
    """Features `(T, 276)` of a motion of any rate on `body`, in its canonical frame.

    Another shape becomes the mean shape, its pelvis path scaled by the lengths of the legs. Raises
    UsageError for a motion on another body, or of less than two frames at 20 fps.
    """
    if motion.body_id and motion.body_id != body.body_id:
        raise UsageError(
            f"the motion is on body {motion.body_id}, features are of {body.body_id}; "
            "put it onto that body first"
        )
    even = motion.resample(FPS)
    scale = body.leg_length() / body.leg_length(motion.betas)
    rest = body.rest_joints()
    pelvis = even.transl + body.rest_joints(motion.betas, even.expression)[..., 0, :]
    rotations, transl, _ = canonical(
        even.rotations[:, :JOINTS], scale * pelvis - rest[0], rest=rest, floor=floor
    )
    return encode(rotations, transl, rest=rest)


def motion_of(features: Tensor, body: BodyModel, *, decoding: Decoding = "absolute") -> Motion:
    """The motion at 20 fps of features `(T, 276)`, on `body` without shape, hands at rest."""
    rotations, transl = decode(features, decoding=decoding)
    return Motion.create(
        matrix_to_rotvec(rotations), transl, fps=FPS, body_id=body.body_id, body_sha256=body.sha256
    )
