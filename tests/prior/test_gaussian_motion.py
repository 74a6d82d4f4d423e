"""The linear part of the denoisers, against the conditional mean of one large normal vector."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from humanmotion.prior.gaussian_motion import (
    GROUPS,
    GaussianMotion,
    bands,
    fit_gaussian_motion,
)
from humanmotion.prior.space import BODY, LEFT_HAND, SIZE, TOKENS, spread_tokens

WINDOW = 12


@pytest.fixture(scope="module")
def made() -> GaussianMotion:
    """Random directions, and waves that fall off with frequency."""
    torch.manual_seed(0)
    out = GaussianMotion(WINDOW)
    for numbers in GROUPS:
        group = torch.tensor(numbers)
        out.axes[group[:, None], group] = torch.linalg.qr(torch.randn(len(group), len(group)))[0]
    out.variances *= 3.0 ** -torch.arange(WINDOW)[:, None] * torch.rand(WINDOW, SIZE)
    out.mean.copy_(0.1 * torch.randn(SIZE))
    return out


def conditional_mean(made: GaussianMotion, seen: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
    """The slow twin: the whole covariance `(T * n, T * n)` of each group, and its normal equations."""
    out = made.mean.expand(WINDOW, SIZE).clone().double()
    level = spread_tokens(rho).double()
    for numbers in GROUPS:
        axes = made.axes[numbers][:, numbers].double()
        spectrum = made.variances[made.bands][:, numbers].double()
        waves = made.waves.double()
        whole = torch.einsum("ft,fs,ik,fk,jk->tisj", waves, waves, axes, spectrum, axes).reshape(
            WINDOW * len(numbers), -1
        )
        there = torch.isfinite(level[:, numbers]).flatten()
        noise = torch.diag(level[:, numbers].flatten()[there] ** 2)
        away = (seen[:, numbers] - made.mean[numbers]).double().flatten()[there]
        gain = torch.linalg.solve(whole[there][:, there] + noise, away)
        out[:, numbers] += (whole[:, there] @ gain).reshape(WINDOW, -1)
    return out.float()


def test_bands_rise_one_by_one_and_cover_all() -> None:
    assert bands(1) == [0]
    for frames in (12, 60):
        found = bands(frames)
        assert len(found) == frames and found[0] == 0
        assert {b - a for a, b in pairwise(found)} <= {0, 1}


@pytest.mark.parametrize("levels", ["one", "each", "parts"])
def test_it_is_the_conditional_mean(made, levels) -> None:
    generator = torch.Generator().manual_seed(1)
    seen = torch.randn(2, WINDOW, SIZE, generator=generator)
    each = 0.1 + torch.rand(2, 1, TOKENS, generator=generator)
    rho = {"one": torch.full_like(each, 0.4), "each": each, "parts": each.clone()}[levels]
    if levels == "parts":
        rho[..., LEFT_HAND] = torch.inf
        rho[..., 3] = torch.inf
    rho = rho.expand(2, WINDOW, TOKENS)
    found = made(seen, rho)
    for one, its, level in zip(found, seen, rho, strict=True):
        assert torch.allclose(one, conditional_mean(made, its, level), atol=2e-4)


def test_repetition_comes_to_it_where_noise_changes(made, monkeypatch) -> None:
    monkeypatch.setattr("humanmotion.prior.gaussian_motion.ROUNDS", 400)
    generator = torch.Generator().manual_seed(2)
    seen = torch.randn(1, WINDOW, SIZE, generator=generator)
    rho = torch.full((1, WINDOW, TOKENS), 0.5)
    rho[:, 5:8] = torch.inf
    rho[:, 2, BODY] = 1.0
    assert torch.allclose(made(seen, rho)[0], conditional_mean(made, seen[0], rho[0]), atol=2e-3)


def test_what_is_missing_is_not_looked_at_and_short_windows_keep_their_length(made) -> None:
    seen = torch.randn(3, 7, SIZE)
    rho = torch.full((3, 7, TOKENS), 0.5)
    rho[:, :, LEFT_HAND] = torch.inf
    other = torch.where(spread_tokens(torch.isinf(rho)), torch.full_like(seen, 9.0), seen)
    found = made(seen, rho)
    assert found.shape == seen.shape and torch.equal(found, made(other, rho))


def test_a_fit_finds_what_the_data_were_drawn_from(made) -> None:
    generator = torch.Generator().manual_seed(3)
    each = torch.randn(6000, WINDOW, SIZE, generator=generator)
    waves = each * made.variances[made.bands].sqrt() @ made.axes.mT
    state = made.waves.mT @ waves + made.mean
    recorded = torch.ones(6000, TOKENS, dtype=torch.bool)
    recorded[::3, LEFT_HAND] = False
    state[::3, :, spread_tokens(~recorded[0])] = 50.0
    found = fit_gaussian_motion(state, recorded)
    assert torch.allclose(found.mean, made.mean, atol=0.02)
    for (numbers, a), (_, b) in zip(found._covariances(), made._covariances(), strict=True):
        apart = torch.linalg.matrix_norm(a - b) / torch.linalg.matrix_norm(b)
        # The directions are found together, so a wave's own are off where variances are alike.
        assert float(apart[0]) < 0.3, numbers[:3]
