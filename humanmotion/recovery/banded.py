"""Least squares over a whole clip whose frames are tied only to their near neighbours.

The normal equations of such a problem are banded: solving them costs time linear in the frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, solveh_banded
from threadpoolctl import threadpool_limits
from torch import Tensor

from humanmotion.rotations import matrix_to_rotvec

Floats = NDArray[Any]


def solve_clip(
    blocks: Floats, right: Floats, *, smooth: Floats, joined: NDArray[np.bool_]
) -> Floats:
    """Minimise `sum_t x_t' B_t x_t - 2 r_t' x_t + sum_t |smooth * (x_t - 2 x_t+1 + x_t+2 - c)|^2`.

    `blocks` `(T, P, P)` symmetric, `right` `(T, P)` (the smoothness term's own right-hand side
    already added by the caller), `smooth` `(P)` weights of the second difference, `joined` `(T-2)`
    whether the three frames from t on belong together (no cut within). Returns x `(T, P)`.
    Raises ValueError when the system is not positive definite.
    """
    frames, size = right.shape
    reach = 2 * size if frames > 2 else (size if frames > 1 else 0)
    # In LAPACK's own order, so that it is solved in place.
    band = np.zeros((max(reach, size - 1) + 1, frames * size), dtype=right.dtype, order="F")
    _fill_blocks(band, blocks)
    _fill_smoothness(band, smooth.astype(right.dtype) ** 2, joined=joined, frames=frames)
    try:
        # A narrow band is many tiny products: threads wait for each other longer than they work,
        # thirty times longer where the cores are shared.
        with threadpool_limits(limits=1, user_api="blas"):
            flat = solveh_banded(
                band, right.reshape(-1), lower=True, check_finite=False, overwrite_ab=True
            )
    except LinAlgError as error:
        raise ValueError("the clip's normal equations are singular") from error
    return np.asarray(flat).reshape(frames, size)


def second_difference(values: Floats, joined: NDArray[np.bool_]) -> Floats:
    """`values[t] - 2 values[t+1] + values[t+2]`, `(T-2, P)`, zero where the frames are cut apart."""
    step = values[:-2] - 2 * values[1:-1] + values[2:]
    return step * joined[:, None]


def transposed_second_difference(steps: Floats, frames: int) -> Floats:
    """The transpose of `second_difference`: `(T-2, P)` back to `(T, P)`."""
    out = np.zeros((frames, steps.shape[1]), dtype=steps.dtype)
    if len(steps):
        out[:-2] += steps
        out[1:-1] -= 2 * steps
        out[2:] += steps
    return out


def turning_second_difference(turn: Tensor, joined: NDArray[np.bool_]) -> Floats:
    """Change of angular velocity per frame, `(T-2, 3K)`, of rotations `(T, K, 3, 3)`.

    A step is taken relative to the frame before; its derivative by a small rotation applied first
    is then (1, -2, 1) to first order, as for plain numbers.
    """
    velocity = matrix_to_rotvec(turn[1:] @ turn[:-1].transpose(-1, -2)).flatten(1).numpy()
    return np.asarray(np.diff(velocity, axis=0) * joined[:, None], dtype=np.float32)


def _fill_blocks(band: Floats, blocks: Floats) -> None:
    frames, size, _ = blocks.shape
    columns = np.arange(frames) * size
    for j in range(size):
        band[: size - j, columns + j] = blocks[:, j:, j].T


def _fill_smoothness(
    band: Floats, weight: Floats, *, joined: NDArray[np.bool_], frames: int
) -> None:
    if frames < 3:
        return
    size, on = len(weight), joined.astype(band.dtype)
    diagonal, one, two = np.zeros(frames), np.zeros(frames), np.zeros(frames)
    diagonal[:-2] += on
    diagonal[1:-1] += 4 * on
    diagonal[2:] += on
    one[:-2] -= 2 * on
    one[1:-1] -= 2 * on
    two[:-2] += on
    band[0] += np.outer(diagonal, weight).reshape(-1)
    band[size] += np.outer(one, weight).reshape(-1)
    band[2 * size] += np.outer(two, weight).reshape(-1)
