"""How often joints are turned beyond what people's joints do."""

from __future__ import annotations

import torch
from torch import Tensor

from humanmotion.errors import UsageError

MARGIN = 0.1
"""Radians beyond a limit that are no violation yet: limits are quantiles of recorded motion."""


def joint_limit_rate(rotvec: Tensor, *, low: Tensor, high: Tensor) -> Tensor:
    """Share `(...)` of the joints of rotation vectors `(..., J, 3)` that are beyond their limits.

    A joint is where any of its three numbers is MARGIN radians below `low` or above `high`, both
    `(J, 3)`. Raises UsageError for shapes that do not fit.
    """
    if rotvec.shape[-2:] != low.shape or low.shape != high.shape or low.shape[-1] != 3:
        shapes = ", ".join(str(tuple(x.shape)) for x in (rotvec, low, high))
        raise UsageError(f"shapes {shapes} given; give (..., J, 3) and limits (J, 3)")
    beyond = torch.maximum(rotvec - high, low - rotvec).amax(-1)
    return (beyond > MARGIN).double().mean(-1)
