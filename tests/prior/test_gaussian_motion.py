"""The linear part of the denoisers, against the conditional mean of one large normal vector."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch

from humanmotion.prior.gaussian_motion import (
    CLASSES,
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
    out.variances *= 3.0 ** -torch.arange(WINDOW)[:, None] * torch.rand(CLASSES, WINDOW, SIZE)
    # Classes so near to each other that a noisy window is of several.
    out.variances *= torch.tensor((0.95, 1.0, 1.05, 1.1))[:, None, None]
    out.mean.copy_(0.1 * torch.randn(SIZE))
    return out


def conditional_mean(made: GaussianMotion, seen: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
    """The slow twin: each class's whole covariance `(T * n, T * n)` of each group, its normal
    equations and its density."""
    out = made.mean.expand(WINDOW, SIZE).clone().double()
    level = spread_tokens(rho).double()
    for numbers in GROUPS:
        there = torch.isfinite(level[:, numbers]).flatten()
        away = (seen[:, numbers] - made.mean[numbers]).double().flatten()[there]
        each, told = [], []
        for variances in made.variances:
            whole = covariance(made, variances, numbers)
            noisy = whole[there][:, there] + torch.diag(level[:, numbers].flatten()[there] ** 2)
            each.append((whole[:, there] @ torch.linalg.solve(noisy, away)).reshape(WINDOW, -1))
            if len(away):
                normal = torch.distributions.MultivariateNormal(torch.zeros_like(away), noisy)
                told.append(normal.log_prob(away))
        alike = torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64)
        belongs = torch.stack(told).softmax(0) if told else alike
        out[:, numbers] += torch.einsum("m,mti->ti", belongs, torch.stack(each))
    return out.float()


def covariance(made: GaussianMotion, variances: torch.Tensor, numbers: list[int]) -> torch.Tensor:
    axes = made.axes[numbers][:, numbers].double()
    spectrum, waves = variances[made.bands][:, numbers].double(), made.waves.double()
    return torch.einsum("ft,fs,ik,fk,jk->tisj", waves, waves, axes, spectrum, axes).reshape(
        WINDOW * len(numbers), -1
    )


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
    """Of one class: how far a window is of each is no longer exact where noise changes."""
    monkeypatch.setattr("humanmotion.prior.gaussian_motion.ROUNDS", 400)
    one = copy.deepcopy(made)
    one.variances[:] = one.variances[:1].clone()
    generator = torch.Generator().manual_seed(2)
    seen = torch.randn(1, WINDOW, SIZE, generator=generator)
    rho = torch.full((1, WINDOW, TOKENS), 0.5)
    rho[:, 5:8] = torch.inf
    rho[:, 2, BODY] = 1.0
    assert torch.allclose(one(seen, rho)[0], conditional_mean(one, seen[0], rho[0]), atol=2e-3)


def test_windows_of_far_apart_classes_are_told_apart_and_answers_are_linear(made) -> None:
    apart = copy.deepcopy(made)
    apart.variances *= torch.tensor((0.01, 0.1, 1.0, 10.0))[:, None, None]
    generator = torch.Generator().manual_seed(4)
    classes = torch.eye(CLASSES)[:, None].expand(-1, len(GROUPS), -1)
    state = apart.draw(classes, generator=generator) + apart.mean
    rho = torch.full((*state.shape[:2], TOKENS), 0.05)
    noisy = state + 0.05 * torch.randn(state.shape, generator=generator)
    assert torch.allclose(apart.classes(noisy, spread_tokens(rho)), classes, atol=1e-3)
    rho = torch.full((*state.shape[:2], TOKENS), 0.3)
    a, b = (torch.randn(state.shape, generator=generator) for _ in range(2))
    both = apart((a + b) / 2, rho, classes)
    assert torch.allclose(both, (apart(a, rho, classes) + apart(b, rho, classes)) / 2, atol=1e-4)


def test_classes_are_those_of_numbers_each_at_its_own_level(made) -> None:
    generator = torch.Generator().manual_seed(6)
    seen = made.mean + 0.5 * torch.randn(1, WINDOW, SIZE, generator=generator)
    level = (0.2 + torch.rand(1, 1, SIZE, generator=generator)).expand(1, WINDOW, SIZE)
    found = made.classes(seen, level)[0]
    for group, numbers in enumerate(GROUPS):
        away = (seen[0, :, numbers] - made.mean[numbers]).double().flatten()
        noise = torch.diag(level[0, :, numbers].double().flatten() ** 2)
        told = [torch.distributions.MultivariateNormal(
                    torch.zeros_like(away), covariance(made, v, numbers) + noise).log_prob(away)
                for v in made.variances]  # fmt: skip
        exact = torch.stack(told).softmax(0).float()
        assert torch.allclose(found[group], exact, atol=1e-3)


def test_what_is_missing_is_not_looked_at_and_short_windows_keep_their_length(made) -> None:
    seen = torch.randn(3, 7, SIZE)
    rho = torch.full((3, 7, TOKENS), 0.5)
    rho[:, :, LEFT_HAND] = torch.inf
    other = torch.where(spread_tokens(torch.isinf(rho)), torch.full_like(seen, 9.0), seen)
    found = made(seen, rho)
    assert found.shape == seen.shape and torch.equal(found, made(other, rho))


def test_a_fit_finds_what_the_data_were_drawn_from(made) -> None:
    generator = torch.Generator().manual_seed(3)
    apart = copy.deepcopy(made)
    apart.variances[:] = apart.variances[:1] * torch.tensor((0.01, 0.1, 1.0, 10.0))[:, None, None]
    classes = torch.eye(CLASSES)[torch.arange(8000) % CLASSES, None].expand(-1, len(GROUPS), -1)
    state = apart.draw(classes, generator=generator) + apart.mean
    recorded = torch.ones(8000, TOKENS, dtype=torch.bool)
    recorded[::3, LEFT_HAND] = False
    state[::3, :, spread_tokens(~recorded[0])] = 50.0
    found = fit_gaussian_motion(state, recorded)
    assert torch.allclose(found.mean, apart.mean, atol=0.05)
    for numbers in map(torch.tensor, GROUPS):
        a, b = found._covariance(numbers), apart._covariance(numbers)
        off = torch.linalg.matrix_norm(a - b) / torch.linalg.matrix_norm(b)
        # The directions are found together, so a wave's own are off where variances are alike.
        assert float(off[:, 0].max()) < 0.35, numbers[:3]


def test_frames_short_of_a_window_are_those_of_one_whose_rest_is_missing(made) -> None:
    one = copy.deepcopy(made)
    one.variances[:] = one.variances[:1].clone()
    seen = torch.randn(1, WINDOW, SIZE, generator=torch.Generator().manual_seed(5))
    rho = torch.full((1, WINDOW, TOKENS), 0.5)
    rho[:, 9:] = torch.inf
    found = one(seen[:, :9], rho[:, :9])[0]
    exact = conditional_mean(one, seen[0], rho[0])[:9]
    alone = (seen[0, :9] - exact).square().mean()
    # A few repetitions come near; they are not exact.
    assert float((found - exact).square().mean()) < 0.02 * float(alone)
