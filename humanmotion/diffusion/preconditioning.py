"""Scalings that keep a denoiser well conditioned at every noise level, each number at its own.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", table 1 and
appendix B.6, for data of unit variance; here the noise level may differ from number to number, and
may be infinite (nothing is known) or zero (the number is given).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST, MOST = 0.002, 80.0
"""Levels beyond which the network is told no more."""


@dataclass(frozen=True)
class Scalings:
    """`D(x) = skip * x + out * F(input * x, clock)`, each of the shape of `rho`."""

    skip: Tensor
    out: Tensor
    input: Tensor
    clock: Tensor
    """A quarter of the logarithm of the level, which is what the network sees of it."""


def scalings(rho: Tensor) -> Scalings:
    """Of noise levels `rho` `(...)` >= 0, infinity included."""
    variance = rho**2
    gone = torch.isinf(rho)
    safe = torch.where(gone, torch.zeros_like(rho), variance)
    skip = torch.where(gone, torch.zeros_like(rho), 1 / (1 + safe))
    out = torch.where(gone, torch.ones_like(rho), (safe / (1 + safe)).sqrt())
    clock = rho.clamp(LEAST, MOST).log() / 4
    return Scalings(skip=skip, out=out, input=skip.sqrt(), clock=clock)
