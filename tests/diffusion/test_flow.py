"""Rectified flow: published figures, a Gaussian's exact velocity, orders of the samplers."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from humanmotion.diffusion.flow import Flow, euler, flow_loss, guided, heun, noised
from humanmotion.errors import UsageError

FLOW = Flow()
MEAN, SPREAD = 2.0, 0.3


def exact(x: torch.Tensor, level: float) -> torch.Tensor:
    """`E[noise - data | state]` for data of N(MEAN, SPREAD^2)."""
    variance = (1 - level) ** 2 * SPREAD**2 + level**2
    away = x - (1 - level) * MEAN
    data = MEAN + (1 - level) * SPREAD**2 / variance * away
    return level / variance * away - data


def transported(x: torch.Tensor, level: float) -> torch.Tensor:
    """Where the exact flow takes a state to at level 0: standard scores stay."""
    score = (x - (1 - level) * MEAN) / math.hypot((1 - level) * SPREAD, level)
    return MEAN + SPREAD * score


class TestGrid:
    def test_published_figures(self):
        assert FLOW.levels(50)[0] == pytest.approx(0.921, abs=5e-4)
        assert len(FLOW.levels(50)) == 51 and FLOW.levels(50)[-1] == 0
        weights, grid = FLOW.weights(), FLOW.grid()
        assert float(weights.mean()) == pytest.approx(1, abs=1e-6)
        assert float(weights[0]) == 0 and float(grid[0]) == 1
        assert float(weights.max()) == pytest.approx(2.08, abs=0.01)
        assert float(grid[weights.argmax()]) == pytest.approx(0.5, abs=0.01)

    @pytest.mark.parametrize("shift", [1.0, 5.0, 8.0])
    def test_agrees_with_the_formula_read_point_by_point(self, shift):
        flow = Flow(shift)
        sigmas = []
        for i in range(1000):
            u = 1 - i / 1000
            sigmas.append(shift * u / (1 + (shift - 1) * u))
        bell = [math.exp(-2 * ((1000 * s - 500) / 1000) ** 2) for s in sigmas]
        raised = [b - min(bell) for b in bell]
        factor = 1000 / sum(raised)
        want = torch.tensor([factor * r for r in raised])
        torch.testing.assert_close(flow.grid(), torch.tensor(sigmas), atol=1e-6, rtol=0)
        torch.testing.assert_close(flow.weights(), want, atol=1e-5, rtol=0)

    def test_every_level_is_as_likely(self):
        generator = torch.Generator().manual_seed(0)
        sigma, weight = FLOW.draw(100_000, generator=generator)
        assert float(sigma.mean()) == pytest.approx(float(FLOW.grid().mean()), abs=5e-3)
        assert float(weight.mean()) == pytest.approx(1, abs=0.01)

    @pytest.mark.parametrize(("steps", "start"), [(0, 0.7), (5, 0.0), (5, 1.5), (-1, 0.5)])
    def test_no_levels(self, steps, start):
        with pytest.raises(UsageError, match="1 step or more"):
            FLOW.levels(steps, start=start)

    @pytest.mark.parametrize("shift", [0.0, -1.0, math.inf, math.nan])
    def test_no_shift(self, shift):
        with pytest.raises(UsageError, match="shift must be above 0"):
            Flow(shift)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 5, 2)])
class TestPaths:
    def test_ends_and_slope(self, shape):
        clean, noise = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).double()
        sigma = torch.rand(4, generator=torch.Generator().manual_seed(1)).double()
        torch.testing.assert_close(noised(clean, noise, sigma=0 * sigma), clean)
        torch.testing.assert_close(noised(clean, noise, sigma=0 * sigma + 1), noise)
        ahead = noised(clean, noise, sigma=sigma + 1e-6) - noised(clean, noise, sigma=sigma)
        torch.testing.assert_close(ahead / 1e-6, noise - clean, atol=1e-6, rtol=1e-6)

    def test_the_loss_is_the_published_sum(self, shape):
        generator = torch.Generator().manual_seed(2)
        said, target = torch.randn(2, *shape, generator=generator)
        weight, mask = (
            torch.rand(4, generator=generator),
            torch.rand(shape, generator=generator) > 0.4,
        )
        channels = torch.rand(shape[-1:], generator=generator)
        total = 0.0
        for i in itertools.product(*map(range, shape)):
            error = float(said[i] - target[i]) ** 2
            total += float(mask[i]) * float(weight[i[0]]) * float(channels[i[-1]]) * error
        found = flow_loss(said, target, weight=weight, mask=mask, channels=channels)
        assert float(found) == pytest.approx(total / int(mask.sum()), rel=1e-5)

    def test_what_is_not_asked_for_has_no_gradient(self, shape):
        said = torch.ones(shape, requires_grad=True)
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[0] = True
        flow_loss(said, torch.zeros(shape), weight=torch.ones(4), mask=mask).backward()
        assert said.grad[0].abs().min() > 0 and not said.grad[1:].any()


class TestSamplers:
    @pytest.mark.parametrize("sampler", [euler, heun])
    def test_noise_becomes_the_data(self, sampler):
        start = torch.randn(50_000, generator=torch.Generator().manual_seed(0))
        found = sampler(exact, start, FLOW.levels(400, start=1.0))
        torch.testing.assert_close(found, MEAN + SPREAD * start, atol=0.05, rtol=0)
        assert float(found.mean()) == pytest.approx(MEAN, abs=0.02)
        assert float(found.std()) == pytest.approx(SPREAD, rel=0.05)

    @pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2)])
    def test_order(self, sampler, order):
        """Halving the steps divides the error by 2 ** order; to a level above 0."""
        start = torch.linspace(-2, 2, 9, dtype=torch.float64)

        def error(steps):
            levels = [1 - 0.9 * i / steps for i in range(steps + 1)]
            away = transported(sampler(exact, start, levels), 0.1) - transported(start, 1.0)
            return float(away.abs().max())

        assert math.log2(error(40) / error(80)) == pytest.approx(order, abs=0.25)

    def test_level_zero_is_never_asked_about(self):
        asked = []

        def velocity(x, level):
            asked.append(level)
            return exact(x, level)

        heun(velocity, torch.zeros(3), FLOW.levels(4))
        assert min(asked) > 0 and len(asked) == 7


class TestGuidance:
    free, one, two = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))

    def test_scales_of_none_and_one(self):
        torch.testing.assert_close(guided(self.free, (self.one, 0.0)), self.free)
        torch.testing.assert_close(guided(self.free, (self.one, 1.0)), self.one)

    def test_two_conditions(self):
        """Hand-computed, as EchoMotion's table has it."""
        want = self.free + 5 * (self.one - self.free) + 2 * (self.two - self.free)
        torch.testing.assert_close(guided(self.free, (self.one, 5.0), (self.two, 2.0)), want)
