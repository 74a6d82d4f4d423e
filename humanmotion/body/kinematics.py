"""Forward kinematics: where the joints are, and how they are turned. No mesh is touched."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from humanmotion.body.skeleton import JOINTS, level_indices, parent_indices

BLOCK, DEVICE_BLOCK = 512, 2**17
"""Bodies posed at once, on a CPU, whose caches they fit, and elsewhere: what is needed on the way is
five times what comes out."""


def forward_kinematics(rotations: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Joint positions `(..., 55, 3)` and world rotations `(..., 55, 3, 3)`.

    `rotations` `(..., 55, 3, 3)` are local, the root's in the world; `rest` `(..., 55, 3)` are the
    rest joints in metres. Leading shapes broadcast. The root stays at its rest place.
    """
    lead, blocks = _blocks(rotations, rest)
    parts = [_posed(*block) for block in blocks]
    positions, world = parts[0] if len(parts) == 1 else map(torch.cat, zip(*parts, strict=True))
    return positions.reshape(*lead, JOINTS, 3), world.reshape(*lead, JOINTS, 3, 3)


def joint_positions(rotations: Tensor, rest: Tensor) -> Tensor:
    """Those positions alone: no block's rotations are held beside the next one's.

    Of the first J joints of the tree, if `rotations` `(..., J, 3, 3)` and `rest` `(..., J, 3)` are.
    """
    lead, blocks = _blocks(rotations, rest)
    if len(blocks) == 1:
        return _posed(*blocks[0])[0].reshape(*lead, rest.shape[-2], 3)
    parts = [_posed(*block)[0].contiguous() for block in blocks]
    return torch.cat(parts).reshape(*lead, rest.shape[-2], 3)


def _blocks(rotations: Tensor, rest: Tensor) -> tuple[torch.Size, list[tuple[Tensor, Tensor]]]:
    """The leading shape, and rotations and offsets from the parents by blocks, at least one."""
    lead = torch.broadcast_shapes(rotations.shape[:-3], rest.shape[:-2])
    joints = rest.shape[-2]
    rotations = rotations.expand(*lead, joints, 3, 3).reshape(math.prod(lead), joints, 3, 3)
    offsets = _offsets(rest).expand(*lead, joints, 3).reshape(math.prod(lead), joints, 3)
    size = BLOCK if rotations.device.type == "cpu" else DEVICE_BLOCK
    blocks = zip(rotations.split(size), offsets.split(size), strict=True)
    return lead, list(blocks) or [(rotations, offsets)]


def _posed(rotations: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Positions `(B, 55, 3)` and world rotations `(B, 55, 3, 3)` of bodies in one block."""
    # Batch last: every product below then runs over contiguous numbers, four times the speed of
    # multiplying many small matrices.
    local = torch.cat((rotations, offsets[..., None]), -1).permute(2, 3, 1, 0).contiguous()
    world = _walk(local)
    return world[:, 3].permute(2, 1, 0), world[:, :3].permute(3, 2, 0, 1)


def _offsets(rest: Tensor) -> Tensor:
    parents = parent_indices(rest.device)[: rest.shape[-2]]
    moved = rest - rest[..., parents, :]
    return torch.cat((rest[..., :1, :], moved[..., 1:, :]), -2)


def _walk(local: Tensor) -> Tensor:
    """Local `(3, 4, J, B)` transforms to world ones, a level of the tree at a time."""
    steps, order = level_indices(local.device, local.shape[2])
    carry = local.new_tensor((0.0, 0.0, 0.0, 1.0))[None, :, None, None]
    current = local[:, :, :1]
    done = [current]
    for joints, above in steps:
        parent, child = current[:, :, above], local[:, :, joints]
        current = parent[:, 3:] * carry
        for axis in range(3):
            current = current.addcmul(parent[:, axis : axis + 1], child[axis : axis + 1])
        done.append(current)
    return torch.cat(done, 2)[:, :, order]


def skinning_transforms(positions: Tensor, world: Tensor, rest: Tensor) -> Tensor:
    """`(..., 55, 3, 4)`: what carries a point of the rest pose along with each joint."""
    shift = positions - (world @ rest[..., None])[..., 0]
    return torch.cat((world, shift[..., None]), -1)
