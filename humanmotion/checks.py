"""Checks that the value types run on themselves when they are built."""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.errors import MotionError

BLOCK = 512
"""Rows that are looked at together: to ask a whole array at once takes as much memory again."""
MAX_SECONDS = 1e10
"""Three centuries: clocks that count from 1970 fit, and steps stay exact to microseconds."""


def check_tensor(name: str, value: Tensor, shape: tuple[int, ...]) -> None:
    """Raise MotionError naming the field, and the first bad frame, unless shape and numbers fit."""
    if not isinstance(value, Tensor):
        raise MotionError(f"{name} must be a torch tensor, not {type(value).__name__}")
    if tuple(value.shape) != shape:
        raise MotionError(f"{name} has shape {tuple(value.shape)}, expected {shape}")
    if value.is_floating_point() and not _is_finite(value):
        bad = (~torch.isfinite(value)).reshape(len(value), -1).any(-1) if value.ndim else None
        where = f" at frame {int(bad.nonzero()[0])}" if bad is not None else ""
        raise MotionError(f"{name} is not finite{where}")


def _is_finite(value: Tensor) -> bool:
    parts = value.split(BLOCK) if value.ndim else (value,)
    return all(bool(torch.isfinite(part).all()) for part in parts)


def check_times(times: Tensor, frames: int) -> None:
    """Raise MotionError unless `times` `(T,)` in seconds is finite and strictly rising."""
    check_tensor("times", times, (frames,))
    steps = times[1:] - times[:-1]
    if frames > 1 and not (steps > 0).all():
        raise MotionError(
            f"times must rise; they do not at frame {int((steps <= 0).nonzero()[0]) + 1}"
        )
    far = times.abs() > MAX_SECONDS
    if far.any():
        raise MotionError(
            f"times reach {float(times.abs().max()):.3g} s at frame {int(far.nonzero()[0])}; "
            f"at most {MAX_SECONDS:g} s are accepted"
        )


def check_within(name: str, value: Tensor, limit: float) -> None:
    """Raise MotionError naming the field and the first frame that leaves [-limit, limit]."""
    beyond = value.detach().abs() > limit
    if beyond.any():
        rows = beyond.reshape(len(value), -1).any(-1)
        where = f" at frame {int(rows.nonzero()[0])}" if value.ndim > 1 else ""
        raise MotionError(
            f"{name} reaches {float(value.detach().abs().max()):.3g}{where}; "
            f"at most {limit:g} is accepted"
        )
