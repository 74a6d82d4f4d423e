"""Which feet stand, judged from noisy motion: looser than the metric's rule, and with hysteresis.

Two views of the same question. The body alone knows which foot is lower; a world path also knows how
fast each foot moves. The metric's rule (slower than 0.15 m/s, sole lower than 6 cm) is meant for clean
motion: on a fit from video it would lose half of every step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOWER_FOOT = 0.03
"""Soles within this of the lower one may both stand, when only the body is known."""
ENTER_SPEED = (0.25, 0.8)
"""A foot slower than this may begin to stand, m/s: between the two, by how noisy the motion is."""
NOISE_FACTOR = 2.0
STAY_FACTOR = 2.0
"""And it stands until it is this much faster."""
ENTER_HEIGHT, STAY_HEIGHT = 0.10, 0.16
"""The same for the height of the sole, metres."""
ENTER_CHANCE, STAY_CHANCE = 0.6, 0.35
"""Of a foot that a network says stands."""
SHORTEST_SECONDS = 0.1
REACH_SECONDS = 0.067
"""Speed is measured over this long to either side."""


def lower_foot(feet: Floats, *, sole: Floats) -> Floats:
    """Contact `(T, 2)`, 0 or 1, from foot joints about the pelvis `(T, 2, 3)` with z up.

    Right for anyone who always has a foot on the ground; a first guess for everybody else.
    """
    height = feet[..., 2] - sole
    return (height <= height.min(-1, keepdims=True) + LOWER_FOOT).astype(np.float64)


def standing_feet(feet: Floats, *, sole: Floats, fps: float) -> Floats:
    """Contact `(T, 2)`, 0 or 1, from foot joints in the world `(T, 2, 3)`, floor at z = 0.

    How fast the slower foot usually seems to be tells how noisy the motion is.
    """
    speed, height = smoothed_speed(feet, fps=fps), feet[..., 2] - sole
    slowest = float(np.clip(NOISE_FACTOR * unrest(speed), *ENTER_SPEED))
    enter = (speed < slowest) & (height < ENTER_HEIGHT)
    stay = (speed < STAY_FACTOR * slowest) & (height < STAY_HEIGHT)
    shortest = max(2, round(SHORTEST_SECONDS * fps))
    columns = [_hysteresis(enter[:, i], stay[:, i], shortest=shortest) for i in range(2)]
    return np.stack(columns, -1).astype(np.float64)


def unrest(speed: Floats) -> float:
    """How fast the slower foot usually seems to be, of speeds `(T, 2)`."""
    return float(np.median(speed.min(-1)))


def told_feet(chance: Floats, *, fps: float) -> Floats:
    """Contact `(T, 2)`, 0 or 1, from how likely a network finds it `(T, 2)`."""
    shortest = max(2, round(SHORTEST_SECONDS * fps))
    enter, stay = chance > ENTER_CHANCE, chance > STAY_CHANCE
    columns = [_hysteresis(enter[:, i], stay[:, i], shortest=shortest) for i in range(2)]
    return np.stack(columns, -1).astype(np.float64)


def smoothed_speed(feet: Floats, *, fps: float) -> Floats:
    """Speed `(T, 2)` in m/s over REACH_SECONDS to either side, less at the ends."""
    frames, reach = len(feet), max(1, round(REACH_SECONDS * fps))
    index = np.arange(frames)
    left, right = np.maximum(index - reach, 0), np.minimum(index + reach, frames - 1)
    span = np.maximum(right - left, 1)[:, None] / fps
    speed: Floats = np.linalg.norm(feet[right] - feet[left], axis=-1) / span
    return speed


def segments(on: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Ranges [start, stop) in which `on` `(T)` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], on, [False])).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _hysteresis(
    enter: NDArray[np.bool_], stay: NDArray[np.bool_], *, shortest: int
) -> NDArray[np.bool_]:
    """`stay` where a run of it holds an `enter`, runs shorter than `shortest` left out."""
    out = np.zeros_like(stay)
    for start, stop in segments(stay):
        if stop - start >= shortest and enter[start:stop].any():
            out[start:stop] = True
    return out
