"""Motion told from its noise: against all Gaussians written out, and what each variance is for."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.generation import spoilt as module
from humanmotion.generation.spoilt import LEAST, MOST, ORDER, told_from_noise

FRAMES, NUMBERS = 60, 40


def motion(seed: int = 0, *, frames: int = FRAMES) -> torch.Tensor:
    """Sums of sines below 2 Hz `(1, T, 40)`, of sizes that differ a hundredfold."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(frames) / 20
    rate, phase = 2 * torch.rand(3, NUMBERS, generator=g), 6.3 * torch.rand(3, NUMBERS, generator=g)
    waves = torch.sin(2 * math.pi * rate[:, None] * t[:, None] + phase[:, None]).sum(0)
    return (waves * 10 ** torch.linspace(-2, 0, NUMBERS))[None]


def spoil(clean: torch.Tensor, frames: list[int], size: float, *, seed: int = 1) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    out = clean.clone()
    out[:, frames] += size * torch.randn(len(clean), len(frames), clean.shape[-1], generator=g)
    return out


def whole(values: torch.Tensor) -> torch.Tensor:
    return torch.ones(values.shape[:2], dtype=torch.bool)


def off(found: torch.Tensor, clean: torch.Tensor) -> float:
    return float((found - clean).square().mean().sqrt())


def test_the_motion_is_the_mean_of_all_gaussians_written_out(monkeypatch) -> None:
    """The slow twin: one number at a time, its covariance from its precision, in one round."""
    clean = motion()[..., :1].repeat(1, 1, 3)
    values = spoil(clean, [10, 11, 30], 0.1)
    noise = torch.full((1, FRAMES), 1e-4)
    noise[:, [10, 11, 30]] = 1e-2
    monkeypatch.setattr(module, "ROUNDS", 1)
    found = told_from_noise(values, whole(values), noise=noise)
    # Livelinesses that differ lie between levels: the twin takes numbers that lie on one.
    changes = torch.eye(FRAMES, dtype=torch.float64)
    for _ in range(ORDER):
        changes = changes[1:] - changes[:-1]
    for number in range(3):
        x = values[0, :, number].double()
        lively = (changes @ x).square().mean()
        precision = torch.diag(1 / noise[0].double() + 1e-4) + changes.mT @ changes / lively
        spread = torch.linalg.inv(precision)
        expected = spread @ (x / noise[0].double())
        near = pytest.approx(expected.tolist(), abs=2e-3)
        assert found.mean[0, :, number].tolist() == near
        assert found.variance[0, :, number].tolist() == pytest.approx(
            spread.diagonal().tolist(), rel=0.25
        )


@pytest.mark.parametrize("size", [0.03, 0.1])
def test_spoilt_frames_are_found_with_their_noise_and_read_off_the_others(size) -> None:
    clean, frames = motion(), [7, 8, 20, 33, 34, 50]
    values = spoil(clean, frames, size)
    found = told_from_noise(values, whole(values))
    sure = torch.ones(FRAMES, dtype=torch.bool)
    sure[frames] = False
    assert found.noise[0, frames].sqrt().tolist() == pytest.approx([size] * 6, rel=0.5)
    assert float(found.noise[0, sure].max()) < 0.02 * size**2
    assert off(found.mean[:, frames], clean[:, frames]) < 0.35 * size
    assert off(found.mean[:, sure], clean[:, sure]) < 0.02 * size


def test_a_burst_is_no_noise() -> None:
    """A kick, in the numbers that are lively: no smoothness of the rest says that it was none."""
    clean = motion()
    kick = torch.zeros(FRAMES)
    kick[30:33] = torch.tensor([0.5, 1.0, 0.5])
    clean = clean + kick[:, None] * clean.std(1, keepdim=True)
    found = told_from_noise(clean, whole(clean))
    assert off(found.mean[:, 28:35], clean[:, 28:35]) < 0.02
    spoilt = spoil(clean, [10, 45], 0.1)
    found = told_from_noise(spoilt, whole(spoilt))
    assert off(found.mean, clean) < 0.3 * off(spoilt, clean)


def test_clean_motion_stays_and_what_is_lost_counts_for_nothing() -> None:
    clean = motion(2)
    assert off(told_from_noise(clean, whole(clean)).mean, clean) < 1e-3
    there = whole(clean)
    there[:, [15, 40]] = False
    values = torch.where(there[..., None], clean, math.nan)
    found = told_from_noise(values, there)
    assert bool(torch.isfinite(found.mean).all() and torch.isfinite(found.variance).all())
    assert off(found.mean[:, [15, 40]], clean[:, [15, 40]]) < 0.02
    # It is less sure there.
    assert float(found.variance[0, 15].mean()) > 10 * float(found.variance[0, 25].mean())


def test_motions_of_a_batch_are_found_as_alone_and_the_same_way_in_time() -> None:
    both = torch.cat((spoil(motion(3), [9], 0.1), spoil(motion(4), [9, 30, 31], 0.05)))
    together = told_from_noise(both, whole(both))
    for k in range(2):
        alone = told_from_noise(both[k : k + 1], whole(both[k : k + 1]))
        torch.testing.assert_close(together.mean[k : k + 1], alone.mean, atol=1e-5, rtol=0)
    back = told_from_noise(both.flip(1), whole(both)).mean.flip(1)
    torch.testing.assert_close(back, together.mean, atol=1e-4, rtol=0)
    # A parabola that is added is added to what is found: third differences do not see it.
    t = torch.linspace(-1, 1, FRAMES)[:, None]
    more = told_from_noise(both + 0.3 * t**2 - 0.2 * t, whole(both)).mean
    torch.testing.assert_close(more, together.mean + 0.3 * t**2 - 0.2 * t, atol=2e-3, rtol=0)


@pytest.mark.parametrize("jump", [1.0, 3.0, 10.0, 1e6])
def test_a_track_that_jumps_counts_for_nothing_and_spoils_no_other_frame(jump) -> None:
    clean = motion(5)
    values = spoil(clean, [25, 26], 0.1)
    values[:, [12, 40, 41]] += jump * torch.sign(clean[:, [12, 40, 41]])
    found = told_from_noise(values, whole(values))
    away = [12, 25, 26, 40, 41]
    assert off(found.mean[:, away], clean[:, away]) < 0.05
    assert float(found.noise[0, [12, 40, 41]].min()) == pytest.approx(MOST)


def test_lost_frames_of_few_are_no_knowledge() -> None:
    values = torch.full((1, 3, 4), math.nan)
    values[:, [0, 2]] = 1.0
    found = told_from_noise(values, torch.tensor([[True, False, True]]))
    assert bool(torch.isfinite(found.mean).all())
    assert found.variance[0, :, 0].tolist() == pytest.approx([LEAST, 1.0, LEAST])


@pytest.mark.parametrize("frames", [1, ORDER, ORDER + 1, 5])
def test_few_frames_and_nothing_at_all_are_finite(frames) -> None:
    values = motion(frames=frames)
    found = told_from_noise(values, whole(values))
    assert off(found.mean, values) < 1e-2 and float(found.noise.min()) >= LEAST * 0.99
    still = told_from_noise(torch.zeros_like(values), whole(values))
    assert not bool(still.mean.any())
    nothing = told_from_noise(values, ~whole(values))
    assert bool(torch.isfinite(nothing.mean).all() and torch.isfinite(nothing.variance).all())
