"""Filters of sequences that know nothing of bodies: what a motion prior must beat.

All take arrays `(T, ...)` of positions or numbers with time first, and filter each channel alone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from humanmotion.errors import UsageError

Floats = NDArray[np.float64]
VAGUE = 1e8
"""Variance of the start, in units of the measurement's: as good as unknown."""
STEP: Floats = np.array(((1.0, 1.0, 0.5), (0.0, 1.0, 1.0), (0.0, 0.0, 1.0)))
"""Position, speed and acceleration one frame on."""
WANDER: Floats = np.array(((1 / 20, 1 / 8, 1 / 6), (1 / 8, 1 / 3, 1 / 2), (1 / 6, 1 / 2, 1.0)))
"""Their covariance after a frame of white jerk of density 1 (Bar-Shalom et al. 2001, 6.2.3)."""


def savitzky_golay(x: Floats, *, window: int, order: int = 3) -> Floats:
    """Polynomials of `order` through `window` (odd) frames each, the ends by the last whole window.

    A sequence shorter than the window is one window. After Savitzky and Golay 1964. Raises UsageError
    for an even window or one that does not exceed the order.
    """
    if window % 2 == 0 or not 0 <= order < window:
        raise UsageError(f"window {window} with order {order} given; give an odd, larger window")
    x = _sequence(x)
    fits = min(window, len(x) - 1 + len(x) % 2)
    return np.asarray(savgol_filter(x, fits, min(order, fits - 1), axis=0, mode="interp"))


def one_euro(
    x: Floats,
    *,
    fps: float,
    min_cutoff: float = 1.0,
    beta: float = 0.0,
    derivative_cutoff: float = 1.0,
) -> Floats:
    """Low-pass of order one whose cutoff in hertz rises with speed by `beta`; sees no future.

    Casiez, Roussel and Vogel 2012, "1 Euro Filter", algorithms 1 and 2. Raises UsageError unless `fps`
    and the cutoffs are positive and `beta` is not negative.
    """
    _check_positive({"fps": fps, "min_cutoff": min_cutoff, "derivative_cutoff": derivative_cutoff})
    if beta < 0:
        raise UsageError(f"beta {beta} given; give 0 or more")
    x = _sequence(x)
    out = x.copy()
    speed = np.zeros_like(x[0])
    for frame in range(1, len(x)):
        change = (x[frame] - out[frame - 1]) * fps
        speed += _alpha(np.full_like(speed, derivative_cutoff), fps) * (change - speed)
        keep = _alpha(min_cutoff + beta * np.abs(speed), fps)
        out[frame] = out[frame - 1] + keep * (x[frame] - out[frame - 1])
    return out


def rts_smoother(
    x: Floats, *, fps: float, process_sigma: float, measurement_sigma: float
) -> Floats:
    """Expected positions given all frames, for accelerations that wander as Brownian motion.

    Constant-acceleration Kalman filter and the smoother of Rauch, Tung and Striebel 1965, from an
    unknown start. `measurement_sigma` is in the unit of `x`; `process_sigma` is the root of the jerk's
    spectral density, in that unit per second^2.5. Raises UsageError unless all are positive.
    """
    _check_positive(
        {"fps": fps, "process_sigma": process_sigma, "measurement_sigma": measurement_sigma}
    )
    x = _sequence(x)
    # In frames, and in standard deviations of a measurement, the numbers stay near one.
    jerk = process_sigma * fps**-2.5 / measurement_sigma
    gains, backs = _gains(len(x), jerk**2)
    states = _forward(x.reshape(len(x), -1), gains)
    for frame in range(len(x) - 2, -1, -1):
        ahead = states[frame + 1] - STEP @ states[frame]
        states[frame] += backs[frame] @ ahead
    return states[:, 0].reshape(x.shape)


def _gains(frames: int, density: float) -> tuple[Floats, Floats]:
    """Kalman gains `(T, 3)` and smoother gains `(T - 1, 3, 3)`: they do not depend on the data."""
    gains, backs = np.zeros((frames, 3)), np.zeros((frames - 1, 3, 3))
    ahead = VAGUE * np.eye(3)
    for frame in range(frames):
        gains[frame] = ahead[:, 0] / (ahead[0, 0] + 1)
        # Joseph's form stays a covariance where the plain one loses digits to the vague start.
        rest = np.eye(3)
        rest[:, 0] -= gains[frame]
        now = rest @ ahead @ rest.T + np.outer(gains[frame], gains[frame])
        ahead = STEP @ now @ STEP.T + density * WANDER
        if frame < frames - 1:
            backs[frame] = np.linalg.solve(ahead, STEP @ now).T
    return gains, backs


def _forward(x: Floats, gains: Floats) -> Floats:
    """Filtered states `(T, 3, C)` of measurements `(T, C)`."""
    states = np.zeros((len(x), 3, x.shape[1]))
    ahead = np.zeros((3, x.shape[1]))
    # Starting at the first measurement, a vague start pulls to nothing.
    ahead[0] = x[0]
    for frame, gain in enumerate(gains):
        states[frame] = ahead + gain[:, None] * (x[frame] - ahead[0])
        ahead = STEP @ states[frame]
    return states


def _alpha(cutoff: Floats, fps: float) -> Floats:
    """Share of the newest value in a low-pass of `cutoff` hertz."""
    return 1 / (1 + fps / (2 * math.pi * cutoff))


def _sequence(x: Floats) -> Floats:
    """`x` as doubles; raises UsageError without a frame or with values that are not finite."""
    values = np.asarray(x, dtype=np.float64)
    if values.ndim < 1 or len(values) == 0 or not np.isfinite(values).all():
        raise UsageError(
            f"sequence of shape {values.shape} given; give (T, ...) of finite values, T > 0"
        )
    return values


def _check_positive(given: dict[str, float]) -> None:
    for name, value in given.items():
        if not 0 < value < math.inf:
            raise UsageError(f"{name} {value} given; give a positive number")
