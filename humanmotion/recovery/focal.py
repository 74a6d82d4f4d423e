"""The focal length: given, or from a turning camera, else the image diagonal.

A camera that only turns maps one picture to another by `K R K^-1`; with the principal point at the
centre and square pixels the focal length is the one number that makes such maps fit (Hartley 1994,
"Self-calibration from multiple views with a rotating camera", with one unknown).

The proportions of the person are not used: under a detector's noise the focal length at which its
3D landmarks best fit its 2D ones lies further from the truth than the diagonal does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from humanmotion.camera import default_focal
from humanmotion.errors import UsageError
from humanmotion.recovery.rotation_fit import Pair, pair_cost

FocalMethod = Literal["given", "pan", "diagonal"]

DIAGONAL_SIGMA = 0.35
"""Spread of log focal about log diagonal when nothing is known: lenses of 0.7 to 1.4 diagonals."""
PAN_SIGMA_FLOOR = 0.03
"""Lens distortion and rolling shutter bias a pan by about this, however many points there are."""
MAX_PAN_SIGMA = 0.12
"""A pan that tells less than this is not believed."""
RANGE = (0.35, 4.0)
"""Searched focal lengths in image diagonals."""
STEPS = 17
PAIR_SIGMA_PX = 0.5


@dataclass(frozen=True)
class FocalEstimate:
    """A focal length of the upright full-size image and how far it can be trusted."""

    focal_px: float
    """Pixels."""
    sigma: float
    """Standard deviation of its logarithm (0.1 is about 10 %)."""
    method: FocalMethod
    """`given` by the user, measured on a `pan`, or the image `diagonal` for want of better."""


def choose_focal(
    pans: Sequence[FocalEstimate] = (), *, width: int, height: int, given: float | None = None
) -> FocalEstimate:
    """The focal length to use: the given one, else the pans' weighted mean, else the diagonal.

    `width` and `height` in pixels. Raises UsageError for a given focal length or a size that is
    not a positive number.
    """
    if width <= 0 or height <= 0:
        raise UsageError(f"image size {width}x{height} given; both must be positive")
    if given is not None:
        if not (math.isfinite(given) and given > 0):
            raise UsageError(f"focal length {given} given; it must be a positive number of pixels")
        return FocalEstimate(float(given), 0.0, "given")
    if not pans:
        return FocalEstimate(default_focal(width, height), DIAGONAL_SIGMA, "diagonal")
    weight = np.array([1 / pan.sigma**2 for pan in pans])
    log = np.log([pan.focal_px for pan in pans])
    mean = float((weight * log).sum() / weight.sum())
    spread = math.sqrt(float((weight * (log - mean) ** 2).sum() / weight.sum()))
    sigma = max(1 / math.sqrt(float(weight.sum())), spread, PAN_SIGMA_FLOOR)
    return FocalEstimate(math.exp(mean), sigma, "pan")


def pan_focal(pairs: Sequence[Pair], *, diagonal: float) -> FocalEstimate | None:
    """Focal length, in the pixels of `pairs`, from pictures of a camera that only turned.

    `diagonal` is the image's, in the same pixels. None when the views overlap too well or fit too
    badly to tell.
    """
    if not pairs:
        return None
    logs = np.linspace(math.log(RANGE[0] * diagonal), math.log(RANGE[1] * diagonal), STEPS)
    costs = np.array([_cost(pairs, x) for x in logs])
    best = int(costs.argmin())
    if best in (0, STEPS - 1):
        return None
    step = (logs[1] - logs[0]) / 2
    centre = float(logs[best])
    middle = float(costs[best])
    for _ in range(5):
        left, right = _cost(pairs, centre - step), _cost(pairs, centre + step)
        if min(left, right) < middle:
            middle, centre = min((left, centre - step), (right, centre + step))
        step /= 2
    curvature = (_cost(pairs, centre - 0.05) + _cost(pairs, centre + 0.05) - 2 * middle) / 0.05**2
    if curvature <= 0:
        return None
    # Residuals of neighbouring points share their causes; the model is never exact either.
    points = sum(len(pair.a) for pair in pairs)
    noise = max(middle / (2 * points), 0.25)
    sigma = max(3 * math.sqrt(2 * noise / curvature), PAN_SIGMA_FLOOR)
    return FocalEstimate(math.exp(centre), sigma, "pan") if sigma < MAX_PAN_SIGMA else None


def _cost(pairs: Sequence[Pair], log_focal: float) -> float:
    return pair_cost(pairs, focal=math.exp(log_focal), sigma=PAIR_SIGMA_PX)
