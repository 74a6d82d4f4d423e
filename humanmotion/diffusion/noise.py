"""The noise that a flow starts from: white, smooth, or with the spectra of what is to be made.

Motion has a hundredth of white noise's power at 4 Hz and less above. Of white noise every frame keeps
some of its own in what is made: it trembles until a network has learnt to average. Flow matching may
start from any noise (Lipman et al. 2023); one that is shaped as the data are is learnt faster
(PriorGrad, Lee et al. 2022), and what is left of it moves as motion moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from humanmotion.errors import UsageError

SEGMENT = 64
"""Frames of the pieces whose spectra are averaged; noise farther apart is independent."""


def smooth_noise(white: Tensor, width: float) -> Tensor:
    """A Gaussian of `width` frames over white noise `(..., T + 2 beyond(width), n)`: `(..., T, n)`.

    Its variance stays 1.
    """
    frames = white.shape[-2] - 2 * beyond(width)
    away = torch.arange(-beyond(width), beyond(width) + 1)
    taps = torch.exp(-0.5 * (away / width) ** 2)
    out = torch.zeros_like(white[..., :frames, :])
    for start, tap in enumerate((taps / taps.norm()).tolist()):
        out += tap * white[..., start : start + frames, :]
    return out


def beyond(width: float) -> int:
    """Frames of white noise that `smooth_noise` needs at either end."""
    return round(3 * width)


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of variance 1, its `n` numbers independent: white, or each of a spectrum."""

    spectra: Tensor | None = None
    """`(SEGMENT / 2 + 1, n)`: the share of the variance that is constant, then the power of the rest
    at each frequency up to the highest, of any scale; None is white noise."""

    @classmethod
    def like(cls, values: Tensor, mask: Tensor) -> Noise:
        """Of the spectra of values `(B, T, n)`, `mask` `(B, T)` False behind their ends.

        Amplitudes are averaged, not powers, which a few lively clips would decide; how much is constant
        goes by the variances of all. Raises UsageError where all samples are shorter than a piece.
        """
        window = torch.hann_window(SEGMENT, device=values.device, dtype=torch.float64)[:, None]
        total = values.new_zeros(SEGMENT // 2, values.shape[-1], dtype=torch.float64)
        means, spreads = [], []
        for value, length in zip(values, mask.sum(-1).tolist(), strict=True):
            for start in range(0, length - SEGMENT + 1, SEGMENT // 2):
                piece = value[start : start + SEGMENT].double()
                means.append(piece.mean(0))
                spreads.append(piece.var(0))
                total += torch.fft.rfft(window * (piece - means[-1]), dim=0)[1:].abs()
        if not means:
            raise UsageError(
                f"no sample of {SEGMENT} frames or more, of which spectra could be taken"
            )
        # A number that never moves is noise of no kind: white is as good as any.
        power = torch.where(total.amax(0) == 0, 1.0, total).square()
        still, moving = torch.stack(means).square().mean(0), torch.stack(spreads).mean(0)
        share = still / (still + moving).clamp(min=1e-12)
        return cls(torch.cat((share[None], power / power.mean(0))).float())

    def to(self, device: torch.device | str) -> Noise:
        """The same on `device`."""
        return self if self.spectra is None else Noise(self.spectra.to(device))

    def livelier(self, power: float) -> Noise:
        """Of the same spectra to a power: above 1 slow movement is more of it."""
        if self.spectra is None:
            return self
        moving = self.spectra[1:] ** power
        return Noise(torch.cat((self.spectra[:1], moving / moving.mean(0))))

    def covariance(self, frames: int) -> Tensor:
        """Of numbers that lie 0, 1, ... `frames` - 1 frames apart, `(frames, n)`, the first being 1.

        White noise has one column for all numbers.
        """
        if self.spectra is None:
            return (torch.arange(frames) == 0).float()[:, None]
        circle = _circle(frames)
        constant, power = self.spectra[0].double(), self._power(circle).double()
        waves = torch.fft.irfft(power.to(torch.complex128), n=circle, dim=0)[:frames]
        return (constant + (1 - constant) * waves / waves[:1]).float()

    def _power(self, circle: int) -> Tensor:
        """At the frequencies of a circle of frames `(circle / 2 + 1, n)`, none that is constant."""
        assert self.spectra is not None
        moving = torch.cat((torch.zeros_like(self.spectra[:1]), self.spectra[1:]))
        return _at_frequencies(moving, circle // 2 + 1)

    def drawn(self, shape: tuple[int, int, int], *, generator: torch.Generator) -> Tensor:
        """`(B, T, n)` on the generator's device."""
        at = generator.device
        if self.spectra is None:
            return torch.randn(shape, generator=generator, device=at)
        count, frames, _ = shape
        circle = _circle(frames)
        constant, amplitude = self.spectra[0].to(at), self._power(circle).to(at).sqrt()
        half = torch.randn(2, count, *amplitude.shape, generator=generator, device=at) * amplitude
        waves = torch.fft.irfft(torch.complex(half[0], half[1]), n=circle, dim=1)[:, :frames]
        # On the way back the first and the last frequency count once and without a phase.
        power = 4 * amplitude[1:-1].square().sum(0) + amplitude[[0, -1]].square().sum(0)
        moving = waves * circle * ((1 - constant) / power).sqrt()
        return moving + constant.sqrt() * torch.randn(
            count, 1, len(constant), generator=generator, device=at
        )


def _circle(frames: int) -> int:
    """Frames of a circle, of which noise is a part whose ends lie as far apart as a piece is long."""
    return 32 * -(-(frames + SEGMENT) // 32)


def _at_frequencies(spectra: Tensor, count: int) -> Tensor:
    """Spectra `(bins, n)` at `count` frequencies."""
    found: Tensor = functional.interpolate(
        spectra.mT[None], size=count, mode="linear", align_corners=True
    )
    return found[0].mT
