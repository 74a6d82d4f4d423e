"""Linear blend skinning with shape, expression and pose correctives.

SMPL (Loper et al. 2015), equations 2-9. The mesh is cut into blocks of neighbouring vertices: a
block is led by some 15 of the 55 joints, so blending transforms costs a quarter, and what it makes
stays in the processor's cache. Points are kept as `(3, N)` rows, so that every product runs over
contiguous vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK_VERTICES = 2048
"""Smaller blocks make more calls, larger ones are led by more joints: 4096 takes a fifth longer."""
CACHE_NUMBERS = 1 << 22
"""Blended transforms held at once on a CPU (16 MiB of float32). Smaller chunks gain nothing, and
each call waits for every thread, which on a busy machine is what takes the time."""
DEVICE_NUMBERS = 1 << 28
"""The same on an accelerator, where only memory counts."""


@dataclass(frozen=True)
class Block:
    """What shapes and carries `N` neighbouring vertices, led by `K` joints."""

    template: Tensor
    """`(3 * N)`: all x, all y, all z, metres."""
    blendshapes: Tensor
    """`(20, 3 * N)`: ten shape rows, ten expression rows."""
    joints: Tensor
    """The K joints, int64 `(K)`."""
    weights: Tensor
    """`(K, N)`."""
    correctives: Tensor | None
    """`(P, 3 * N)` for the P features of `corrective_features`; None when they are all zero."""


def cut_blocks(
    template: Tensor, blendshapes: Tensor, *, weights: Tensor, correctives: Tensor | None
) -> tuple[Block, ...]:
    """Blocks of a mesh: `(V, 3)`, `(V, 3, 20)`, `(V, 55)` and `(P, 3, V)` or None."""
    blocks = []
    for start in range(0, len(template), BLOCK_VERTICES):
        cut = slice(start, start + BLOCK_VERTICES)
        joints = (weights[cut] != 0).any(0).nonzero()[:, 0]
        rows = None if correctives is None else correctives[:, :, cut]
        blocks.append(
            Block(
                template=template[cut].T.reshape(-1),
                blendshapes=blendshapes[cut].permute(2, 1, 0).reshape(blendshapes.shape[2], -1),
                joints=joints,
                weights=weights[cut][:, joints].T.contiguous(),
                correctives=None if rows is None else rows.reshape(len(rows), -1),
            )
        )
    return tuple(blocks)


def skin_points(points: Tensor, weights: Tensor, transforms: Tensor) -> Tensor:
    """Carry points `(B or 1, 3, N)` by `transforms` `(B, K, 3, 4)`: `(B, 3, N)`.

    `weights` is `(K, N)`.
    """
    batch, (joints, count) = len(transforms), weights.shape
    rows = transforms.permute(0, 2, 3, 1).reshape(batch * 12, joints)
    blended = (rows @ weights).reshape(batch, 3, 4, count)
    moved = blended[:, :, 3]
    for axis in range(3):
        moved = moved.addcmul(blended[:, :, axis], points[:, axis : axis + 1])
    return moved


def pose_blocks(
    blocks: tuple[Block, ...],
    coefficients: Tensor,
    *,
    features: Tensor | None,
    transforms: Tensor,
    transl: Tensor,
) -> Tensor:
    """Vertices `(B, V, 3)` in metres.

    `coefficients` `(B or 1, 20)`: shape, expression; `features` `(B, P)` from
    `corrective_features`, None without correctives; `transforms` `(B, 55, 3, 4)` from
    `skinning_transforms`; `transl` `(B or 1, 3)`.
    """
    limit = CACHE_NUMBERS if transforms.device.type == "cpu" else DEVICE_NUMBERS
    chunk = max(1, limit // (12 * BLOCK_VERTICES))
    parts = []
    # At least one chunk, so that an empty batch keeps its shape.
    for start in range(0, max(len(transforms), 1), chunk):
        cut = slice(start, start + chunk)
        some = None if features is None else features[cut]
        shape, carry = _rows(coefficients, cut), transforms[cut]
        moved = [_pose_block(block, shape, features=some, transforms=carry) for block in blocks]
        parts.append(torch.cat([block.mT for block in moved], 1))
    vertices = parts[0] if len(parts) == 1 else torch.cat(parts)
    return vertices + transl[:, None]


def _pose_block(
    block: Block, coefficients: Tensor, *, features: Tensor | None, transforms: Tensor
) -> Tensor:
    shaped = torch.addmm(block.template, coefficients, block.blendshapes)
    if block.correctives is not None and features is not None:
        shaped = shaped + features @ block.correctives
    points = shaped.reshape(len(shaped), 3, block.weights.shape[1])
    return skin_points(points, block.weights, transforms[:, block.joints])


def corrective_features(rotations: Tensor, joints: Tensor) -> Tensor:
    """`(B, 9 * K)` entries of `R - 1` of the given joints, what pose correctives multiply."""
    eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[:, joints] - eye).reshape(len(rotations), 9 * len(joints))


def _rows(value: Tensor, cut: slice) -> Tensor:
    return value if len(value) == 1 else value[cut]
