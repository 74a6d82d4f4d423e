"""The sub-VP clock: the published table, its inverse, and the equations it solves."""

from __future__ import annotations

import pytest
import torch

from humanmotion.diffusion.paths import SUB_VP, SubVP

# Time, alpha, sigma, rho as printed in our specification of DPoser-X, section 1.3.
TABLE = """
0.01 .9990 .0020 .0020
0.05 .9852 .0294 .0299
0.08 .9648 .0692 .0717
0.10 .9467 .1037 .1096
0.12 .9253 .1438 .1554
0.15 .8874 .2125 .2394
0.20 .8114 .3416 .4211
0.25 .7237 .4763 .6582
0.30 .6296 .6037 .9589
0.50 .2812 .9209 3.275
"""
ROWS = torch.tensor([[float(x) for x in line.split()] for line in TABLE.split("\n") if line])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
class TestTable:
    def test_agrees_to_the_printed_digits(self, dtype):
        t, alpha, sigma, rho = ROWS.to(dtype).T
        for found, want in ((SUB_VP.alpha(t), alpha), (SUB_VP.sigma(t), sigma)):
            torch.testing.assert_close(found, want, atol=6e-5, rtol=0)
        torch.testing.assert_close(SUB_VP.rho(t), rho, atol=6e-5, rtol=2e-4)

    def test_end(self, dtype):
        end = torch.ones((), dtype=dtype)
        assert float(SUB_VP.alpha(end)) == pytest.approx(0.0066, abs=5e-5)
        assert float(SUB_VP.sigma(end)) == pytest.approx(1.0, abs=5e-4)
        assert float(SUB_VP.rho(end)) == pytest.approx(152, abs=0.5)

    def test_rho_is_the_quotient(self, dtype):
        t = torch.linspace(0.05, 1, 50, dtype=dtype)
        torch.testing.assert_close(SUB_VP.rho(t), SUB_VP.sigma(t) / SUB_VP.alpha(t))


@pytest.mark.parametrize("shape", [(), (1,), (3, 4)])
@pytest.mark.parametrize("clock", [SUB_VP, SubVP(1.0, 5.0)])
class TestInverse:
    def test_round_trip_from_time_zero_on(self, shape, clock):
        for scale in (0.0, 1e-5, 1e-3, 0.1, 1.0):
            t = scale * torch.rand(shape, generator=torch.Generator().manual_seed(0))
            again = clock.time(clock.rho(t))
            assert again.shape == shape
            torch.testing.assert_close(again, t, rtol=1e-5, atol=1e-12)

    def test_agrees_with_bisection(self, shape, clock):
        rho = 3 * torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        low, high = torch.zeros_like(rho), torch.ones_like(rho)
        for _ in range(60):
            middle = (low + high) / 2
            below = clock.rho(middle) < rho
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        torch.testing.assert_close(clock.time(rho), low, rtol=1e-9, atol=1e-12)


class TestProcess:
    """Mean and variance of the linear stochastic equation with this drift and diffusion."""

    t = torch.linspace(0.01, 1, 40, dtype=torch.float64, requires_grad=True)

    def slope(self, values):
        return torch.autograd.grad(values.sum(), self.t)[0]

    def test_alpha_decays_by_the_drift(self):
        want = -0.5 * SUB_VP.rate(self.t) * SUB_VP.alpha(self.t)
        torch.testing.assert_close(self.slope(SUB_VP.alpha(self.t)), want)

    def test_variance_grows_by_the_diffusion(self):
        variance = SUB_VP.sigma(self.t) ** 2
        want = SUB_VP.diffusion(self.t) ** 2 - SUB_VP.rate(self.t) * variance
        torch.testing.assert_close(self.slope(variance), want)

    def test_noise_only_rises(self):
        t = torch.linspace(0, 1, 1000, dtype=torch.float64)
        assert (SUB_VP.rho(t).diff() > 0).all()
        assert (SUB_VP.sigma(t) <= (1 - SUB_VP.alpha(t) ** 2).sqrt() + 1e-12).all()
