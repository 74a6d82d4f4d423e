"""From noise to samples in few steps, given a denoiser.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models": the time steps
of equation 5 and the second-order (Heun) sampler of algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Denoise = Callable[[Tensor, float], Tensor]
"""From noisy states at a level to expected clean ones."""


def falling_levels(count: int, *, highest: float, lowest: float, bend: float = 7.0) -> list[float]:
    """`count` noise levels from `highest` to `lowest`, closer together at the lower end."""
    share = torch.linspace(0, 1, count, dtype=torch.float64)
    a, b = highest ** (1 / bend), lowest ** (1 / bend)
    return [float(x) for x in (a + share * (b - a)) ** bend]


def heun(denoise: Denoise, start: Tensor, levels: list[float]) -> Tensor:
    """Samples from `start`, which is noise at `levels[0]`; `2 len(levels) - 1` network calls.

    The last step goes to zero noise and is one of Euler's, as there is no slope at zero.
    """
    x = start
    for level, lower in zip(levels, [*levels[1:], 0.0], strict=True):
        slope = (x - denoise(x, level)) / level
        ahead = x + (lower - level) * slope
        if lower > 0:
            slope = 0.5 * (slope + (ahead - denoise(ahead, lower)) / lower)
            ahead = x + (lower - level) * slope
        x = ahead
    return x
