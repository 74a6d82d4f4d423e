"""The banded solver against the dense normal equations it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from humanmotion.recovery.banded import (
    second_difference,
    solve_clip,
    transposed_second_difference,
)


def _problem(frames: int, size: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(frames, size, size))
    blocks = factor @ factor.transpose(0, 2, 1) + np.eye(size)
    joined = rng.random(max(frames - 2, 0)) > 0.3
    return blocks, rng.normal(size=(frames, size)), rng.random(size) + 0.5, joined


def _dense(blocks, right, smooth, joined):
    """The same problem written out as one big matrix, entry by entry."""
    frames, size = right.shape
    matrix = np.zeros((frames * size, frames * size))
    for t in range(frames):
        matrix[t * size : (t + 1) * size, t * size : (t + 1) * size] = blocks[t]
    for t in range(frames - 2):
        for p in range(size):
            if joined[t]:
                row = np.zeros(frames * size)
                row[[t * size + p, (t + 1) * size + p, (t + 2) * size + p]] = 1, -2, 1
                matrix += np.outer(row, row) * smooth[p] ** 2
    return np.linalg.solve(matrix, right.reshape(-1)).reshape(frames, size)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_solution_equals_the_dense_one(frames: int, size: int) -> None:
    blocks, right, smooth, joined = _problem(frames, size)
    fast = solve_clip(blocks, right, smooth=smooth, joined=joined)
    assert np.allclose(fast, _dense(blocks, right, smooth, joined), atol=1e-9)


def test_shots_do_not_feel_each_other() -> None:
    blocks, right, smooth, _ = _problem(8, 2)
    joined = np.array([1, 1, 0, 0, 1, 1], bool)  # a cut between frames 3 and 4
    whole = solve_clip(blocks, right, smooth=smooth, joined=joined)
    right[4:] += 100.0
    moved = solve_clip(blocks, right, smooth=smooth, joined=joined)
    assert np.allclose(whole[:4], moved[:4])
    assert not np.allclose(whole[4:], moved[4:])


def test_second_difference_and_its_transpose_are_adjoint() -> None:
    rng = np.random.default_rng(1)
    joined = rng.random(7) > 0.4
    x, y = rng.normal(size=(9, 4)), rng.normal(size=(7, 4)) * joined[:, None]
    assert np.isclose(
        (second_difference(x, joined) * y).sum(), (x * transposed_second_difference(y, 9)).sum()
    )


def test_singular_equations_are_named() -> None:
    with pytest.raises(ValueError, match="singular"):
        solve_clip(
            np.zeros((3, 2, 2)), np.ones((3, 2)), smooth=np.zeros(2), joined=np.ones(1, bool)
        )
