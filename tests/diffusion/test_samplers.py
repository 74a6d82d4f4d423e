from __future__ import annotations

import pytest
import torch

from humanmotion.diffusion.samplers import falling_levels, heun


def test_levels_fall_from_end_to_end() -> None:
    levels = falling_levels(12, highest=20.0, lowest=0.02)
    assert levels[0] == pytest.approx(20) and levels[-1] == pytest.approx(0.02)
    steps = torch.tensor(levels).diff()
    assert bool((steps < 0).all()) and bool((steps.diff() > 0).all())


@pytest.mark.parametrize("spread", [1.0, 0.3])
def test_a_gaussian_is_sampled_exactly(spread) -> None:
    """With the exact denoiser of N(2, s^2) the samples have its mean and spread."""

    def denoise(x: torch.Tensor, level: float) -> torch.Tensor:
        return 2 + (x - 2) * spread**2 / (spread**2 + level**2)

    generator = torch.Generator().manual_seed(0)
    levels = falling_levels(25, highest=200.0, lowest=0.01)
    start = levels[0] * torch.randn(40_000, generator=generator)
    samples = heun(denoise, start, levels)
    assert float(samples.mean()) == pytest.approx(2, abs=0.03)
    assert float(samples.std()) == pytest.approx(spread, rel=0.05)


def test_the_error_falls_with_the_square_of_the_step() -> None:
    """A second-order method (Karras et al. 2022, section 3): halving the steps quarters the error."""

    def denoise(x: torch.Tensor, level: float) -> torch.Tensor:
        return x / (1 + level**2)

    start = torch.tensor(10.0, dtype=torch.float64)

    def error(count: int) -> float:
        levels = falling_levels(count, highest=10.0, lowest=0.1)
        # Exact: x / sqrt(1 + level^2) is constant along a path; the last step is Euler's to zero.
        at_lowest = start * (1 + 0.1**2) ** 0.5 / (1 + 10.0**2) ** 0.5
        exact = denoise(at_lowest, 0.1)
        return abs(float(heun(denoise, start, levels) - exact))

    assert 3.0 < error(20) / error(40) < 5.5
