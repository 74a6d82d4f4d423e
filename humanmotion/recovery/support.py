"""What people stand on when it is not the floor: a roof, a stage, a stair, lower ground.

The floor lies at z = 0 and standing feet are held to it, but only where the picture allows it. Where
somebody stands clearly above or below it for a while, that height is what they stand on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

Floats = NDArray[np.float64]

LEAST_STEP = 0.8
"""Metres off the floor before it is believed: a tilt of 5 degrees shows 0.7 m over 8 m."""
SMOOTH_SECONDS = 0.5
STANDING_SPEED = 0.4
"""Whose lower sole rises or sinks slower than this stands or walks on something, m/s."""
FLOOR_QUANTILE = 0.05


def support_level(
    height: Floats, *, seen: NDArray[np.bool_], fps: float, floor: float | None = None
) -> Floats:
    """Height `(T)` of what a person stands on; straight lines in between, 0 where it is the floor.

    `height` `(T)` is the lower sole's, as the picture has it, over `floor`; without one, the lowest
    that the person stands on is the floor. `seen` `(T)` says where there is a picture of them.
    """
    none = np.zeros(len(height))
    if seen.sum() < 2:
        return none
    frames = np.arange(len(height))
    filled = np.interp(frames, frames[seen], height[seen])
    smooth = median_filter(filled, size=max(3, round(SMOOTH_SECONDS * fps) | 1), mode="nearest")
    stands = seen & (np.abs(np.gradient(smooth) * fps) < STANDING_SPEED)
    if not stands.any():
        return none
    base = float(np.quantile(smooth[stands], FLOOR_QUANTILE)) if floor is None else floor
    off = smooth - base
    raised = stands & (np.abs(off) > LEAST_STEP)
    if not raised.any():
        return none
    level: Floats = np.interp(frames, frames[stands], np.where(raised, off, 0.0)[stands])
    return level
