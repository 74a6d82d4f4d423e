"""The networks of our prior: a pose, or a window of poses, with a noise level of its own per joint.

A joint that is not there (a source without fingers, a hidden arm) has an infinite level: the network
sees nothing of it and says what it would be. A known joint has level zero. So prior, completion,
denoising and training on part-only data are one thing. The target is the clean pose, which stays
informative at every level; what a Gaussian of movement expects (`gaussian_motion`) is given, and the
network adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanmotion.diffusion.preconditioning import scalings
from humanmotion.diffusion.time_mixing import TimeMixing
from humanmotion.prior.gaussian_motion import GaussianMotion
from humanmotion.prior.space import SIZE, TOKENS, spread_tokens

PATCH = 3
"""Frames of a window that the network looks at as one: a tenth of a second."""


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes of a denoiser."""

    width: int = 320
    """Numbers carried from block to block."""
    hidden: int = 640
    """Numbers within a block."""
    blocks: int = 3
    """Without any, what the Gaussians expect is the answer."""
    frames: int = 1
    """Of a window; 1 is a prior of single poses."""
    heads: int = 4
    """Attention heads over the time of a window."""
    dropout: float = 0.1


class Denoiser(nn.Module):
    """Expected clean poses of noisy ones."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.patch = PATCH if config.frames > 1 else 1
        self.linear = GaussianMotion(config.frames)
        if not config.blocks:
            return
        self.enter = nn.Linear(self.patch * (2 * SIZE + TOKENS), config.width)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.leave = nn.Linear(config.width, self.patch * SIZE)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, state: Tensor, rho: Tensor, classes: Tensor | None = None, *, trust: float = 1.0
    ) -> Tensor:
        """Clean states `(..., T, 172)` of noisy ones at levels `rho` `(..., T, 55)`.

        `classes` `(..., 4, classes)` say how lively windows are, if that is known. The last but one
        dimension is time, at most a window of it, where the network has windows, any batch where not.
        `trust` is the share of what the network adds to its Gaussians that counts.
        What `state` holds where `rho` is infinite does not matter.
        """
        frames = state.shape[-2] if self.config.frames > 1 else 1
        if classes is not None:
            classes = classes.reshape(-1, *classes.shape[-2:])
        flat = state.reshape(-1, frames, SIZE), rho.reshape(-1, frames, TOKENS)
        clean = self._clean(*flat, classes, trust)
        return clean.reshape(state.shape)

    def _clean(self, state: Tensor, rho: Tensor, classes: Tensor | None, trust: float) -> Tensor:
        # Nothing times whatever stands there: NaN must not leak out of a missing joint.
        seen = torch.where(spread_tokens(torch.isinf(rho)), torch.zeros_like(state), state)
        clean = self.linear(seen, rho, classes)
        if self.config.blocks:
            scale = scalings(rho)
            shown = torch.cat((clean, spread_tokens(scale.input) * seen, scale.clock), -1)
            clean = clean + trust * spread_tokens(scale.out) * self._beyond(shown)
        return torch.where(spread_tokens(rho == 0), seen, clean)

    def _beyond(self, shown: Tensor) -> Tensor:
        """What the network adds `(N, T, 172)`, in its own scale."""
        frames = shown.shape[1]
        short = -frames % self.patch
        if short:
            shown = functional.pad(shown, (0, 0, 0, short))
        x = self.enter(shown.unflatten(1, (-1, self.patch)).flatten(2))
        for block in self.blocks:
            x = block(x)
        guess = self.leave(self.norm(x)).unflatten(-1, (self.patch, SIZE)).flatten(1, 2)
        return guess[:, :frames]


class _Block(nn.Module):
    """Attention over time in windows, then two layers on each patch or pose."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.mix = TimeMixing(config.width, config.heads) if config.frames > 1 else None
        self.norm = nn.LayerNorm(config.width)
        self.grow = nn.Linear(config.width, config.hidden)
        self.shrink = nn.Linear(config.hidden, config.width)
        self.dropout = config.dropout

    def forward(self, x: Tensor) -> Tensor:
        if self.mix is not None:
            x = x + self.mix(x)
        inner = functional.silu(self.grow(self.norm(x)))
        return x + self.shrink(functional.dropout(inner, self.dropout, self.training))
