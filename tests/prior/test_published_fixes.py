from __future__ import annotations

import pytest
import torch

from humanmotion.diffusion.paths import SUB_VP
from humanmotion.diffusion.preconditioning import scalings
from humanmotion.prior.published import EARLIEST, expected_clean
from humanmotion.prior.published_fixes import (
    CleanTarget,
    Preconditioned,
    clean_loss,
    preconditioned_loss,
)
from humanmotion.prior.published_networks import TimeFC


@pytest.mark.parametrize("kind", [CleanTarget, Preconditioned])
def test_the_noise_told_is_that_of_the_clean_state(kind) -> None:
    torch.manual_seed(0)
    made = kind(TimeFC(9, 9, width=32, clock=8)).eval()
    noisy, t = torch.randn(5, 9), torch.rand(5) * 0.9 + 0.05
    # Tweedie's formula, which the published solvers use, must give the clean state back.
    again = expected_clean(made, noisy, t)
    assert torch.allclose(again, made.clean(noisy, t), atol=1e-4)


def test_a_preconditioned_network_that_says_nothing_errs_by_one() -> None:
    made = Preconditioned(TimeFC(9, 9, width=32, clock=8)).eval()
    torch.nn.init.zeros_(made.network.leave.weight)
    torch.nn.init.zeros_(made.network.leave.bias)
    generator = torch.Generator().manual_seed(1)
    loss = preconditioned_loss(made, torch.randn(20_000, 9, generator=generator), generator)
    assert float(loss.detach()) == pytest.approx(1, abs=0.03)
    assert float(SUB_VP.rho(torch.tensor(0.1))) == pytest.approx(0.11, abs=0.01)


@pytest.mark.parametrize("kind", [CleanTarget, Preconditioned])
def test_the_losses_are_those_of_what_the_inner_network_tells(kind) -> None:
    torch.manual_seed(0)
    made, batch = kind(TimeFC(9, 9, width=32, clock=8)).eval(), torch.randn(300, 9)
    generator = torch.Generator().manual_seed(3)
    t = EARLIEST + (1 - EARLIEST) * torch.rand(300, generator=generator)
    noise = torch.randn(300, 9, generator=generator)
    rho = SUB_VP.rho(t)[:, None]
    noisy = batch + rho * noise
    if kind is CleanTarget:
        loss, error = clean_loss, made.clean(noisy, t) - batch
    else:
        # The published way: the inner network's target is (batch - skip noisy) / out.
        target = (rho * batch - noise) / (1 + rho**2).sqrt()
        loss, error = preconditioned_loss, made.network(scalings(rho).input * noisy, t) - target
    found = loss(made, batch, torch.Generator().manual_seed(3))
    assert float(found.detach()) == pytest.approx(float(error.square().mean().detach()), rel=1e-3)
