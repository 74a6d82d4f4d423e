"""What of a training window is given: all but a gap, its beginning, a few frames, or its path."""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.generation.features import POSITIONS, STEP, TRANSL, TURN, VELOCITIES
from humanmotion.generation.streaming import KEPT

GAP = (8, 60)
"""Frames at 20 fps of a gap."""
MOST_KEYS = 4
WAYPOINTS = 20
"""Frames between places on the floor."""
SHARES = (0.4, 0.3, 0.2, 0.1)
"""Of gaps, beginnings, keys and paths."""
_PATH = 3
_CHANGES = [c for part in (VELOCITIES, TURN, STEP) for c in range(part.start, part.stop)]
_FLOOR = [TRANSL.start, TRANSL.start + 1, POSITIONS.start, POSITIONS.start + 1]


def drawn_kept(asked: Tensor, *, share: float, generator: torch.Generator) -> Tensor:
    """Which of the numbers `asked` `(B, T, 276)` are given `(B, T, 276)` bool, in a `share` of samples.

    Changes to the next frame are given where both frames are. Some frame is always left open.
    """
    at, count = generator.device, len(asked)
    u = torch.rand(4, count, generator=generator, device=at)
    steps = torch.arange(asked.shape[1], device=at)
    frames = asked.any(-1).sum(-1)[:, None]
    lengths = (
        torch.minimum(GAP[0] + u[0][:, None] * (GAP[1] - GAP[0]), frames - 2).clamp(min=1).round()
    )
    first = (u[1][:, None] * (frames - lengths)).floor()
    order = torch.rand(asked.shape[:2], generator=generator, device=at)
    order = torch.where(steps < frames, order, 2.0).argsort(-1).argsort(-1)
    kinds = (
        (steps < first) | (steps >= first + lengths),
        (steps < KEPT).expand_as(order),
        order < 1 + (u[1][:, None] * MOST_KEYS).floor(),
        (steps % WAYPOINTS == 0).expand_as(order),
    )
    bounds = torch.tensor(SHARES, device=at).cumsum(0)
    kind = torch.bucketize(u[2], bounds[:-1])
    known = torch.stack(kinds)[kind, torch.arange(count, device=at)]
    # A window that is known from end to end teaches nothing.
    known = known & (u[3] < share)[:, None] & ~(known | (steps >= frames)).all(-1, keepdim=True)
    given = known[..., None].expand(asked.shape).clone()
    given[:, :-1, _CHANGES] &= known[:, 1:, None]
    given[:, -1, _CHANGES] = False
    path = (kind == _PATH)[:, None, None]
    floor = torch.zeros(asked.shape[-1], dtype=torch.bool, device=at)
    floor[_FLOOR] = True
    return given & asked & (~path | floor)
