"""Hints: what kept numbers and references say, against the laws of Gaussians."""

from __future__ import annotations

import pytest
import torch

from humanmotion.diffusion.noise import Noise
from humanmotion.generation import hints as module
from humanmotion.generation.features import REFERENCE, SIZE
from humanmotion.generation.hints import (
    LEAST,
    Hints,
    Kept,
    hints_of_kept,
    hints_of_reference,
)
from humanmotion.generation.vimogen import linear_guess

FRAMES = 48


@pytest.fixture(scope="module")
def noise() -> Noise:
    """Power that falls with the frequency, a share that is constant."""
    bins = torch.arange(33.0)
    power = 1 / (1 + bins**4)
    power[0] = 0.3
    return Noise(power[:, None].repeat(1, SIZE))


@pytest.fixture(scope="module")
def drawn(noise: Noise) -> torch.Tensor:
    return noise.drawn((8, FRAMES, SIZE), generator=torch.Generator().manual_seed(0))


def test_the_covariance_is_that_of_what_is_drawn(noise: Noise) -> None:
    values = noise.drawn((64, FRAMES, SIZE), generator=torch.Generator().manual_seed(1))
    said = noise.covariance(FRAMES)[:, 0]
    for lag in (0, 1, 5, 20):
        found = (values[:, lag:] * values[:, : FRAMES - lag]).mean()
        assert float(found) == pytest.approx(float(said[lag]), abs=0.02)


def test_white_noise_says_nothing_of_other_frames() -> None:
    mask = torch.zeros(1, FRAMES, SIZE, dtype=torch.bool)
    mask[:, :5] = True
    hints = hints_of_kept(Noise(), Kept(torch.ones(1, FRAMES, SIZE), mask))
    torch.testing.assert_close(hints.values[:, 5:], torch.zeros(1, FRAMES - 5, SIZE))
    torch.testing.assert_close(hints.variance[:, 5:], torch.ones(1, FRAMES - 5, SIZE))


def test_kept_numbers_say_what_the_whole_gaussian_says(noise: Noise, drawn: torch.Tensor) -> None:
    """The slow twin conditions one number on all its kept frames in double precision."""
    mask = torch.zeros(1, FRAMES, SIZE, dtype=torch.bool)
    known = torch.tensor([*range(12), *range(30, FRAMES)])
    mask[:, known] = True
    mask[:, :, 7] = False
    mask[:, [3, 20], 7] = True
    hints = hints_of_kept(noise, Kept(drawn[:1], mask))
    for number in (0, 7):
        at = mask[0, :, number].nonzero()[:, 0]
        by_lag = noise.covariance(FRAMES)[:, number].double()
        every = torch.arange(FRAMES)
        whole = by_lag[(every[:, None] - every).abs()]
        own = whole[at][:, at] + LEAST * torch.eye(len(at), dtype=torch.float64)
        weights = torch.linalg.solve(own, whole[at])
        mean = weights.mT @ drawn[0, at, number].double()
        variance = 1 - (weights * whole[at]).sum(0)
        rest = ~mask[0, :, number]
        torch.testing.assert_close(
            hints.values[0, rest, number].double(), mean[rest], atol=0.02, rtol=0
        )
        torch.testing.assert_close(
            hints.variance[0, rest, number].double(),
            variance[rest].clamp(LEAST, 1),
            atol=0.02,
            rtol=0,
        )


def test_motions_found_together_are_as_those_found_alone(
    noise: Noise, drawn: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: a gap, a beginning, keys, a path, nothing and everything in one batch."""
    mask = torch.zeros_like(drawn, dtype=torch.bool)
    mask[0, :20] = mask[0, 30:] = True
    mask[1, :16] = True
    mask[2, [3, 25, 40]] = True
    mask[3, ::10, :4] = True
    mask[4] = True
    mask[6, 5:, 7] = True
    alone = hints_of_kept(noise, Kept(drawn, mask), own=0.1)
    monkeypatch.setattr(module, "_together", lambda device: 5)
    together = hints_of_kept(noise, Kept(drawn, mask), own=0.1)
    torch.testing.assert_close(together.values, alone.values, atol=2e-4, rtol=0)
    torch.testing.assert_close(together.variance, alone.variance, atol=2e-5, rtol=0)


def test_a_gap_in_a_walk_is_filled_with_its_own_step(noise: Noise) -> None:
    """A wave that lasts as long as the gap, which no spectrum of falling power would go on with."""
    frames, period = 160, 16
    wave = torch.sin(2 * torch.pi * torch.arange(frames) / period)
    values = wave[None, :, None].repeat(1, 1, SIZE)
    mask = torch.ones_like(values, dtype=torch.bool)
    gap = slice(80, 80 + period)
    mask[:, gap] = False
    off = [
        float(
            (hints_of_kept(noise, Kept(values, mask), own=own).values - values)[:, gap].abs().mean()
        )
        for own in (0.0, 0.3)
    ]
    assert off[1] < 0.5 * off[0]


def test_few_frames_say_nothing_of_how_they_move(noise: Noise, drawn: torch.Tensor) -> None:
    mask = torch.zeros_like(drawn, dtype=torch.bool)
    mask[:, :20] = True
    both = [hints_of_kept(noise, Kept(drawn, mask), own=own).values for own in (0.0, 0.5)]
    torch.testing.assert_close(*both)


def test_what_is_kept_is_known(noise: Noise, drawn: torch.Tensor) -> None:
    mask = torch.zeros_like(drawn, dtype=torch.bool)
    mask[:, 10:20] = True
    hints = hints_of_kept(noise, Kept(drawn, mask))
    torch.testing.assert_close(hints.values[mask], drawn[mask])
    assert float(hints.variance[mask].max()) == pytest.approx(LEAST)
    none = hints_of_kept(noise, Kept(drawn, torch.zeros_like(mask)))
    assert not none.values.any() and bool((none.variance == 1).all())


def test_the_variance_is_that_of_the_error(noise: Noise) -> None:
    drawn = noise.drawn((16, FRAMES, SIZE), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(drawn, dtype=torch.bool)
    mask[:, 15:30] = False
    hints = hints_of_kept(noise, Kept(drawn, mask))
    off = (drawn - hints.values)[:, 15:30] / hints.variance[:, 15:30].sqrt()
    assert float(off.square().mean()) == pytest.approx(1, abs=0.1)


def spoilt_frames(clean: torch.Tensor, *, every: int, noise: float) -> torch.Tensor:
    """One frame in so many with noise on all its numbers."""
    generator = torch.Generator().manual_seed(3)
    odd = torch.arange(clean.shape[1]) % every == every // 2
    return clean + noise * odd[:, None] * torch.randn(clean.shape, generator=generator)


@pytest.mark.parametrize("every", [5, 8, 11])
def test_odd_frames_are_pulled_to_their_neighbours(drawn: torch.Tensor, every: int) -> None:
    clean = drawn[..., REFERENCE]
    spoilt = spoilt_frames(clean, every=every, noise=0.1)
    found = hints_of_reference(spoilt).values[..., REFERENCE]
    before, after = ((x - clean)[..., :-6].square().mean() for x in (spoilt, found))
    assert float(after) < 0.35 * float(before)


def test_a_clean_reference_stays_almost_as_it_is(drawn: torch.Tensor) -> None:
    clean = drawn[..., REFERENCE]
    hints = hints_of_reference(clean)
    off = (hints.values[..., REFERENCE] - clean).square().mean()
    assert float(off) < 1e-4
    others = torch.ones(SIZE, dtype=torch.bool)
    others[REFERENCE] = False
    assert bool((hints.variance[..., others] == 1).all())


def test_a_frame_that_is_lost_is_read_off_its_neighbours(drawn: torch.Tensor) -> None:
    reference, mask = drawn[..., REFERENCE].clone(), torch.ones(drawn.shape[:2], dtype=torch.bool)
    mask[:, 20] = False
    reference[:, 20] = 1e4
    off = (hints_of_reference(reference, mask).values[..., REFERENCE] - drawn[..., REFERENCE]).abs()
    assert float(off[:, 20].mean()) < 0.2
    assert float(off[:, [19, 21]].mean()) < 0.1
    nothing = hints_of_reference(reference, torch.zeros_like(mask))
    assert not nothing.values.any() and bool((nothing.variance == 1).all())


def test_a_reference_of_one_frame_is_taken_as_it_is() -> None:
    reference = torch.randn(1, 1, len(REFERENCE), generator=torch.Generator().manual_seed(0))
    hints = hints_of_reference(reference)
    assert bool(torch.isfinite(hints.values).all() and torch.isfinite(hints.variance).all())


def test_what_knows_nothing_changes_nothing(drawn: torch.Tensor) -> None:
    hints = hints_of_reference(drawn[..., REFERENCE])
    nothing = Hints(torch.zeros_like(drawn), torch.ones_like(drawn))
    for both in (hints.joined(nothing), nothing.joined(hints)):
        torch.testing.assert_close(both.values, hints.values)
        torch.testing.assert_close(both.variance, hints.variance)


def test_two_that_agree_are_surer_than_one() -> None:
    one = Hints(torch.full((1, 1, 1), 0.9), torch.full((1, 1, 1), 0.1))
    both = one.joined(one)
    assert float(both.variance) == pytest.approx(1 / 19)
    assert float(both.values) == pytest.approx(18 / 19)


@pytest.mark.parametrize("sigma", [1.0, 0.6, 0.05])
def test_the_guess_is_the_mean_of_data_given_a_state_and_hints(sigma: float) -> None:
    """By Bayes' rule, with a prior of variance 1, a hint that saw data with some noise, and a state."""
    seen, spoilt, state = 0.7, 0.2, 0.4
    hint = seen / (1 + spoilt), spoilt / (1 + spoilt)
    covariance = torch.tensor(
        [[1 + spoilt, 1 - sigma], [1 - sigma, (1 - sigma) ** 2 + sigma**2]], dtype=torch.float64
    )
    across = torch.tensor([1.0, 1 - sigma], dtype=torch.float64)
    weights = torch.linalg.solve(covariance, across)
    mean = weights @ torch.tensor([seen, state], dtype=torch.float64)
    left = 1 - weights @ across
    one = torch.ones(1, 1, 1)
    guess, variance = linear_guess(state * one, sigma * one, Hints(hint[0] * one, hint[1] * one))
    assert float(guess) == pytest.approx(float(mean), rel=1e-4)
    assert float(variance) == pytest.approx(float(left), rel=1e-4)
