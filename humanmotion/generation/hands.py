"""Fingers and jaw as 186 numbers a frame, both ways: 30 finger joints, left before right, then the jaw.

They extend the 276 numbers of the body (features.py) and never change them. Rotations are local and
written as there, their first two columns row by row.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.generation.features import rowwise_matrix, rowwise_sixd
from humanmotion.motion import MIRROR_JOINTS, Motion
from humanmotion.rotations import matrix_to_rotvec

FINGERS = 15
"""Joints of a hand."""
HAND_JOINTS = (*range(25, 55), 22)
"""Which of the 55 joints these numbers turn, in their order."""
HANDS_SIZE = 6 * len(HAND_JOINTS)
PARTS = {"left hand": slice(0, 90), "right hand": slice(90, 180), "jaw": slice(180, 186)}
"""What a source carries or not, and its numbers."""
_MIRRORED = [HAND_JOINTS.index(MIRROR_JOINTS[joint]) for joint in HAND_JOINTS]
_SIDES = [1, 0, 2]


def hands_of(motion: Motion) -> Tensor:
    """`(T, 186)` of a motion; what its source does not carry is at rest there."""
    return rowwise_sixd(motion.rotations[:, list(HAND_JOINTS)]).flatten(-2)


def hand_rotations(hands: Tensor) -> Tensor:
    """Local rotations `(..., 31, 3, 3)` of numbers `(..., 186)`, in the order of HAND_JOINTS."""
    return rowwise_matrix(hands.unflatten(-1, (-1, 6)))


def with_hands(motion: Motion, hands: Tensor) -> Motion:
    """A motion of `T` frames with the fingers and the jaw of numbers `(T, 186)`.

    Nothing else changes, not by a bit. Raises UsageError for another number of frames.
    """
    if hands.shape != (len(motion), HANDS_SIZE):
        raise UsageError(
            f"hands have shape {tuple(hands.shape)}, expected ({len(motion)}, {HANDS_SIZE})"
        )
    turns = matrix_to_rotvec(hand_rotations(hands)).to(motion.transl).flatten(-2)
    left, right, jaw = turns.split([3 * FINGERS, 3 * FINGERS, 3], -1)
    made = torch.zeros_like(motion.joints_present)
    made[list(HAND_JOINTS)] = True
    return replace(
        motion, left_hand_pose=left, right_hand_pose=right, jaw_pose=jaw,
        joints_present=motion.joints_present | made,
        confidence=torch.where(made, 1.0, motion.confidence),
    )  # fmt: skip


def mirrored_hands(hands: Tensor) -> Tensor:
    """Numbers `(..., 186)` of the hands and the jaw in a mirror: left and right swap."""
    # Of M R M the entries change sign by row and by column.
    sign = hands.new_tensor((1.0, -1.0, -1.0, 1.0, -1.0, 1.0))
    return (hands.unflatten(-1, (-1, 6))[..., _MIRRORED, :] * sign).flatten(-2)


def mirrored_parts(known: Tensor) -> Tensor:
    """Which parts `(..., 3)` are known in a mirror."""
    return known[..., _SIDES]


def numbers_of_parts(known: Tensor) -> Tensor:
    """Which of the 186 numbers `(..., 186)` are known where parts `(..., 3)` are."""
    counts = torch.tensor([part.stop - part.start for part in PARTS.values()], device=known.device)
    return known.repeat_interleave(counts, -1)
