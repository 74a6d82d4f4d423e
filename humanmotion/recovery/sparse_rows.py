"""Linear least squares given row by row, each row touching unknowns that lie near each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class BandedRows:
    """Collects weighted rows `sum_i coef_i x[col_i] = value`, then solves for all unknowns."""

    def __init__(self, unknowns: int, reach: int) -> None:
        """`reach` is the largest distance between two unknowns that share a row."""
        self._band = np.zeros((reach + 1) * unknowns)
        self._right = np.zeros(unknowns)
        self._shape = (reach + 1, unknowns)

    def add(self, columns: Ints, coefficients: Floats, *, value: Floats, weight: Floats) -> None:
        """Rows with `columns` `(N, m)`, `coefficients` `(N, m)`, `value` `(N)`, `weight` `(N)`.

        The weight multiplies the squared residual. Raises ValueError for a row too wide.
        """
        if not len(columns):
            return
        span = columns.max(-1) - columns.min(-1)
        if span.max() >= self._shape[0]:
            raise ValueError(
                f"a row spans {span.max()} unknowns, the reach is {self._shape[0] - 1}"
            )
        scaled = coefficients * weight[:, None]
        np.add.at(self._right, columns, scaled * value[:, None])
        size = columns.shape[1]
        for i in range(size):
            for j in range(size):
                low = columns[:, i] >= columns[:, j]
                place = (columns[low, i] - columns[low, j]) * self._shape[1] + columns[low, j]
                product = scaled[low, i] * coefficients[low, j]
                np.add.at(self._band, place, product)

    def solve(self) -> Floats:
        """The minimiser `(unknowns)`; raises LinAlgError when something is left free."""
        band = self._band.reshape(self._shape)
        # See `banded`: threads only wait for each other on a narrow band.
        with threadpool_limits(limits=1, user_api="blas"):
            answer: Floats = solveh_banded(band, self._right, lower=True, check_finite=False)
        return answer
