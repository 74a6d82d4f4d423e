"""Euler angles of BVH: from matrices without jumps, and back for any order of axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Angles = NDArray[np.float64]
_POLE = 1e-5
"""Nearer to the pole than this (radians), only a sum of two angles is known."""


def continuous_yzx(rotations: Tensor, *, before: Tensor | None = None) -> Tensor:
    """Angles `(T, ..., 3)` y, z, x in radians: `Ry(y) Rz(z) Rx(x)` = `rotations` `(T, ..., 3, 3)`.

    Of the six orders this one meets its pole least: knees and elbows bend about its outer axes, the
    whole body turns about its first; only shoulders come near.

    Of the two triples of angles that mean a rotation, and all their full turns, each frame takes
    the one whose largest step from the frame before is smallest; at the pole (z = +-90 degrees),
    where only y +- x is known, both share the change. The first frame starts from the angles
    `before` `(..., 3)` of the frame ahead of it, or from zero. Steps larger than the movement's own
    come only from passing near the pole, and stay below 90 degrees plus the movement.
    """
    shape = rotations.shape[:-2]
    matrix = rotations.detach().cpu().double().reshape(shape[0], -1, 3, 3).numpy()
    first = _first_triple(matrix)
    second = first * (1.0, -1.0, 1.0) + math.pi
    sums = np.arctan2(matrix[..., 0, 2], matrix[..., 2, 2])
    at_pole = np.hypot(matrix[..., 0, 0], matrix[..., 2, 0]) < _POLE
    out = np.zeros_like(first)
    last = np.zeros(first.shape[1:]) if before is None else before.reshape(-1, 3).numpy()
    for frame in range(len(out)):
        out[frame] = _nearest(first[frame], second[frame], last)
        pole = at_pole[frame]
        if pole.any():
            out[frame, pole] = _at_pole(last[pole], out[frame, pole, 1], sums[frame, pole])
        last = out[frame]
    return torch.from_numpy(out).reshape(*shape, 3)


def matrix_from_angles(angles: Tensor, axes: str) -> Tensor:
    """`(..., n)` radians about `axes` (n letters of "xyz") to their product `(..., 3, 3)`."""
    matrix = torch.eye(3, dtype=angles.dtype).expand(*angles.shape[:-1], 3, 3)
    for place, axis in enumerate(axes):
        matrix = matrix @ _about(angles[..., place], "xyz".index(axis))
    return matrix


def _first_triple(matrix: NDArray[Any]) -> Angles:
    """The triple with |z| <= 90 degrees; the other one is (y + pi, pi - z, x + pi)."""
    y = np.arctan2(-matrix[..., 2, 0], matrix[..., 0, 0])
    z = np.arctan2(matrix[..., 1, 0], np.hypot(matrix[..., 0, 0], matrix[..., 2, 0]))
    x = np.arctan2(-matrix[..., 1, 2], matrix[..., 1, 1])
    return np.stack((y, z, x), -1)


def _nearest(first: Angles, second: Angles, previous: Angles) -> Angles:
    """Of two triples `(J, 3)` the one nearer to `previous`, unwrapped onto it."""
    steps = np.stack((first, second)) - previous
    steps -= 2 * math.pi * np.round(steps / (2 * math.pi))
    better = np.abs(steps).max(-1).argmin(0)
    nearest: Angles = previous + steps[better, np.arange(len(previous))]
    return nearest


def _at_pole(before: Angles, middle: Angles, total: Angles) -> Angles:
    """Angles `(n, 3)` at the pole: y + s x = total with s = sin z, nearest to `before`."""
    sign = np.sign(np.sin(middle))
    gap = total - (before[:, 0] + sign * before[:, 2])
    gap -= 2 * math.pi * np.round(gap / (2 * math.pi))
    step = middle - before[:, 1]
    step -= 2 * math.pi * np.round(step / (2 * math.pi))
    steps = np.stack((gap / 2, step, sign * gap / 2), -1)
    return before + steps


def _about(angle: Tensor, axis: int) -> Tensor:
    """`(...)` radians about coordinate axis 0, 1 or 2 to `(..., 3, 3)`."""
    c, s, o, i = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    flat = (
        (i, o, o, o, c, -s, o, s, c),
        (c, o, s, o, i, o, -s, o, c),
        (c, -s, o, s, c, o, o, o, i),
    )[axis]
    return torch.stack(flat, -1).reshape(*angle.shape, 3, 3)
