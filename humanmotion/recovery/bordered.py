"""Least squares over a clip whose frames are tied to their neighbours and all to a few shared unknowns.

The frames' own normal equations are banded; what is shared (a camera, a shape) is a border beside the
band. One factorisation of the band, as many solves as there are shared unknowns: time stays linear in
the frames (the Schur complement of classical bundle adjustment).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded
from threadpoolctl import threadpool_limits

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class BorderedSystem:
    """Normal equations of `T` frames with `P` unknowns each and `Q` shared ones.

    Solved in float64, whatever they are given in.
    """

    diagonal: Floats
    """Of each frame `(T, P, P)`."""
    below: Floats
    """Of each frame's unknowns (columns) with the next one's (rows) `(T - 1, P, P)`."""
    second: Floats
    """Squared weights of the second differences `x[t] - 2 x[t+1] + x[t+2]`, `(T - 2, P)`; their
    equations are added here, their right-hand side is the caller's."""
    right: Floats
    """`(T, P)`."""
    border: Floats
    """Of each frame's unknowns (rows) with the shared ones (columns) `(T, P, Q)`."""
    corner: Floats
    """Of the shared ones `(Q, Q)`."""
    corner_right: Floats
    """`(Q)`."""

    def solve(self) -> tuple[Floats, Floats]:
        """The frames' unknowns `(T, P)` and the shared ones `(Q)`.

        Raises ValueError when the system is not positive definite.
        """
        frames, size, shared = self.border.shape
        parts = (self.right.reshape(-1, 1), self.border.reshape(frames * size, shared))
        sides = np.concatenate(parts, 1, dtype=np.float64)
        try:
            # A narrow band is many tiny products: threads only wait for each other.
            with threadpool_limits(limits=1, user_api="blas"):
                factor = cholesky_banded(
                    self._band(), lower=True, overwrite_ab=True, check_finite=False
                )
                solved = cho_solve_banded((factor, True), sides, check_finite=False)
        except LinAlgError as error:
            raise ValueError("the clip's normal equations are singular") from error
        alone, slope = solved[:, 0], solved[:, 1:]
        back = self.border.reshape(frames * size, shared)
        both = np.linalg.solve(self.corner - back.T @ slope, self.corner_right - back.T @ alone)
        return (alone - slope @ both).reshape(frames, size), both

    def _band(self) -> Floats:
        """The frames' equations in LAPACK's lower band storage `(reach + 1, T * P)`."""
        frames, size, _ = self.diagonal.shape
        columns = np.arange(frames) * size
        band = np.zeros((2 * size + 1, frames * size))
        for j in range(size):
            band[: size - j, columns + j] = self.diagonal[:, j:, j].T
            band[size - j : 2 * size - j, columns[:-1] + j] = self.below[:, :, j].T
        if frames > 2:
            self._add_second(band)
        return band

    def _add_second(self, band: Floats) -> None:
        frames, size, _ = self.diagonal.shape
        same, one, two = (np.zeros((frames, size)) for _ in range(3))
        for first, weight in enumerate((1.0, 4.0, 1.0)):
            same[first : frames - 2 + first] += weight * self.second
        one[:-2] -= 2 * self.second
        one[1:-1] -= 2 * self.second
        two[:-2] += self.second
        band[0] += same.reshape(-1)
        band[size] += one.reshape(-1)
        band[2 * size] += two.reshape(-1)
