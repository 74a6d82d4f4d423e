"""Noise that is smooth over time."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.diffusion.noise import Noise


def drawn(noise: Noise, shape=(64, 100, 24), seed=0):
    return noise.drawn(shape, generator=torch.Generator().manual_seed(seed))


def test_of_no_width_is_white_and_what_torch_draws() -> None:
    white = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn(Noise(), (3, 7, 5)), white)


@pytest.mark.parametrize(("width", "white"), [(0.5, 0.0), (2.0, 0.1), (5.0, 0.0), (2.0, 1.0)])
def test_is_of_variance_one_at_every_frame(width, white) -> None:
    """Also at the ends, where a filter that sees less would be weaker."""
    variance = drawn(Noise(width, white), (400, 20, 50)).var((0, 2))
    assert (variance - 1).abs().max() < 0.05


def test_neighbours_are_alike_as_the_gaussian_says() -> None:
    """The correlation of a smoothed one is a Gaussian sqrt(2) times as wide."""
    x = drawn(Noise(2.0))
    for lag in (1, 2, 4, 8):
        found = float((x[:, lag:] * x[:, :-lag]).mean())
        assert found == pytest.approx(math.exp(-((lag / 2 / 2) ** 2)), abs=0.02)


def test_what_is_left_white_is_as_strong_as_said() -> None:
    window = torch.hann_window(100)[:, None]
    fast = [
        float((torch.fft.rfft(window * drawn(noise), dim=1)[:, 42:].abs() ** 2).mean())
        / float(window.square().sum())
        for noise in (Noise(2.0), Noise(2.0, 0.1))
    ]
    assert fast[0] < 1e-4
    assert fast[1] ** 0.5 == pytest.approx(0.1, rel=0.15)


def test_is_the_filter_written_frame_by_frame() -> None:
    noise = Noise(1.5, 0.3)
    white = torch.randn(2, 9 + 2 * noise.beyond, 3, generator=torch.Generator().manual_seed(1))
    taps = [math.exp(-0.5 * ((i - noise.beyond) / 1.5) ** 2) for i in range(2 * noise.beyond + 1)]
    norm = math.sqrt(sum(t * t for t in taps))
    taps = [math.sqrt(1 - 0.09) * t / norm for t in taps]
    taps[noise.beyond] += 0.3
    norm = math.sqrt(sum(t * t for t in taps))
    want = torch.zeros(2, 9, 3)
    for frame in range(9):
        for i, tap in enumerate(taps):
            want[:, frame] += tap / norm * white[:, frame + i]
    torch.testing.assert_close(noise.of(white), want)


@pytest.mark.parametrize(("width", "white"), [(-1.0, 0.0), (math.nan, 0.0), (200.0, 0), (2.0, 1.5)])
def test_that_cannot_be(width, white) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        Noise(width, white)
