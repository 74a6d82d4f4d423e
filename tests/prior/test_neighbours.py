"""The term on neighbouring frames, against one large dense system."""

from __future__ import annotations

from itertools import pairwise

import torch

from humanmotion.prior.neighbours import LEAST_STEP, Neighbours, solve_tridiagonal

CLIPS, FRAMES, POINTS, UNKNOWNS = 2, 5, 3, 4


def test_block_tridiagonal_systems_are_solved_as_dense_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (CLIPS, FRAMES, UNKNOWNS, UNKNOWNS)
    half = torch.randn(shape, generator=generator, dtype=torch.float64)
    diagonal = half @ half.mT + 8 * torch.eye(UNKNOWNS)
    above = torch.randn(shape, generator=generator, dtype=torch.float64)[:, 1:]
    right = torch.randn(shape[:-1], generator=generator, dtype=torch.float64)
    dense = torch.zeros(CLIPS, FRAMES, UNKNOWNS, FRAMES, UNKNOWNS, dtype=torch.float64)
    for t in range(FRAMES):
        dense[:, t, :, t] = diagonal[:, t]
        if t:
            dense[:, t - 1, :, t] = above[:, t - 1]
            dense[:, t, :, t - 1] = above[:, t - 1].mT
    dense = dense.flatten(3).flatten(1, 2)
    expected = torch.linalg.solve(dense, right.flatten(1)).unflatten(1, (FRAMES, UNKNOWNS))
    assert torch.allclose(solve_tridiagonal(diagonal, above, right), expected)


def test_a_step_goes_down_the_energy_and_ends_where_its_slope_is_zero() -> None:
    """Points that are linear in the unknowns, each frame drawn to a place of its own."""
    generator = torch.Generator().manual_seed(1)
    lead = (CLIPS * FRAMES,)
    slope = torch.randn(*lead, POINTS, 3, UNKNOWNS, generator=generator, dtype=torch.float64)
    goal = torch.randn(*lead, UNKNOWNS, generator=generator, dtype=torch.float64)
    tie = Neighbours(FRAMES, 5.0)
    normal = torch.eye(UNKNOWNS, dtype=torch.float64).expand(*lead, -1, -1)

    def energy(x: torch.Tensor) -> torch.Tensor:
        points = (slope @ x[:, None, :, None])[..., 0].unflatten(0, (CLIPS, FRAMES))
        length = points.diff(dim=1).norm(dim=-1)
        assert float(length.detach().min()) > LEAST_STEP
        return 0.5 * (x - goal).square().sum() + (length / tie.step).sum()

    x = goal.clone()
    values = [float(energy(x))]
    for _ in range(200):
        points = (slope @ x[:, None, :, None])[..., 0]
        x = x + tie.joined(normal, goal - x, points=points, slope=slope)
        values.append(float(energy(x)))
    assert all(b <= a + 1e-9 for a, b in pairwise(values))
    x.requires_grad_(True)
    energy(x).backward()
    assert float(x.grad.abs().max()) < 1e-3
