"""Rotations as matrices, rotation vectors and 6D, over any batch shape.

roma does the log, the exponential and SLERP; what is here is what motion code needs on top.
Every function takes `(..., n)` and keeps the leading shape, dtype and device.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import roma
import torch
from torch import Tensor

BLOCK = 4096
"""Of a long row of rotations so many frames are converted at once."""
Y_UP_TO_Z_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
"""Rows of the rotation that takes y-up coordinates (glTF, BVH) to our z-up world."""


def rotvec_to_matrix(rotvec: Tensor) -> Tensor:
    """`(..., 3)` rotation vectors in radians to `(..., 3, 3)` matrices; smooth at zero."""
    return _in_blocks(roma.rotvec_to_rotmat, rotvec)


def matrix_to_rotvec(matrix: Tensor) -> Tensor:
    """`(..., 3, 3)` to `(..., 3)` rotation vectors with an angle in [0, pi]."""
    return _in_blocks(roma.rotmat_to_rotvec, matrix)


def _in_blocks(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """`function` of `(T, ...)`, of a long `T` in parts: on the way it needs many times the result."""
    if values.ndim < 2 or len(values) <= BLOCK:
        return function(values)
    return torch.cat([function(part) for part in values.split(BLOCK)])


def matrix_to_sixd(matrix: Tensor) -> Tensor:
    """`(..., 3, 3)` to `(..., 6)`: the first two columns, one after the other.

    Zhou et al. 2019, "On the Continuity of Rotation Representations", section 4.2.
    """
    return matrix[..., :2].transpose(-1, -2).reshape(*matrix.shape[:-2], 6)


def sixd_to_matrix(sixd: Tensor) -> Tensor:
    """`(..., 6)` (two columns) to the nearest-by-Gram-Schmidt `(..., 3, 3)` rotation."""
    first = torch.nn.functional.normalize(sixd[..., :3], dim=-1)
    second = sixd[..., 3:] - (first * sixd[..., 3:]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    third = torch.linalg.cross(first, second)
    return torch.stack((first, second, third), dim=-1)


def geodesic_distance(a: Tensor, b: Tensor) -> Tensor:
    """Angle in radians in [0, pi], `(...)`, between rotation matrices `(..., 3, 3)`."""
    turn = a.transpose(-1, -2) @ b
    # Sine and cosine together: either alone loses half its digits, and its gradient, at 0 or pi.
    axis = torch.stack(
        (
            turn[..., 2, 1] - turn[..., 1, 2],
            turn[..., 0, 2] - turn[..., 2, 0],
            turn[..., 1, 0] - turn[..., 0, 1],
        ),
        -1,
    )
    trace = turn.diagonal(dim1=-2, dim2=-1).sum(-1)
    return torch.atan2(axis.norm(dim=-1), trace - 1)


def rotation_about_z(angle: Tensor) -> Tensor:
    """`(...)` angles in radians to `(..., 3, 3)` rotations about the vertical axis."""
    c, s, o, i = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = (torch.stack((c, -s, o), -1), torch.stack((s, c, o), -1), torch.stack((o, o, i), -1))
    return torch.stack(rows, dim=-2)


def wrap_angle(angle: Tensor) -> Tensor:
    """`(...)` radians to the same direction in [-pi, pi)."""
    wrapped = (angle + math.pi) % (2 * math.pi) - math.pi
    # The remainder of a tiny negative number rounds up to the full turn itself.
    return torch.where(wrapped >= math.pi, wrapped - 2 * math.pi, wrapped)


def angular_velocity(matrix: Tensor, fps: float) -> Tensor:
    """World-frame angular velocity `(..., T-1, 3)` in rad/s of rotations `(..., T, 3, 3)`."""
    step = matrix[..., 1:, :, :] @ matrix[..., :-1, :, :].transpose(-1, -2)
    return matrix_to_rotvec(step) * fps


def resample_rotations(matrix: Tensor, times: Tensor, new_times: Tensor) -> Tensor:
    """SLERP `(T, ..., 3, 3)` rotations given at `times` `(T)` to `new_times` `(N)`.

    Times outside the given range take the nearest end. Returns `(N, ..., 3, 3)`.
    """
    low, share = interpolation_weights(times, new_times)
    a, b = matrix[low], matrix[(low + 1).clamp(max=len(times) - 1)]
    step = matrix_to_rotvec(a.transpose(-1, -2) @ b)
    share = share.to(matrix.dtype).reshape(-1, *[1] * (step.ndim - 1))
    return a @ rotvec_to_matrix(step * share)


def interpolation_weights(times: Tensor, new_times: Tensor) -> tuple[Tensor, Tensor]:
    """Left neighbour `(N)` and share of the right neighbour `(N)` in [0, 1] for each new time.

    `times` `(T)` must rise; with one sample every new time takes it.
    """
    if len(times) == 1:
        return torch.zeros_like(new_times, dtype=torch.long), torch.zeros_like(new_times)
    low = (torch.searchsorted(times, new_times, right=True) - 1).clamp(0, len(times) - 2)
    share = (new_times - times[low]) / (times[low + 1] - times[low])
    return low, share.clamp(0.0, 1.0)


def between_vectors(a: Tensor, b: Tensor) -> Tensor:
    """The smallest rotation `(..., 3, 3)` that turns direction `a` onto `b`, both `(..., 3)`.

    For opposite directions any half turn is right; one about an axis orthogonal to `a` is taken.
    """
    a, b = torch.nn.functional.normalize(a, dim=-1), torch.nn.functional.normalize(b, dim=-1)
    cosine = (a * b).sum(-1, keepdim=True)
    # The half vector as (part across a) + (part along a): a + b itself cancels near opposition.
    across = b - cosine * a
    across = across - (across * a).sum(-1, keepdim=True) * a
    square = across.square().sum(-1, keepdim=True)
    obtuse = cosine < 0
    away = 1 - torch.where(obtuse, cosine, torch.zeros_like(cosine))
    half = across + torch.where(obtuse, square / away, 1 + cosine) * a
    # Exactly opposite vectors leave no half vector: turn about whichever axis lies farthest from a.
    helper = torch.nn.functional.one_hot(a.abs().argmin(-1), 3).to(a.dtype)
    opposite = obtuse & (square < torch.finfo(a.dtype).tiny ** 0.5)
    half = torch.where(opposite, torch.linalg.cross(a, helper), half)
    half = torch.nn.functional.normalize(half, dim=-1, eps=torch.finfo(a.dtype).tiny)
    return _half_turn(half) @ _half_turn(a)


def _half_turn(axis: Tensor) -> Tensor:
    """Rotation by pi about unit `axis` `(..., 3)`; two of them make a turn by twice the angle."""
    eye = torch.eye(3, dtype=axis.dtype, device=axis.device)
    return 2 * axis[..., :, None] * axis[..., None, :] - eye
