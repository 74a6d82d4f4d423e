"""Noise clocks: how much of the clean state is left at a time, and how much noise there is.

What a denoiser needs to know is the ratio `rho` of noise to signal; a clock translates between it and
the time that a published network was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SubVP:
    """The sub-variance-preserving process on times in [0, 1]: `x(t) = alpha x(0) + sigma z`.

    Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations",
    section 3.4 and appendix B. `sigma`, the standard deviation, is `1 - alpha^2`. All methods take
    times `(...)` and keep shape, dtype and device.
    """

    slowest: float = 0.1
    """Rate at time 0; it rises linearly."""
    fastest: float = 20.0
    """Rate at time 1."""

    def decay(self, t: Tensor) -> Tensor:
        """`-log(alpha)`."""
        return 0.25 * (self.fastest - self.slowest) * t**2 + 0.5 * self.slowest * t

    def alpha(self, t: Tensor) -> Tensor:
        """Share of the clean state."""
        return (-self.decay(t)).exp()

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise."""
        return -torch.expm1(-2 * self.decay(t))

    def rho(self, t: Tensor) -> Tensor:
        """`sigma / alpha = 1 / alpha - alpha`, written so that small ones keep their digits."""
        return 2 * torch.sinh(self.decay(t))

    def time(self, rho: Tensor) -> Tensor:
        """The time at which the ratio is `rho` >= 0: `rho`'s inverse, in closed form."""
        decay = torch.asinh(rho / 2)
        half = 0.5 * self.slowest
        # The root of a quadratic, written as a quotient: the usual form cancels near time 0.
        return 2 * decay / (half + (half**2 + (self.fastest - self.slowest) * decay).sqrt())

    def rate(self, t: Tensor) -> Tensor:
        """`beta(t)`; the drift of a state `x` is `-beta x / 2`."""
        return self.slowest + t * (self.fastest - self.slowest)

    def diffusion(self, t: Tensor) -> Tensor:
        """Factor of the Brownian motion; squared, `beta (1 - alpha^4)`."""
        return (self.rate(t) * -torch.expm1(-4 * self.decay(t))).sqrt()


SUB_VP = SubVP()
"""The clock of Song et al. and of DPoser-X."""
