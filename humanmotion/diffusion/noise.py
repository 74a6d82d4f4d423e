"""The noise that a flow starts from: white, or smooth over time as motion is.

Motion has a hundredth of white noise's power at 4 Hz and less above. Out of white noise every frame
keeps some of its own, and what is made trembles; a network would have to learn to average over time
first. Flow matching may start from any noise (Lipman et al. 2023), so it starts from one whose
spectrum is near that of motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Noise:
    """Stationary noise of variance 1; raises ValueError for a width or a share that cannot be."""

    width: float = 0.0
    """Frames of the Gaussian over time; 0 is white noise, as published."""
    white: float = 0.0
    """Amplitude of the white noise left in it, which covers what is faster than the Gaussian."""

    def __post_init__(self) -> None:
        if not 0 <= self.width < 100 or not 0 <= self.white <= 1:
            raise ValueError(f"{self}: width must lie in [0, 100), white in [0, 1]")

    @property
    def beyond(self) -> int:
        """Frames of white noise that are needed at either end."""
        return round(3 * self.width)

    def of(self, white: Tensor) -> Tensor:
        """`(..., T, n)` of white noise `(..., T + 2 beyond, n)`."""
        if self.width == 0:
            return white
        frames = white.shape[-2] - 2 * self.beyond
        away = torch.arange(-self.beyond, self.beyond + 1)
        taps = torch.exp(-0.5 * (away / self.width) ** 2)
        taps = (1 - self.white**2) ** 0.5 * taps / taps.norm() + self.white * (away == 0)
        out = torch.zeros_like(white[..., :frames, :])
        for start, tap in enumerate((taps / taps.norm()).tolist()):
            out += tap * white[..., start : start + frames, :]
        return out

    def drawn(self, shape: tuple[int, int, int], *, generator: torch.Generator) -> Tensor:
        """`(B, T, n)` on the generator's device."""
        count, frames, size = shape
        white = (count, frames + 2 * self.beyond, size)
        return self.of(torch.randn(white, generator=generator, device=generator.device))
