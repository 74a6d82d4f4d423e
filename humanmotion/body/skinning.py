"""Linear blend skinning with shape, expression and pose correctives.

SMPL (Loper et al. 2015), equations 2-9. Points are kept as `(3, N)` rows, so that every product
runs over contiguous vertices, and batches are cut into chunks that stay in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CACHE_NUMBERS = 1 << 20
"""Blended transforms held at once on a CPU (4 MiB of float32); four times more takes twice as long."""
DEVICE_NUMBERS = 1 << 28
"""The same on an accelerator, where only memory counts."""


@dataclass(frozen=True)
class Mesh:
    """What shapes and carries `V` vertices; `P` is the number of pose-corrective features."""

    template: Tensor
    """`(3 * V)`: all x, all y, all z, metres."""
    blendshapes: Tensor
    """`(20, 3 * V)`: ten shape rows, ten expression rows."""
    weights: Tensor
    """`(55, V)`."""
    correctives: Tensor | None
    """`(P, 3 * V)`; None when they are all zero."""
    corrective_joints: Tensor
    """Joint of each group of nine corrective features, int64 `(P / 9)`."""


def skin_points(points: Tensor, weights: Tensor, transforms: Tensor) -> Tensor:
    """Carry points `(B or 1, 3, N)` by `transforms` `(B, 55, 3, 4)`: `(B, 3, N)`.

    `weights` is `(55, N)`.
    """
    batch, joints, count = len(transforms), len(weights), weights.shape[1]
    rows = transforms.permute(0, 2, 3, 1).reshape(batch * 12, joints)
    blended = (rows @ weights).reshape(batch, 3, 4, count)
    moved = blended[:, :, 3]
    for axis in range(3):
        moved = moved.addcmul(blended[:, :, axis], points[:, axis : axis + 1])
    return moved


def pose_mesh(
    mesh: Mesh, coefficients: Tensor, *, rotations: Tensor, transforms: Tensor, transl: Tensor
) -> Tensor:
    """Vertices `(B, V, 3)` in metres.

    `coefficients` `(B or 1, 20)`: shape, expression; local `rotations` `(B, 55, 3, 3)`;
    `transforms` `(B, 55, 3, 4)` from `skinning_transforms`; `transl` `(B or 1, 3)`.
    """
    vertices = mesh.weights.shape[1]
    on_cpu = transforms.device.type == "cpu"
    chunk = max(1, (CACHE_NUMBERS if on_cpu else DEVICE_NUMBERS) // (12 * vertices))
    parts = []
    # At least one chunk, so that an empty batch keeps its shape.
    for start in range(0, max(len(transforms), 1), chunk):
        cut = slice(start, start + chunk)
        shaped = torch.addmm(mesh.template, _rows(coefficients, cut), mesh.blendshapes)
        if mesh.correctives is not None:
            features = corrective_features(rotations[cut], mesh.corrective_joints)
            shaped = shaped + features @ mesh.correctives
        points = shaped.reshape(len(shaped), 3, vertices)
        moved = skin_points(points, mesh.weights, transforms[cut])
        parts.append((moved + _rows(transl, cut)[..., None]).transpose(1, 2))
    return torch.cat(parts)


def corrective_features(rotations: Tensor, joints: Tensor) -> Tensor:
    """`(B, 9 * K)` entries of `R - 1` of the given joints, what pose correctives multiply."""
    eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[:, joints] - eye).reshape(len(rotations), 9 * len(joints))


def _rows(value: Tensor, cut: slice) -> Tensor:
    return value if len(value) == 1 else value[cut]
