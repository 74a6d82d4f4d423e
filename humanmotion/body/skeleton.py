"""The SMPL-X tree of 55 joints, level by level.

All joints at one depth are computed at once, so a forward pass takes 10 steps, not 54.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

from humanmotion.joint_sets import SMPLX_JOINTS, SMPLX_PARENTS

JOINTS = len(SMPLX_JOINTS)
PELVIS, HEAD = SMPLX_JOINTS.index("pelvis"), SMPLX_JOINTS.index("head")
FEET = (SMPLX_JOINTS.index("left_foot"), SMPLX_JOINTS.index("right_foot"))
ANKLES = (SMPLX_JOINTS.index("left_ankle"), SMPLX_JOINTS.index("right_ankle"))
KNEES = (SMPLX_JOINTS.index("left_knee"), SMPLX_JOINTS.index("right_knee"))
HIPS = (SMPLX_JOINTS.index("left_hip"), SMPLX_JOINTS.index("right_hip"))


def _depths() -> list[int]:
    depths = [0] * JOINTS
    for joint, parent in enumerate(SMPLX_PARENTS):
        depths[joint] = depths[parent] + 1 if parent >= 0 else 0
    return depths


def _levels() -> tuple[tuple[int, ...], ...]:
    depths = _depths()
    return tuple(
        tuple(joint for joint in range(JOINTS) if depths[joint] == depth)
        for depth in range(max(depths) + 1)
    )


LEVELS: tuple[tuple[int, ...], ...] = _levels()
"""Joints at each depth of the tree, root first."""


@cache
def level_indices(
    device: torch.device, joints: int = JOINTS
) -> tuple[tuple[tuple[Tensor, Tensor], ...], Tensor]:
    """Index tensors of the walk over the levels of the first `joints` joints, kept per device.

    Returns, for each level below the root, the joints on it and the places of their parents
    within the level above; and the permutation from level order back to joint order.
    """
    # Parents come before their children, so any first joints are a tree of their own.
    levels = [level for full in LEVELS if (level := [j for j in full if j < joints])]
    steps = [
        (
            torch.tensor(level, device=device),
            torch.tensor([above.index(SMPLX_PARENTS[j]) for j in level], device=device),
        )
        for above, level in pairwise(levels)
    ]
    flat = torch.tensor([joint for level in levels for joint in level], device=device)
    return tuple(steps), flat.argsort()


@cache
def parent_indices(device: torch.device) -> Tensor:
    """Parent of each joint `(55)`, the root its own, for gathering."""
    return torch.tensor([max(parent, 0) for parent in SMPLX_PARENTS], device=device)
