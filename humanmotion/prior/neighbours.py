"""A term that ties the poses of neighbouring frames, and the normal equations that it joins.

As in the published denoising of motion (DPoser, its temporal term): the mean length of the joints'
steps from frame to frame. A window's normal equations are block-tridiagonal and solved exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_STEP = 0.002
"""Metres: below it a step's length counts as its square does, which has a slope at zero."""


@dataclass(frozen=True)
class Neighbours:
    """Windows of frames whose points move little from one frame to the next."""

    frames: int
    """Of a window; poses are windows one after the other."""
    step: float
    """Metres that a point moves in a frame: the scale of its length's exponential distribution."""

    def joined(self, normal: Tensor, pull: Tensor, *, points: Tensor, slope: Tensor) -> Tensor:
        """The step `(N, P)` that solves normal equations `(N, P, P)`, `(N, P)` with this term.

        `points` `(N, L, 3)` metres and their `slope` `(N, L, 3, P)`.
        """
        lead = (-1, self.frames)
        away = points.unflatten(0, lead).diff(dim=1)  # (C, T - 1, L, 3)
        length = away.norm(dim=-1, keepdim=True).clamp(min=LEAST_STEP)
        root = (1 / (self.step * length)).sqrt()
        rows = slope.unflatten(0, lead)
        before = (root[..., None] * rows[:, :-1]).flatten(2, 3)  # (C, T - 1, 3 L, P)
        after = (root[..., None] * rows[:, 1:]).flatten(2, 3)
        off = (root * away).flatten(2)[..., None]
        diagonal, right = normal.unflatten(0, lead).clone(), pull.unflatten(0, lead).clone()
        diagonal[:, :-1] += before.mT @ before
        diagonal[:, 1:] += after.mT @ after
        right[:, :-1] += (before.mT @ off)[..., 0]
        right[:, 1:] -= (after.mT @ off)[..., 0]
        return solve_tridiagonal(diagonal, -before.mT @ after, right).flatten(0, 1)


def solve_tridiagonal(diagonal: Tensor, above: Tensor, right: Tensor) -> Tensor:
    """`x` `(C, T, P)` of symmetric positive block-tridiagonal systems.

    `diagonal` `(C, T, P, P)`, the blocks `above` it `(C, T - 1, P, P)`, `right` `(C, T, P)`.
    """
    frames = diagonal.shape[1]
    factors: list[Tensor] = []
    carried: list[Tensor] = []
    block, value = diagonal[:, 0], right[:, 0, :, None]
    for t in range(frames):
        if t:
            half = torch.linalg.solve_triangular(factors[-1], above[:, t - 1], upper=False)
            block = diagonal[:, t] - half.mT @ half
            value = right[:, t, :, None] - half.mT @ carried[-1]
        factors.append(torch.linalg.cholesky(block))
        carried.append(torch.linalg.solve_triangular(factors[-1], value, upper=False))
    found = [torch.linalg.solve_triangular(factors[-1].mT, carried[-1], upper=True)]
    for t in range(frames - 2, -1, -1):
        half = torch.linalg.solve_triangular(factors[t], above[:, t] @ found[0], upper=False)
        rest = carried[t] - half
        found.insert(0, torch.linalg.solve_triangular(factors[t].mT, rest, upper=True))
    return torch.stack(found, 1)[..., 0]
