"""Accelerations and jitter, from finite differences of joints; errors as in WHAM and GVHMR."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanmotion.errors import UsageError
from humanmotion.metrics.pose import HIPS, check_pair

CALM_HZ = 6.0
"""People hardly move faster than this."""
NEAR_SECONDS, USUAL = 0.25, 0.95
"""How near to a frame a peak is looked for, and the quantile of accelerations that is usual."""
_LEAST_FILTERED = 10
"""Frames that the filter needs."""


def acceleration(joints: Tensor, *, fps: float) -> Tensor:
    """Second finite difference `(..., T-2, J, 3)` of joints `(..., T, J, 3)`, m/s^2."""
    _check_frames(joints, 3)
    return torch.diff(joints, n=2, dim=-3) * fps**2


def acceleration_error(
    prediction: Tensor, truth: Tensor, *, fps: float, root: tuple[int, ...] | None = HIPS
) -> Tensor:
    """Norm of the acceleration difference `(..., T-2)`, mean over joints, m/s^2.

    Joints `(..., T, J, 3)` are taken about the mean of the `root` joints (None: in the world).
    """
    check_pair(prediction, truth)
    a, b = prediction, truth
    if root is not None:
        a = a - a[..., list(root), :].mean(-2, keepdim=True)
        b = b - b[..., list(root), :].mean(-2, keepdim=True)
    return acceleration(a - b, fps=fps).norm(dim=-1).mean(-1)


def acceleration_peaks(joints: Tensor, frames: Sequence[int], *, fps: float) -> list[float]:
    """Near each of `frames` the largest joint-mean acceleration, over the usual one of all frames.

    Of joints `(T, J, 3)` in the world: whether it is calm where motions join or something is hit.
    Frames near which there is no acceleration are left out.
    """
    size = acceleration(joints, fps=fps).norm(dim=-1).mean(-1)
    usual = float(size.quantile(USUAL))
    reach = round(NEAR_SECONDS * fps)
    # A second difference lies at its middle frame.
    windows = [size[max(f - 1 - reach, 0) : max(f + reach, 1)] for f in frames]
    return [float(w.max()) / max(usual, 1e-9) for w in windows if len(w)]


def jitter(joints: Tensor, *, fps: float) -> Tensor:
    """Norm of the third finite difference `(..., T-3)`, mean over joints, m/s^3.

    Of joints `(..., T, J, 3)` in the world. Tables of the literature print it over 10.
    """
    _check_frames(joints, 4)
    return (torch.diff(joints, n=3, dim=-3) * fps**3).norm(dim=-1).mean(-1)


def low_passed(joints: Tensor, *, fps: float) -> Tensor:
    """Joints `(T, J, 3)` after a zero-phase low-pass of 6 Hz (Butterworth, second order, both ways).

    Without what shakes faster than people do; in float64. Raises UsageError below ten frames.
    """
    # scipy.signal takes long to import, and this package is read by all that generates.
    from scipy.signal import butter, filtfilt

    _check_frames(joints, _LEAST_FILTERED)
    b, a = butter(2, CALM_HZ, fs=fps)
    return torch.from_numpy(filtfilt(b, a, joints.double().cpu().numpy(), axis=-3).copy())


def _check_frames(joints: Tensor, least: int) -> None:
    if joints.ndim < 3 or joints.shape[-3] < least:
        raise UsageError(
            f"joints {tuple(joints.shape)} given; expected (..., T, J, 3) with T >= {least}"
        )
