"""A band with a border solves what the dense system says."""

from __future__ import annotations

import numpy as np
import pytest

from humanmotion.recovery.bordered import BorderedSystem


def _system(frames: int, size: int, shared: int, *, seed: int) -> tuple[BorderedSystem, np.ndarray]:
    """Equations of random residuals over neighbours, with their dense matrix."""
    rng = np.random.default_rng(seed)
    total = frames * size + shared
    dense = np.zeros((total, total))
    diagonal = np.zeros((frames, size, size))
    below = np.zeros((max(frames - 1, 0), size, size))
    border, corner = np.zeros((frames, size, shared)), np.eye(shared)
    dense[frames * size :, frames * size :] += corner
    for t in range(frames):
        rows = rng.normal(size=(size + 2, size + shared))
        own = slice(t * size, (t + 1) * size)
        where = np.r_[np.arange(t * size, (t + 1) * size), np.arange(frames * size, total)]
        dense[np.ix_(where, where)] += rows.T @ rows
        square = rows.T @ rows
        diagonal[t] += square[:size, :size]
        border[t], corner = square[:size, size:], corner + square[size:, size:]
        if t + 1 < frames:
            pair = rng.normal(size=(3, 2 * size))
            both = pair.T @ pair
            dense[own.start : own.start + 2 * size, own.start : own.start + 2 * size] += both
            diagonal[t] += both[:size, :size]
            diagonal[t + 1] += both[size:, size:]
            below[t] = both[size:, :size]
    second = rng.uniform(0, 2, (max(frames - 2, 0), size))
    for t in range(frames - 2):
        for p in range(size):
            row = np.zeros(total)
            row[[(t + k) * size + p for k in range(3)]] = 1, -2, 1
            dense += second[t, p] * np.outer(row, row)
    right, corner_right = rng.normal(size=(frames, size)), rng.normal(size=shared)
    return BorderedSystem(diagonal, below, second, right, border, corner, corner_right), dense


@pytest.mark.parametrize(("frames", "size", "shared"), [(1, 3, 2), (2, 4, 1), (7, 5, 6)])
def test_it_is_the_dense_solution(frames: int, size: int, shared: int) -> None:
    system, dense = _system(frames, size, shared, seed=frames)
    alone, both = system.solve()
    found = np.linalg.solve(dense, np.concatenate((system.right.ravel(), system.corner_right)))
    np.testing.assert_allclose(alone.ravel(), found[: frames * size], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(both, found[frames * size :], rtol=1e-8, atol=1e-10)


def test_what_nothing_holds_is_named() -> None:
    system, _ = _system(3, 2, 1, seed=0)
    free = BorderedSystem(0 * system.diagonal, 0 * system.below, 0 * system.second, system.right,
                          system.border, system.corner, system.corner_right)  # fmt: skip
    with pytest.raises(ValueError, match="singular"):
        free.solve()
