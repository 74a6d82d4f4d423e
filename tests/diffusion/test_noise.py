"""Noise that is white, smooth over time, or of the spectra of what is to be made."""

from __future__ import annotations

import math

import pytest
import torch

from humanmotion.diffusion.noise import SEGMENT, Noise, beyond, smooth_noise
from humanmotion.errors import UsageError

BINS = SEGMENT // 2 + 1


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestSmooth:
    def drawn(self, width, frames=100):
        shape = (64, frames + 2 * beyond(width), 24)
        return smooth_noise(torch.randn(shape, generator=generator()), width)

    @pytest.mark.parametrize("width", [0.5, 2.0, 5.0])
    def test_is_of_variance_one_at_every_frame(self, width) -> None:
        """Also at the ends, where a filter that sees less would be weaker."""
        assert (self.drawn(width, 20).var((0, 2)) - 1).abs().max() < 0.15

    def test_neighbours_are_alike_as_the_gaussian_says(self) -> None:
        """The correlation of what is smoothed is a Gaussian sqrt(2) times as wide."""
        x = self.drawn(2.0)
        for lag in (1, 2, 4, 8):
            found = float((x[:, lag:] * x[:, :-lag]).mean())
            assert found == pytest.approx(math.exp(-((lag / 2 / 2) ** 2)), abs=0.02)

    def test_is_the_filter_written_frame_by_frame(self) -> None:
        white = torch.randn(2, 9 + 2 * beyond(1.5), 3, generator=generator(1))
        taps = [math.exp(-0.5 * ((i - beyond(1.5)) / 1.5) ** 2) for i in range(2 * beyond(1.5) + 1)]
        norm = math.sqrt(sum(t * t for t in taps))
        want = torch.zeros(2, 9, 3)
        for frame in range(9):
            for i, tap in enumerate(taps):
                want[:, frame] += tap / norm * white[:, frame + i]
        torch.testing.assert_close(smooth_noise(white, 1.5), want)


def test_white_noise_is_what_torch_draws() -> None:
    white = torch.randn(3, 7, 5, generator=generator())
    assert torch.equal(Noise().drawn((3, 7, 5), generator=generator()), white)


class TestOfSpectra:
    def falling(self, *, constant: float) -> Noise:
        power = torch.exp(-torch.arange(BINS) / 4.0)
        power[0] = constant
        return Noise(power[:, None].repeat(1, 3))

    @pytest.mark.parametrize("frames", [1, 20, 64, 203])
    def test_is_of_variance_one(self, frames) -> None:
        noise = self.falling(constant=0.3).drawn(
            (6000 // frames + 300, frames, 3), generator=generator()
        )
        assert (noise.square().mean((0, 2)) - 1).abs().max() < 0.25
        assert abs(float(noise.square().mean()) - 1) < 0.08

    def test_the_constant_share_is_constant(self) -> None:
        noise = self.falling(constant=1.0).drawn((50, 40, 3), generator=generator())
        assert (noise - noise[:, :1]).abs().max() < 1e-5 and float(noise.std()) > 0.8

    def test_is_the_sum_of_waves_written_one_by_one(self) -> None:
        noise, frames = self.falling(constant=0.25), 5
        circle = 96  # 5 frames and 64 that keep its ends apart, to a whole 32
        found = noise.drawn((2, frames, 3), generator=generator(3))
        source = generator(3)
        half = torch.randn(2, 2, circle // 2 + 1, 3, generator=source)
        still = torch.randn(2, 1, 3, generator=source)
        power = [0.0, *noise.spectra[1:, 0].tolist()]
        at = [32 * k / (circle // 2) for k in range(circle // 2 + 1)]  # in bins of a piece
        own = [
            power[int(a)] + (a - int(a)) * (power[min(int(a) + 1, 32)] - power[int(a)]) for a in at
        ]
        want = torch.zeros(2, frames, 3)
        for k, p in enumerate(own):
            for t in range(frames):
                angle = 2 * math.pi * k * t / circle
                wave = half[0, :, k] * math.cos(angle)
                if 0 < k < circle // 2:
                    wave = 2 * (wave - half[1, :, k] * math.sin(angle))
                want[:, t] += math.sqrt(p) * wave
        total = 4 * sum(own[1:-1]) + own[0] + own[-1]
        want = want * math.sqrt(0.75 / total) + 0.5 * still
        torch.testing.assert_close(found, want, atol=1e-4, rtol=1e-4)

    def test_what_is_drawn_has_the_spectra_it_is_given(self) -> None:
        """Taken anew from what was drawn; amplitudes of Gaussian noise are all alike in kind."""
        first = self.falling(constant=0.4)
        drawn = first.drawn((400, 128, 3), generator=generator(1))
        again = Noise.like(drawn, torch.ones(400, 128, dtype=torch.bool))
        assert again.spectra.shape == (BINS, 3)
        # Slow waves are partly taken for a constant, as a piece is short.
        assert (again.spectra[0] - 0.4).abs().max() < 0.15
        ratio = again.spectra[4:20] / first.spectra[4:20]
        assert ratio.std() / ratio.mean() < 0.15

    def test_needs_a_whole_piece(self) -> None:
        with pytest.raises(UsageError, match="64 frames or more"):
            Noise.like(torch.zeros(2, 40, 3), torch.ones(2, 40, dtype=torch.bool))

    def test_looks_at_no_frame_behind_an_end_and_bears_what_never_moves(self) -> None:
        values = torch.randn(6, 200, 2, generator=generator())
        values[..., 1] = 0
        mask = torch.arange(200) < 90
        own = Noise.like(values, mask.expand(6, -1))
        spoilt = torch.where(mask[:, None], values, torch.nan)
        assert torch.equal(own.spectra, Noise.like(spoilt, mask.expand(6, -1)).spectra)
        assert own.drawn((2, 50, 2), generator=generator()).isfinite().all()
