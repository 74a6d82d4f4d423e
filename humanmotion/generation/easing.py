"""Corrections that are known at some frames and ease in between: no step in speed or acceleration."""

from __future__ import annotations

import torch
from torch import Tensor


def frames_at(times: Tensor, fps: float) -> Tensor:
    """The nearest frames of `times` `(...)` in seconds."""
    return (times.double() * fps).round().long()


def eased(at: Tensor, values: Tensor, frames: int) -> Tensor:
    """`values` `(K, ...)` at frames `at` `(K)`, rising, eased between them: `(frames, ...)`.

    Speed and acceleration are zero at each of them; before the first and behind the last it is held.
    """
    now = torch.arange(frames)
    high = torch.searchsorted(at, now).clamp(max=len(at) - 1)
    low = (high - 1).clamp(min=0)
    # Where a frame is one of them, or beyond the last, it is `high` itself.
    span = (at[high] - at[low]).clamp(min=1)
    share = ((now - at[low]) / span).clamp(0, 1).to(values.dtype)
    smooth = share**3 * (10 + share * (6 * share - 15))
    smooth = torch.where(now <= at[0], torch.ones_like(smooth), smooth)
    smooth = smooth.reshape(-1, *[1] * (values.ndim - 1))
    return values[low] + smooth * (values[high] - values[low])


def swelling(at: Tensor, values: Tensor, frames: int, *, ramp: int, zero: Tensor) -> Tensor:
    """`values` `(K, ...)` at frames `at` `(K)`, rising, that swell up and die away: `(frames, ...)`.

    `ramp` frames from all of `at` nothing is left, and nothing at frames `zero` `(N)`. Before the first
    and behind the last it is held where a motion begins or ends within the ramp.
    """
    known = set(at.tolist())
    ends = {f + s for f in known for s in (-ramp, ramp)} | set(zero.tolist())
    nothing = {
        f for f in ends - known
        if 0 <= f < frames and (f in zero or all(abs(f - other) >= ramp for other in known))
    }  # fmt: skip
    where = torch.tensor(sorted(known | nothing))
    filled = values.new_zeros(len(where), *values.shape[1:])
    filled[torch.isin(where, at)] = values
    return eased(where, filled, frames)
