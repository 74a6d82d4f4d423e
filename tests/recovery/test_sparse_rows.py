"""The banded solver against a dense one."""

from __future__ import annotations

import numpy as np
import pytest

from humanmotion.recovery.sparse_rows import BandedRows


def test_equals_dense_weighted_least_squares() -> None:
    rng = np.random.default_rng(0)
    unknowns, reach, rows = 40, 5, 300
    solver = BandedRows(unknowns, reach)
    dense, right = [], []
    for size in (1, 2, 4):
        first = rng.integers(0, unknowns - reach, rows)
        columns = first[:, None] + np.stack(
            [rng.permutation(reach + 1)[:size] for _ in range(rows)]
        )
        coefficients = rng.normal(size=(rows, size))
        value, weight = rng.normal(size=rows), rng.uniform(0, 2, rows)
        solver.add(columns, coefficients, value=value, weight=weight)
        row = np.zeros((rows, unknowns))
        np.put_along_axis(row, columns, coefficients, 1)
        dense.append(row * np.sqrt(weight)[:, None])
        right.append(value * np.sqrt(weight))
    slow = np.linalg.lstsq(np.concatenate(dense), np.concatenate(right), rcond=None)[0]
    np.testing.assert_allclose(solver.solve(), slow, atol=1e-9)


def test_rows_too_wide_are_refused_and_none_are_nothing() -> None:
    solver = BandedRows(10, 2)
    one = np.ones(1)
    with pytest.raises(ValueError, match="spans 5"):
        solver.add(np.array([[0, 5]]), np.ones((1, 2)), value=one, weight=one)
    solver.add(np.zeros((0, 2), np.int64), np.zeros((0, 2)), value=one[:0], weight=one[:0])
    solver.add(np.arange(10)[:, None], np.ones((10, 1)), value=np.ones(10), weight=np.ones(10))
    np.testing.assert_allclose(solver.solve(), 1.0)
